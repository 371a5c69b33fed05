"""All sessions: found, created once, given kernels, put to sleep when idle, ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..doctor import check
from ..errors import (
    BadRequest,
    DiskFull,
    GatewayError,
    GatewayStopping,
    HouseFull,
    SessionNotFound,
    UnknownLanguage,
)
from ..kernel.exits import GATEWAY_GONE
from ..kernel.kernel import Kernel
from ..kernel.launcher import Launcher, Terms
from ..kernel.specs import languages_of
from ..languages import DEFAULT, Language, Languages
from ..sandbox.policy import Limits
from ..sandbox.workspaces import Workspace
from ..settings import Settings
from ..store.service import Store
from .artifacts import Allowance
from .execution import Execution, Order
from .lane import Lane
from .lifecycle import LIVE, State
from .plan import Plan
from .pools import Pools
from .session import Session
from .shelf import Shelf
from .terms import ASK_FOR_LESS, agree

# Whoever writes a URL takes "." and ".." out of it, and then means another one.
ID = re.compile(r"(?!\.\.?$)[A-Za-z0-9._-]{1,128}")
# The driver of a language that there is none of any more.
GONE = "gone"
RETRY_AFTER_S = 5
CULL_INTERVAL_S = 1.0
log = logging.getLogger("kernelgw.sessions")


class Registry:
    """Also the source of kernels for its sessions."""

    def __init__(self, settings: Settings, launcher: Launcher, store: Store | None = None) -> None:
        self.settings = settings
        self.launcher = launcher
        # Of older executions than sessions keep themselves; None where there is none.
        self.store = store
        self.sessions: dict[str, Session] = {}
        # By environment; of kernels that somebody installs there it hears when it is started again.
        self._languages: dict[str, Languages] = {}
        self._pools = Pools(settings, launcher, lambda: self.has_room)
        self._shelf = Shelf(settings.data_dir, settings.keep == "disk", store, settings.free_bytes)
        self._keep = False
        self._leaving = False
        # Called with the name of each session that is gone for good.
        self.ended: Callable[[str], None] | None = None
        self._culler: asyncio.Task[None] | None = None

    def check_open(self) -> None:
        """Raises GatewayStopping: sessions are there still, and cannot be told of any more."""
        if self._leaving:
            raise GatewayStopping("The gateway is being stopped.")

    @property
    def leaving(self) -> bool:
        return self._leaving

    async def open(self) -> None:
        """Starts the default environment and its pool. Raises GatewayError."""
        # Until all is up, what was found stays as it is: a start that fails must end nobody's session.
        self._keep = self._shelf.kept
        # First, since one that is not built is no reason to end what lives in an earlier build of it.
        pool = self._pools.find(self.settings.environment)
        self._shelf.prepare()
        await self.launcher.prepare()
        await self._restore()
        await self.launcher.server(pool.environment)
        if self.launcher.fences.sandboxed:
            await check.require(self.launcher, pool.environment, pool.terms, self.settings.port)
        if self.store is not None:
            await self.store.open()
        for session in self.sessions.values():
            session.resume()
        pool.refill()
        self._keep = False
        self._culler = asyncio.create_task(self._cull())

    async def close(self) -> None:
        if self._culler is not None:
            self._culler.cancel()
        await self._pools.close()
        await self.leave_all(self._keep)
        await self.launcher.stop(self._keep)
        self._shelf.close()
        if self.store is not None:
            await self.store.close()

    async def leave_all(self, keep: bool = False) -> None:
        """Before the gateway ends: streams end, so that readers leave by themselves. The sessions stay. `keep`: their
        kernels too, and what they run; the next gateway goes on with them."""
        self._leaving = True
        keep = self._keep = keep and self._shelf.kept
        await asyncio.gather(*(session.leave(keep) for session in self.sessions.values()))
        self.sessions.clear()

    async def _restore(self) -> None:
        """What an earlier gateway knew, and what of it lives."""
        for name, beginning in self._shelf.found():
            try:
                await self._restore_one(name, beginning.get("session", {}).get("wishes", {}))
            except OSError as error:
                # The others are not to pay for it.
                log.error("session %s cannot be read and is left out: %s", name, error)
        lived_in_now = [str(each.workspace.path) for each in self.sessions.values() if each.workspace is not None]
        await asyncio.to_thread(self._shelf.artifacts.sweep)
        kernels = [kernel.id for each in self.sessions.values() for kernel in each.kernels]
        await self.launcher.sweep(kernels, lived_in_now)

    async def _restore_one(self, name: str, wishes: dict[str, Any]) -> None:
        plan = self._plan_again(name, wishes)
        session = self._session(name, plan)
        lived_in = session.restore()
        session.active_at = time.monotonic() - self._shelf.age(name)
        if lived_in is not None:
            session.workspace = self.launcher.workspaces.adopt(lived_in)
        self.sessions[name] = session
        for lane in session.lanes.values():
            await self._find_kernel(lane, replace(plan.terms, session=name))

    async def _find_kernel(self, lane: Lane, terms: Terms) -> None:
        """Of an earlier gateway's."""
        workspace = lane.session.workspace
        if lane.noted is None or workspace is None:
            lane.detached(GATEWAY_GONE)
            return
        found = await self.launcher.adopt(lane.noted, workspace, terms)
        if isinstance(found, Kernel):
            lane.session.box = found.box
            lane.attach(found)
        else:
            lane.detached(found)

    def _plan_again(self, name: str, wishes: dict[str, Any]) -> Plan:
        """What it was allowed, if that may still be had."""
        try:
            return self._plan(wishes)
        except GatewayError as error:
            log.warning("session %s goes on with the gateway's own limits: %s", name, error)
            return self._plan({})

    # sessions

    def get(self, name: str) -> Session:
        session = self.sessions.get(name)
        if session is None:
            raise SessionNotFound(f"There is no session {name[:200]!r}.")
        return session

    def get_or_create(self, name: str | None, wishes: dict[str, Any] | None = None) -> tuple[Session, bool]:
        """The session and whether it is new. Raises BadRequest, UnknownLanguage, UnknownEnvironment, HouseFull."""
        if name is not None and (found := self.sessions.get(name)) is not None:
            return found, False
        name = str(uuid.uuid4()) if name is None else name
        if ID.fullmatch(name) is None:
            raise BadRequest(
                f"{name[:200]!r} cannot be a session's id.",
                "Use 1 to 128 letters, digits, dots, dashes or underscores.",
            )
        plan = self._plan(wishes or {})
        self.admit(plan.terms.limits)
        session = self._session(name, plan)
        session.begin()
        self.sessions[name] = session
        return session, True

    def _session(self, name: str, plan: Plan) -> Session:
        journal = self._shelf.journal(name, plan.log_bytes)
        return Session(
            name, plan, self.language(plan.language, plan.environment), self, journal, self._shelf.drawer(journal)
        )

    def _plan(self, wishes: dict[str, Any]) -> Plan:
        settings = self.settings
        environment = wishes.get("environment") or settings.environment
        self._pools.find(environment)
        idle = wishes.get("idle_timeout_s")
        limits = {name: value for name, value in (wishes.get("limits") or {}).items() if value is not None}
        output_bytes = int(limits.pop("output_bytes", settings.output_bytes))
        if output_bytes > settings.output_bytes:
            raise BadRequest(f"limits: output_bytes may be {settings.output_bytes} at most here.", ASK_FOR_LESS)
        network = wishes.get("network") or "off"
        return Plan(
            language=(self.speaks(wishes["language"], environment) if wishes.get("language") else DEFAULT).name,
            environment=environment,
            terms=agree(settings, limits, network, self.launcher.fences.cgroups.controllers),
            network=network,
            walls=self.launcher.fences.sandboxed,
            variables=dict(wishes.get("env") or {}),
            cwd=wishes.get("cwd") or "",
            idle_timeout_s=settings.idle_timeout_s if idle is None else float(idle),
            timeout_s=settings.timeout_s,
            grace_s=settings.grace_s,
            pause_s=settings.pause_s,
            debugger_grace_s=settings.debugger_grace_s,
            output_bytes=output_bytes,
            log_bytes=settings.log_bytes,
            artifacts=Allowance.of(settings),
            history_length=settings.history_length,
            max_queued=settings.max_queued,
            max_kernels=settings.max_kernels,
            wishes=wishes,
        )

    def languages(self, environment: str | None = None) -> Languages:
        """What sessions in an environment may speak. Raises UnknownEnvironment, EnvironmentNotBuilt."""
        name = environment or self.settings.environment
        if name not in self._languages:
            self._languages[name] = languages_of(self._pools.find(name).environment, self.settings.data_dir)
        return self._languages[name]

    def speaks(self, name: str, environment: str | None = None) -> Language:
        """By its name or another that people have for it. Raises UnknownLanguage, and as `languages`."""
        languages = self.languages(environment)
        found = languages.find(name)
        if found is None:
            raise UnknownLanguage(f"There is no language {name[:200]!r} here.", languages=languages.names)
        return found

    def language(self, name: str | None, environment: str) -> Language:
        """That of a session which was made here; the default for None."""
        found = DEFAULT if name is None else self.languages(environment).find(name)
        return found or Language(str(name), str(name), str(name), GONE)

    async def delete(self, name: str) -> bool:
        """Returns whether all of it is gone: from a store that cannot be used now it goes later."""
        session = self.get(name)
        # First, so that nobody else ends it too, and the id is free for a new one at once.
        del self.sessions[name]
        if self.ended is not None:
            self.ended(name)
        self._shelf.put_away(session.log.journal)
        forgotten = self.store.forget(name, session.created_at.isoformat()) if self.store is not None else None
        await session.end()
        if session.workspace is not None:
            await self.launcher.remove_workspace(session.workspace)
        await self._shelf.remove(session.log.journal, session.artifacts.folder)
        return forgotten is None or await forgotten

    def execute(
        self,
        session: Session,
        code: str,
        language: str | None,
        timeout_s: float | None,
        stdin: bool,
        order: Order | None = None,
        *,
        kernel: str | None = None,
        given: str | None = None,
    ) -> Execution:
        """Runs code in a session: in its kernel of that name, or of that language. Raises HouseFull when it needs a
        kernel and there is no room, QueueFull, BadRequest, UnknownLanguage, TooManyKernels."""
        spoken = None if language is None else self.speaks(language, session.plan.environment)
        if not session.live:
            self.admit(session.plan.terms.limits)
        lane = session.lane_for(spoken, kernel)
        return session.execute(lane, code, (spoken or lane.language).name, timeout_s, stdin, order, given)

    def wake(self, lane: Lane) -> None:
        """Gives it a kernel if it has none. Raises HouseFull, DiskFull."""
        if lane.state not in LIVE:
            if not lane.session.live:
                self.admit(lane.session.plan.terms.limits)
            lane.wake()

    def restart(self, what: Session | Lane) -> None:
        session = what if isinstance(what, Session) else what.session
        if not session.live:
            self.admit(session.plan.terms.limits)
        what.restart()

    def warm(self) -> tuple[int, int]:
        """Warm kernels there are, and should be."""
        return self._pools.ready, self._pools.size

    # kernels

    async def take(self, lane: Lane) -> Kernel:
        """A kernel for a session: beside those that it has; warm if it has no workspace yet; else started in that."""
        session = lane.session
        async with session.making:
            kernel = await self._take(lane)
            session.box = kernel.box
        _claim(kernel, session.plan)
        return kernel

    async def _take(self, lane: Lane) -> Kernel:
        session, plan = lane.session, lane.session.plan
        if session.workspace is None:
            kernel = self._pools.use(plan.environment, lane.language).take(plan.terms)
            if kernel is not None:
                session.workspace = kernel.workspace
                return kernel
            session.workspace = await self._new_workspace(plan)
        pool = self._pools.find(plan.environment, lane.language)
        terms = replace(plan.terms, session=session.id)
        box = session.box if session.box is not None and session.box.open else None
        return await pool.launch(session.workspace, plan.variables, terms, box)

    async def _new_workspace(self, plan: Plan) -> Workspace:
        try:
            return await self.launcher.workspaces.new(plan.terms.limits.workspace_bytes)
        except OSError as error:
            raise DiskFull(f"There is no room for the session's files: {error.strerror or error}.") from None

    @property
    def live(self) -> int:
        """Sessions that have a kernel or are about to."""
        return sum(1 for session in self.sessions.values() if session.live)

    @property
    def has_room(self) -> bool:
        """For one more warm kernel."""
        places = self.settings.max_sessions - self.live - self._pools.ready
        return places > 0 and self.spare_disk >= self.settings.workspace_bytes

    @property
    def spare_disk(self) -> int:
        """Bytes of the host's disk that are neither kept free nor promised: whoever has a kernel may fill its
        workspace, and finds room then whatever others do."""
        spare = shutil.disk_usage(self.settings.data_dir).free - self.settings.free_bytes
        spare -= self._pools.promised
        for session in self.sessions.values():
            if session.live:
                workspace = session.workspace
                spare -= workspace.unwritten if workspace else session.plan.terms.limits.workspace_bytes
        return spare

    def admit(self, limits: Limits) -> None:
        """Called before a session gets something to do that it needs a kernel for. Raises HouseFull, DiskFull."""
        if self.live >= self.settings.max_sessions:
            raise HouseFull(
                f"All {self.settings.max_sessions} places for live sessions are taken.", retry_after_s=RETRY_AFTER_S
            )
        spare = self.spare_disk
        if spare < limits.workspace_bytes:
            raise DiskFull(
                f"A live session is promised {limits.workspace_bytes >> 20} MiB of disk, and of the disk "
                f"{max(spare, 0) >> 20} MiB are neither promised nor kept free.",
                spare=spare,
            )

    # housekeeping

    async def _cull(self) -> None:
        while True:
            await asyncio.sleep(CULL_INTERVAL_S)
            now = time.monotonic()
            # Those that found the house full have stopped filling; there may be room now.
            self._pools.refill()
            for session in list(self.sessions.values()):
                limit = session.plan.idle_timeout_s
                if limit and session.state is State.IDLE and session.quiet and now - session.active_at > limit:
                    session.sleep("idle")
            await self._forget_old(now)
            await self.launcher.retire()

    async def _forget_old(self, now: float) -> None:
        most = self.settings.retention_s
        old = [each for each in self.sessions.values() if not each.live and now - each.active_at > most]
        for session in old if most else ():
            log.info("session %s is forgotten: nobody has used it for %.0f days", session.id, most / 86400)
            with contextlib.suppress(SessionNotFound):
                await self.delete(session.id)
        if self.settings.artifact_retention_s:
            for session in self.sessions.values():
                session.artifacts.expire(self.settings.artifact_retention_s)


def _claim(kernel: Kernel, plan: Plan) -> None:
    """Makes a kernel the session's. Sent ahead of the first cell on the same socket, so it needs no waiting."""
    if plan.variables or plan.cwd:
        cwd = str(Path(kernel.home, plan.cwd)) if plan.cwd else None
        kernel.client.send("shell", "claim_request", uuid.uuid4().hex, {"env": plan.variables, "cwd": cwd})
