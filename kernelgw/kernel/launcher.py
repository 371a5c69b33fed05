"""From "a kernel, please" to one that is sealed, connected and listening; and back to nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from ..environments import Environment
from ..errors import IsolationUnavailable
from ..sandbox import bubblewrap
from ..sandbox.identity import Identities, own
from ..sandbox.policy import HOME, Limits, Policy
from .forkserver import ForkServer
from .kernel import START_TIMEOUT_S, Kernel, Workspace
from .listeners import CHANNELS

log = logging.getLogger("kernelgw.kernel")


class Launcher:
    """Makes kernels. Owns the fork servers and the run directory."""

    def __init__(self, data_dir: Path, bwrap: str | None, identities: Identities, limits: Limits) -> None:
        self.run_dir = data_dir / "run"
        self.workspaces = data_dir / "workspaces"
        self.bwrap = bwrap
        self.identities = identities
        self.limits = limits
        self.etc = self.run_dir / "etc"
        self._servers: dict[str, ForkServer] = {}
        self._starting: dict[str, asyncio.Task[ForkServer]] = {}

    def prepare(self) -> None:
        """The directories; what an earlier gateway left in the run directory goes, save its fork servers."""
        self.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.workspaces.mkdir(exist_ok=True)
        # Sessions' uids pass through, to directories whose names they cannot list.
        self.workspaces.chmod(0o711)
        for leftover in self.run_dir.iterdir():
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
        for leftover in self.workspaces.iterdir():
            remove_tree(leftover)
        if self.bwrap is not None:
            bubblewrap.write_etc(self.etc)

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
        sandboxed = [environment.prefix, *_interpreter_of(environment), self.etc, self.workspaces]
        await server.start([str(path) for path in sandboxed] if self.bwrap is not None else [])
        self._servers[environment.name] = server
        return server

    def new_workspace(self) -> Workspace:
        uid = self.identities.take() if self.bwrap is not None else None
        path = self.workspaces / uuid.uuid4().hex
        path.mkdir(mode=0o700)
        own(path, uid)
        return Workspace(path, uid)

    async def remove_workspace(self, workspace: Workspace) -> None:
        """Off the loop unless it is empty: a session may have left a lot."""
        try:
            workspace.path.rmdir()
        except OSError:
            await asyncio.to_thread(remove_tree, workspace.path)
        self.identities.give_back(workspace.uid)

    async def launch(self, environment: Environment, workspace: Workspace, variables: Mapping[str, str]) -> Kernel:
        """A kernel that is sealed and listening. Raises KernelDidNotStart, and leaves nothing behind then."""
        server = await self.server(environment)
        kernel = Kernel(server, workspace, self.bwrap is not None)
        server.watch(kernel.id, kernel.on_event)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._spawn(kernel, environment, workspace, variables)
                await kernel.sealed
                await kernel.client.welcomed()
        except BaseException as error:
            kernel.end("it did not start")
            kernel.discard()
            if isinstance(error, OSError):
                raise kernel.not_started(error) from error
            raise
        return kernel

    async def _spawn(
        self, kernel: Kernel, environment: Environment, workspace: Workspace, variables: Mapping[str, str]
    ) -> None:
        if self.bwrap is not None:
            self._build_sandbox(kernel, environment, workspace)
        fds, write = await kernel.open(self.run_dir / kernel.id)
        try:
            await kernel.server.request(
                "spawn",
                fds,
                id=kernel.id,
                sandbox=kernel.id if self.bwrap is not None else None,
                seal={"uid": workspace.uid, "cwd": kernel.home, "limits": self.limits.as_rlimits()},
                boot={
                    "driver": "python",
                    "channels": CHANNELS,
                    "env": self._variables(environment, workspace, variables),
                },
            )
        finally:
            os.close(write)
            kernel.handed_over()

    def _build_sandbox(self, kernel: Kernel, environment: Environment, workspace: Workspace) -> None:
        policy = Policy(
            workspace.path,
            environment.prefix,
            self.etc,
            workspace.uid,
            read_only=_interpreter_of(environment),
        )
        parts = bubblewrap.arguments(policy)
        kernel.server.tell(
            "sandbox",
            id=kernel.id,
            bwrap=self.bwrap,
            args=parts.before,
            binds=parts.binds,
            finish=parts.finish,
            uid=workspace.uid,
        )

    def _variables(
        self, environment: Environment, workspace: Workspace, variables: Mapping[str, str]
    ) -> dict[str, str]:
        home = HOME if self.bwrap is not None else str(workspace.path)
        return {
            "PATH": f"{environment.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": home,
            "USER": "user",
            "LOGNAME": "user",
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "PAGER": "cat",
            # Programs that a cell starts write to a pipe, and would keep their output until they end.
            "PYTHONUNBUFFERED": "1",
            "GIT_PAGER": "cat",
            "VIRTUAL_ENV": str(environment.prefix),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "MPLCONFIGDIR": "/tmp/matplotlib" if self.bwrap is not None else str(workspace.path / ".matplotlib"),
            "PLOTLY_RENDERER": "plotly_mimetype",
            **environment.variables,
            **variables,
        }

    async def stop(self) -> None:
        """Ends every fork server and with it every kernel."""
        await asyncio.gather(*(server.stop() for server in self._servers.values()))
        self._servers.clear()


def _interpreter_of(environment: Environment) -> tuple[Path, ...]:
    """Where the environment's interpreter really lives, unless that is part of /usr anyway."""
    config = (environment.prefix / "pyvenv.cfg").read_text()
    home = next((line.partition("=")[2].strip() for line in config.splitlines() if line.startswith("home")), "")
    prefix = Path(home).parent
    if not home or prefix.is_relative_to("/usr"):
        return ()
    return (prefix,)


def choose_isolation(wanted: str) -> str | None:
    """bubblewrap's path for `auto` and `bubblewrap`, None for `none`. Raises IsolationUnavailable: `auto`
    never means none."""
    if wanted == "none":
        return None
    if wanted not in ("auto", "bubblewrap"):
        raise IsolationUnavailable(f"There is no isolation called {wanted!r}.", "Use auto, bubblewrap or none.")
    return bubblewrap.probe()


def remove_tree(path: Path) -> None:
    """Whatever a session made of it. `rm` follows no links and minds no depth; Python's own is recursive."""
    result = subprocess.run(["/bin/rm", "-rf", "--", str(path)], capture_output=True, text=True)
    if result.returncode != 0:
        log.warning("cannot remove %s: %s", path, result.stderr.strip()[-500:])
