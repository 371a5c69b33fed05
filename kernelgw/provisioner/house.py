"""What all kernels share that one Jupyter client's process has: a thread with a loop, a slot, launchers.

Jupyter's clients call from loops of their own, which may well stand still between two calls. So everything of ours runs
in one that is ours, in a thread.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ..doctor import check
from ..environments import Environment, find
from ..kernel.fences import NETWORKS, raise_fences
from ..kernel.forkserver import end_leftover
from ..kernel.kernel import Kernel
from ..kernel.launcher import Launcher, Terms
from ..kernel.plain import Door
from ..kernel.specs import languages_of
from ..languages import PYTHON, TYPESCRIPT, Language
from ..sandbox.policy import Limits
from ..sandbox.workspaces import Workspace
from ..sessions.terms import agree
from ..settings import BadSetting, Settings, load
from .slot import UIDS, Slot, claim

ISOLATIONS = ("auto", "bubblewrap", "none")
WORKSPACES = ("cwd", "empty")
CLOSE_S = 15.0
T = TypeVar("T")
log = logging.getLogger("kernelgw.provisioner")


@dataclass(frozen=True)
class Wish:
    """What a kernelspec asks for. `language` and `network` as a session's; `limits` by the names of settings;
    `data_dir`: where people's own environments are, when not in the usual place."""

    environment: str = "default"
    language: str = PYTHON
    workspace: str = "cwd"
    isolation: str = "auto"
    network: Any = "off"
    limits: Mapping[str, float] = field(default_factory=dict)
    data_dir: str = ""

    def spoken(self, environment: Environment) -> Language:
        """Raises BadSetting."""
        offered = languages_of(environment, self.settings().data_dir)
        found = offered.find(self.language)
        if found is None or found.name == TYPESCRIPT:
            # Stock clients do not say of a cell that it is in another language than its kernel's first.
            names = ", ".join(name for name in offered.names if name != TYPESCRIPT)
            raise BadSetting(f"language: there is no kernel of {self.language!r} here, but of {names}")
        return found

    def settings(self, slot: Slot | None = None) -> Settings:
        """Raises BadSetting."""
        if unknown := set(self.limits) - {each.name for each in fields(Limits)}:
            raise BadSetting(f"limits: there is none called {', '.join(sorted(unknown))}")
        if self.isolation not in ISOLATIONS or self.workspace not in WORKSPACES:
            raise BadSetting(f"isolation is one of {', '.join(ISOLATIONS)}; workspace one of {', '.join(WORKSPACES)}")
        given: dict[str, Any] = {"isolation": self.isolation, "networks": NETWORKS, **self.limits}
        if self.data_dir:
            given["data_dir"] = self.data_dir
        if slot is not None:
            usual = load({}, os.environ)
            given["data_dir"] = slot.folder / f"{self.isolation}-{self.workspace}"
            given["uid_first"] = slot.first_uid(usual.uid_first + usual.uid_count)
            given["uid_count"] = UIDS - 1
            given["workspaces"] = "auto" if self.workspace == "empty" else "directory"
        return load(given, os.environ)


NAMES = tuple(each.name for each in fields(Wish))


@dataclass
class Place:
    """One notebook's: what its kernel is made of, the same over all restarts."""

    launcher: Launcher
    environment: Environment
    terms: Terms
    workspace: Workspace
    sockets: Path
    language: Language
    launched: bool = False

    async def launch(self, variables: Mapping[str, str], key: str, signature_scheme: str) -> Kernel:
        """Raises GatewayError."""
        door = replace(self.door(key, signature_scheme), again=self.launched)
        self.launched = True
        made = self.environment, self.workspace, variables, self.terms
        return await self.launcher.launch(*made, door, self.language)

    def door(self, key: str, signature_scheme: str) -> Door:
        return Door(self.sockets, key, signature_scheme)

    async def leave(self) -> None:
        await self.launcher.remove_workspace(self.workspace)


class House:
    """Of this process. `do` and `soon` are called from any thread, the rest from its loop."""

    _guard: ClassVar[threading.Lock] = threading.Lock()
    _present: ClassVar[House | None] = None

    @classmethod
    def here(cls) -> House:
        """The same one for all of a process, made on first use. Raises OSError, GatewayError."""
        with cls._guard:
            # A process that was forked has none of its parent's threads.
            if cls._present is None or cls._present._pid != os.getpid():
                cls._present = cls(load({}, os.environ).data_dir / "jupyter")
            return cls._present

    def __init__(self, base: Path) -> None:
        self._pid = os.getpid()
        self._base = base
        self.slot = claim(base)
        self.closing = False
        self._launchers: dict[str, asyncio.Task[Launcher]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kernelgw", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs it in this house's loop and waits in the caller's."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def soon(self, call: Callable[..., object], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(call, *arguments)

    async def settle(self, wish: Wish, folder: Path | None, read_only: tuple[str, ...]) -> Place:
        """`folder`: what is lent as the workspace; None for an empty one. Raises GatewayError, ValueError, OSError."""
        environment = find(wish.environment, wish.settings().data_dir)
        language = wish.spoken(environment)
        settings = wish.settings(self.slot)
        launcher = await self._launcher(settings, environment)
        limits = {name: getattr(settings, name) for name in wish.limits}
        terms = agree(settings, limits, wish.network, launcher.fences.cgroups.controllers)
        workspaces = launcher.workspaces
        if folder is None:
            workspace = await workspaces.new(terms.limits.workspace_bytes)
        else:
            workspace = workspaces.lend(folder, read_only)
        return Place(launcher, environment, terms, workspace, self.slot.sockets / uuid.uuid4().hex[:12], language)

    async def _launcher(self, settings: Settings, environment: Environment) -> Launcher:
        """One for each way of isolation; a failed one is tried again by whoever asks next."""
        kind = settings.data_dir.name
        task = self._launchers.get(kind)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._launchers[kind] = asyncio.create_task(self._open(settings, environment))
        return await asyncio.shield(task)

    async def _open(self, settings: Settings, environment: Environment) -> Launcher:
        """Raises IsolationUnavailable when its kernels would not be isolated: tried, as a gateway does."""
        fences = await asyncio.to_thread(raise_fences, settings)
        for leftover in (settings.data_dir / "run").glob("*.sock"):
            await end_leftover(leftover)
        launcher = Launcher(settings.data_dir, fences, self._base / "cache", grace_s=0.0)
        await launcher.prepare()
        await launcher.sweep((), ())
        if not fences.sandboxed:
            log.warning("kernels run as this user, unprotected, as their kernelspec says (isolation: none)")
            return launcher
        try:
            with socket.create_server(("127.0.0.1", 0)) as somebody:
                await check.require(launcher, environment, Terms(Limits.of(settings)), somebody.getsockname()[1])
        except BaseException:
            await launcher.stop()
            raise
        return launcher

    def close(self) -> None:
        """Ends all kernels and fork servers and leaves nothing. Called as the process ends; were it killed, the fork
        servers would end by themselves, and whoever claims the slot next would clear it."""
        if self._pid != os.getpid() or not self._thread.is_alive():
            return
        self.closing = True
        closing = asyncio.run_coroutine_threadsafe(self._close(), self._loop)
        with contextlib.suppress(TimeoutError, CancelledError):
            closing.result(CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()
        self.slot.give_back()
        with House._guard:
            House._present = None if House._present is self else House._present

    async def _close(self) -> None:
        for task in self._launchers.values():
            if task.done() and not task.cancelled() and task.exception() is None:
                await task.result().stop()
            else:
                task.cancel()
