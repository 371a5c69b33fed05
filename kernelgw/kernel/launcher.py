"""From "a kernel, please" to one that is sealed, connected and listening; and back to nothing."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import shutil
import socket
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..egress import packages
from ..egress.packages import Packages
from ..egress.rules import Rules
from ..environments import Environment
from ..languages import DEFAULT, Language
from ..sandbox import bubblewrap, seccomp
from ..sandbox.courtesy import Courtesy
from ..sandbox.policy import Limits
from ..sandbox.watchdog import NOTHING, Usage, Watchdog, Watched, usage
from ..sandbox.workspaces import Workspace
from . import inside, recipe, takeover
from .box import Box
from .exits import GATEWAY_GONE, HOST_GONE, Exit, boot_id
from .fences import Fences
from .forkserver import ForkServer, kernels_folder
from .kernel import Kernel
from .plain import Door, PlainKernel

log = logging.getLogger("kernelgw.kernel")


@dataclass(frozen=True)
class Terms:
    """What one session may use. `network`: None for none at all. `session`: as verdicts on its network name it."""

    limits: Limits
    network: Rules | None = None
    packages: bool = False
    session: str = ""


class Launcher:
    """Makes kernels. Owns the fork servers and the run directory."""

    def __init__(self, data_dir: Path, fences: Fences, cache: Path | None = None, grace_s: float | None = None) -> None:
        """`cache`: what environments look up once, where that is not in `data_dir`. `grace_s`: how long fork servers
        outlive this process; None for as long as it takes to start another gateway."""
        self._data_dir = data_dir
        self._cache, self._grace_s = cache, grace_s
        self.run_dir = data_dir / "run"
        self.fences = fences
        self.workspaces = fences.workspaces
        self.etc = self.run_dir / "etc"
        self._servers: dict[str, ForkServer] = {}
        self._old: list[ForkServer] = []
        # Sandboxes of an earlier gateway, until it is known what is left of them.
        self._found: dict[str, Box] = {}
        self._watchdog = Watchdog()
        self._courtesy = Courtesy()
        self._configured: asyncio.Task[Packages] | None = None
        self._starting: dict[str, asyncio.Task[ForkServer]] = {}

    async def prepare(self) -> None:
        """The directories, and the fork servers that an earlier gateway left; `sweep` follows."""
        self.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.workspaces.prepare()
        if self.fences.sandboxed:
            bubblewrap.write_etc(self.etc)
        self._old = await takeover.resume(self.run_dir, self._data_dir)

    async def adopt(self, note: Mapping[str, Any], workspace: Workspace, terms: Terms) -> Kernel | Exit:
        """The kernel that an earlier gateway noted, connected and to be resumed; or how it ended."""
        server = next((each for each in self._old if each.instance == note["server"]), None)
        if server is None:
            return HOST_GONE if note.get("boot") != boot_id() else GATEWAY_GONE
        box = self._box_again(note.get("box", note["id"]), server)
        kernel = Kernel(box, workspace, self.fences.gvisor is not None, note["id"])
        found = await takeover.attach(kernel, self.run_dir / kernel.id)
        if isinstance(found, Kernel):
            await self._take_over(kernel, terms)
        else:
            box.forget(kernel.id)
        return found

    def _box_again(self, id_: str, server: ForkServer) -> Box:
        """That of an earlier gateway, the same for all kernels that were in it."""
        found = self._found.get(id_)
        if found is None:
            found = self._found[id_] = self._box(id_, server)
            found.group = self.fences.cgroups.find(id_)
            found.holder = server.sandboxes.get(id_, 0)
            found.watch()
        return found

    def _box(self, id_: str, server: ForkServer) -> Box:
        return Box(id_, server, self.fences.sandboxed, self.fences.sandboxed and self.fences.gvisor is None)

    async def _take_over(self, kernel: Kernel, terms: Terms) -> None:
        """With the way out as it had it, which comes with the first of those in a sandbox."""
        box = kernel.box
        log_fd, listener = await takeover.kept(kernel)
        if log_fd is not None:
            kernel.hear_crash_log_at(log_fd)
        if box.looked_after:
            self._watchdog.also(box.id, kernel.pid)
            if listener is not None:
                os.close(listener)
            return
        rules = (await self._packages()).rules if terms.packages else terms.network
        if listener is not None and rules is not None:
            self.fences.egress.adopt(box.id, terms.session or box.id, rules, listener)
            box.at_end.append(self.fences.egress.close)
            box.keep(listener)
        self._look_after(kernel, terms.limits, NOTHING)

    async def sweep(self, kernels: Collection[str], workspaces: Collection[str]) -> None:
        """Ends and removes whatever an earlier gateway left that is not named here."""
        kept = {*kernels, *(box.id for box in self._found.values() if box.members)}
        self._found.clear()
        await asyncio.gather(*(takeover.end_others(server, kept, workspaces) for server in self._old))
        for leftover in self.run_dir.iterdir():
            if leftover.is_dir() and leftover != self.etc and leftover.name not in kernels:
                shutil.rmtree(leftover, ignore_errors=True)
        self.fences.cgroups.sweep(kept)
        self.workspaces.sweep({Path(name).name for name in workspaces})

    async def server(self, environment: Environment) -> ForkServer:
        """The environment's fork server, started on first use and again after it was lost."""
        found = self._servers.get(environment.name)
        if found is not None and found.alive:
            return found
        task = self._starting.get(environment.name)
        if task is None:
            task = asyncio.create_task(self._start(environment))
            self._starting[environment.name] = task
            task.add_done_callback(lambda _: self._starting.pop(environment.name, None))
        return await asyncio.shield(task)

    async def _start(self, environment: Environment) -> ForkServer:
        server = ForkServer(environment, self.run_dir)
        server.grace_s = self._grace_s
        if self._cache is not None:
            server.cache = self._cache / environment.name
        sandboxed = self.fences.sandboxed
        parts = (environment.prefix, *recipe.interpreter_of(environment), self.workspaces.folder, kernels_folder())
        profile = "default" if self.fences.cgroups.counts_memory else "uncounted"
        filter = base64.b64encode(seccomp.program(profile)).decode()
        stage, copied = ([str(path) for path in parts], [str(self.etc)]) if sandboxed else ([], [])
        stamp = takeover.stamp(environment, stage, copied, filter)
        old = next((each for each in self._old if each.alive and each.stamp == stamp), None)
        if old is not None:
            server = old
        else:
            for other in self._old:
                if other.alive and other.path == server.path:
                    other.set_aside()
            await server.start(stage, copied, filter if sandboxed else "", stamp)
        self._servers[environment.name] = server
        return server

    async def launch(
        self,
        environment: Environment,
        workspace: Workspace,
        variables: Mapping[str, str],
        terms: Terms,
        door: Door | None = None,
        language: Language = DEFAULT,
        box: Box | None = None,
    ) -> Kernel:
        """A kernel that is sealed and listening; with a `door`, to whoever comes through that; in a `box` beside the
        others there, which is one of these terms. Raises KernelDidNotStart, and leaves nothing behind then."""
        # Not part of its own time to start: the first to ask waits for pip and npm.
        source = await self._packages() if terms.packages else None
        server = box.server if box is not None else await self.server(environment)
        found = await asyncio.to_thread(usage, workspace.path) if workspace.overflowed else NOTHING
        if workspace.lent and workspace.uid is not None:
            await server.lend(workspace.path, workspace.uid)
        first = box is None or not box.open
        kernel = self._new(self._box(_new_id(), server) if box is None or first else box, workspace, door, first)
        server.watch(kernel.id, kernel.on_event)
        try:
            async with asyncio.timeout(kernel.start_timeout_s):
                await self._spawn(kernel, environment, variables, terms, source, language, first)
                await kernel.ready()
        except BaseException as error:
            kernel.abandon()
            if isinstance(error, OSError):
                raise kernel.not_started(error) from error
            raise
        if first:
            self._look_after(kernel, terms.limits, found)
        else:
            self._watchdog.also(kernel.box.id, kernel.pid)
        return kernel

    def _new(self, box: Box, workspace: Workspace, door: Door | None, first: bool) -> Kernel:
        if door is not None:
            return PlainKernel(box, workspace, door)
        return Kernel(box, workspace, self.fences.gvisor is not None, "" if first else _new_id())

    def _look_after(self, kernel: Kernel, limits: Limits, found: Usage) -> None:
        """Where neither cgroups nor an image hold it, and so that others come first while it computes."""
        box = kernel.box
        box.looked_after = True
        if box.group is not None and self._courtesy.watch(box.id, box.group):
            box.at_cell.append(self._courtesy.asked)
            box.at_end.append(self._courtesy.unwatch)
        counted = box.group is not None and box.group.counts_memory
        workspace = kernel.workspace
        uncounted = workspace.image or workspace.lent
        if counted and uncounted:
            return
        roots = (kernel.pid, box.holder)
        files = None if uncounted else workspace.path
        most = None if counted else limits.memory_bytes

        def over(why: str) -> None:
            workspace.overflowed = workspace.overflowed or why == "workspace_full"
            box.end_all(why)

        watched = Watched(roots, kernel.server.pid, box.holder, most, files, limits.workspace_bytes, over, found)
        self._watchdog.watch(box.id, watched)
        box.at_end.append(self._watchdog.unwatch)

    async def remove_workspace(self, workspace: Workspace) -> None:
        if workspace.image or workspace.lent:
            name = f"{workspace.uid}:{workspace.path}" if workspace.lent else str(workspace.path)
            alive = [server for server in self._servers.values() if server.alive]
            await asyncio.gather(*(server.release(name) for server in alive))
        await self.workspaces.remove(workspace)

    async def _spawn(
        self,
        kernel: Kernel,
        environment: Environment,
        variables: Mapping[str, str],
        terms: Terms,
        source: Packages | None,
        language: Language,
        first: bool,
    ) -> None:
        fences, limits, box = self.fences, terms.limits, kernel.box
        if first:
            box.group = fences.cgroups.create(box.id, fences.gvisor.around(limits) if fences.gvisor else limits)
        assert box.group is not None
        groups = box.doors
        policy = None
        if fences.sandboxed:
            files = recipe.package_files(source) if source else ()
            policy = recipe.policy(environment, kernel.workspace, self.etc, limits, fences.start, files)
        if policy is not None and fences.bwrap is not None and first:
            box.build(recipe.sandbox(policy, fences.bwrap))
        directory = self.run_dir / kernel.id
        fds, write = await kernel.open(directory)
        out = None
        try:
            # Who comes later finds the listener there, but for kernels that each have a sandbox of their own.
            if first or fences.gvisor is not None:
                out = self._open_egress(kernel, terms.session, source.rules if source else terms.network, first)
            seen = recipe.variables(environment, kernel.home, fences.sandboxed, _network(terms)) | dict(variables)
            if policy is not None and fences.gvisor is not None:
                if out is not None:
                    inside.lend_listener(out, directory)
                boot = inside.boot(
                    fences.gvisor, policy, environment, seen, limits, directory, out is not None, language
                )
                order: dict[str, Any] = {"sandbox": None, "seal": inside.seal(groups)}
                order |= {"binds": inside.binds(policy), "owner": policy.uid}
            else:
                order = {
                    "sandbox": box.id if fences.sandboxed else None,
                    "egress": out is not None,
                    "seal": {
                        "uid": kernel.workspace.uid,
                        "cwd": kernel.home,
                        "groups": groups,
                        "limits": recipe.rlimits(limits, box.group, fences.sandboxed),
                        "writable": recipe.writable(fences.sandboxed),
                        "further": recipe.further(kernel.workspace, fences.sandboxed),
                    },
                }
                boot = recipe.boot(environment, seen, fences.start, kernel.wiring, language)
                fds += [out.fileno()] if out else []
            await kernel.server.spawn(boot, fds, id=kernel.id, **order)
        finally:
            os.close(write)
            kernel.handed_over()
            if out is not None:
                out.close()

    def _open_egress(self, kernel: Kernel, session: str, rules: Rules | None, first: bool) -> socket.socket | None:
        if rules is None:
            return None
        if first:
            kernel.box.at_end.append(self.fences.egress.close)
        else:
            kernel.on_discard(self.fences.egress.close)
        return self.fences.egress.open(kernel.id, session or kernel.id, rules, kernel.box.keep)

    async def retire(self) -> None:
        """Ends old fork servers that make no new kernels and have none left."""
        for server in [each for each in self._old if each.alive and each not in self._servers.values()]:
            if not server.busy:
                self._old.remove(server)
                await server.stop()

    async def _packages(self) -> Packages:
        """Asked once, since it takes a second; again when there was no answer."""
        if self._configured is None:
            further = self.fences.package_hosts
            self._configured = asyncio.create_task(asyncio.to_thread(packages.configured, further))
            self._configured.add_done_callback(self._note_packages)
        return await asyncio.shield(self._configured)

    def _note_packages(self, asked: asyncio.Task[Packages]) -> None:
        if asked.cancelled() or asked.exception() is not None:
            self._configured = None
            return
        for note in asked.result().notes:
            log.warning("packages: %s", note)
        if not asked.result().whole:
            self._configured = None

    async def stop(self, keep: bool = False) -> None:
        """Ends every fork server and with it every kernel; or leaves them to the next gateway."""
        # One that is only just coming up would be left behind.
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        servers = {id(server): server for server in (*self._servers.values(), *self._old)}
        if keep:
            for server in servers.values():
                server.leave()
        else:
            await asyncio.gather(*(server.stop() for server in servers.values()))
        self._servers.clear()
        await self._watchdog.stop()
        await self._courtesy.stop()
        await self.fences.egress.stop()
        if not keep:
            self.fences.cgroups.sweep()


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


def _network(terms: Terms) -> str:
    if terms.packages:
        return "packages"
    return "off" if terms.network is None else "on"
