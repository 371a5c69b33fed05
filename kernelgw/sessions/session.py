"""A session: one chat. Its kernels, which share a workspace, and all that happened in it, in one order."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime

from ..artifacts.contents import Drawer
from ..errors import BadRequest, DiskFull, KernelNotFound, SessionNotFound, TooManyKernels
from ..events.journal import Journal
from ..events.log import EventLog
from ..events.outputs import Outputs
from ..kernel.box import Box
from ..kernel.kernel import Kernel
from ..languages import Language
from ..sandbox.workspaces import Workspace
from . import notes
from .artifacts import Artifacts
from .execution import Execution, Order
from .hints import hint
from .history import History
from .lane import Lane
from .lifecycle import LIVE, State
from .notes import Note
from .plan import Plan
from .recorder import Recorder
from .restore import Restored
from .seams import KernelSource

HISTORY_SHARE = 2  # All executions together may keep this many times what one may.
KERNEL_NAME = re.compile(r"(?!\.\.?$)[A-Za-z0-9._-]{1,64}")
# Of which a session shows the one that says most.
BUSIEST = (State.BUSY, State.STARTING, State.IDLE)


class Session:
    """Get-or-create makes one of these. All methods are called in the event loop; none blocks it."""

    def __init__(
        self,
        id_: str,
        plan: Plan,
        language: Language,
        source: KernelSource,
        journal: Journal | None = None,
        drawer: Drawer | None = None,
    ) -> None:
        """`language`: of its own kernel, the one that there always is."""
        self.id = id_
        self.plan = plan
        self.source = source
        self.workspace: Workspace | None = None
        # Where its kernels are, and its turn: who makes the first kernel makes that too.
        self.box: Box | None = None
        self.making = asyncio.Lock()
        self.log = EventLog(plan.log_bytes, journal)
        self.history = History(plan.history_length, HISTORY_SHARE * plan.output_bytes)
        self.executions = self.history.executions
        self.created_at = datetime.now(UTC)
        self.active_at = time.monotonic()
        self.artifacts = Artifacts(id_, self.log, drawer, plan.artifacts)
        self._closing = False
        self._recorders: dict[str, Recorder] = {}
        self.main = Lane(self, language.kernel, language, "")
        self.lanes = {self.main.name: self.main}
        if journal is not None:
            journal.heading = lambda: notes.heading(self)

    def begin(self) -> None:
        """A new one: from now on it is known to whoever comes after us. Raises DiskFull."""
        self.log.note({"begun": self.id})
        self.log.flush()
        if self.log.failure is not None:
            raise DiskFull(f"The session cannot be written down: {self.log.failure.strerror}.")

    def restore(self) -> Note | None:
        """Takes up what an earlier gateway wrote of this session. Returns what it wrote of the workspace. Then each
        lane has to be told to `attach` to the kernel that it noted, or that it is `detached`, and `resume` follows."""
        found = Restored(self.id, self.log, self.history, self.recorder, self.artifacts, self.plan.output_bytes)
        found.replay()
        self.created_at = found.created_at
        for key, each in found.lanes.items():
            known = self.main
            if each.language is not None:
                known = self._open(key, self.source.language(each.language, self.plan.environment))
            known.restore(each)
        for execution in self.executions.values():
            execution.kernel = execution.kernel or self.main.name
        return found.workspace

    def resume(self) -> None:
        """Kernels can be had now."""
        self._closing = False
        for lane in self._lanes():
            lane.resume()

    # its kernels

    def lane(self, name: str) -> Lane:
        """Raises KernelNotFound."""
        found = self.lanes.get(name)
        if found is None:
            raise KernelNotFound(f"There is no kernel {name[:100]!r} in session {self.id!r}.", kernels=list(self.lanes))
        return found

    def lane_for(self, language: Language | None, name: str | None) -> Lane:
        """Where code of a language is to run: the kernel of that name, or the language's own. Raises BadRequest,
        TooManyKernels."""
        language = language or self._spoken(name)
        name = language.kernel if name is None else name
        if KERNEL_NAME.fullmatch(name) is None:
            raise BadRequest(
                f"{name[:100]!r} cannot be a kernel's name.",
                "Use 1 to 64 letters, digits, dots, dashes or underscores.",
            )
        found = self.lanes.get(name)
        if found is not None:
            found.check_speaks(language)
            return found
        if len(self.lanes) >= self.plan.max_kernels:
            raise TooManyKernels(f"This session has {len(self.lanes)} kernels already.", kernels=list(self.lanes))
        lane = self._open(name, language)
        self.log.note(notes.lane(lane))
        return lane

    def _spoken(self, name: str | None) -> Language:
        return self.lanes[name].language if name in self.lanes else self.main.language

    def _open(self, name: str, language: Language) -> Lane:
        lane = self.lanes[name] = Lane(self, name, language, name)
        return lane

    def recorder(self, key: str) -> Recorder:
        """What writes down what the kernel says that the journal knows by that key."""
        found = self._recorders.get(key)
        if found is None:
            reach, once = self.plan.reach, self.plan.once
            found = Recorder(self.log, lambda error, language: hint(error, reach, language, once), once)
            self._recorders[key] = found
        return found

    async def close(self, lane: Lane) -> None:
        """Ends a kernel; returns when nothing of it is left. The session's own comes again when it is used."""
        if lane is self.main:
            await lane.rest()
            return
        if self.lanes.pop(lane.name, None) is not None:
            await lane.end("The kernel was ended.")
            self.log.note({"lane_ended": lane.key})
            # Before anybody is told.
            self.log.flush()
            self._recorders.pop(lane.key, None)

    def _lanes(self) -> list[Lane]:
        return list(self.lanes.values())

    @property
    def state(self) -> State:
        """Of the kernel that says most."""
        states = [lane.state for lane in self.lanes.values()]
        return next((state for state in BUSIEST if state in states), self.main.state)

    @property
    def live(self) -> bool:
        """Whether it has a kernel, or is about to."""
        return any(lane.state in LIVE for lane in self.lanes.values())

    @property
    def quiet(self) -> bool:
        return all(lane.quiet for lane in self.lanes.values())

    @property
    def kernels(self) -> list[Kernel]:
        return [lane.kernel for lane in self.lanes.values() if lane.kernel is not None]

    # what doors call

    def execute(
        self,
        lane: Lane,
        code: str,
        language: str,
        timeout_s: float | None = None,
        stdin: bool = False,
        order: Order | None = None,
        given: str | None = None,
    ) -> Execution:
        """Queues a cell; it starts now if nothing is before it. Raises QueueFull, SessionNotFound, PausedInDebugger.

        `order`: when another door asks, with an id that is new here. `given`: all that it may read from its standard
        input."""
        if self._closing:
            raise SessionNotFound(f"The session {self.id!r} is being ended.")
        if order is None:
            lane.debugging.check()
        lane.waiting.check_room()
        limit = self.plan.timeout_s if timeout_s is None else timeout_s
        execution = Execution(
            self.id,
            code,
            language,
            Outputs(self.plan.output_bytes),
            limit or None,
            stdin=stdin,
            order=order,
            given=given,
            kernel=lane.name,
            lane=lane.key,
        )
        self.artifacts.watch(execution)
        execution.first_seq = self.log.last + 1
        self.log.note(notes.queued(execution))
        self.history.add(execution)
        self.touch()
        lane.add(execution)
        return execution

    def interrupt(self) -> None:
        """Stops what runs and drops what waits, in all kernels."""
        for lane in self._lanes():
            lane.interrupt()

    def stop(self, execution: Execution) -> None:
        """Stops one execution, wherever it is: its caller has gone and wanted that."""
        if (lane := self.lanes.get(execution.kernel)) is not None:
            lane.stop(execution)

    def answer_input(self, execution: Execution, value: str) -> None:
        """Raises NotWaitingForInput."""
        self.lane(execution.kernel).dialogue.answer(execution, value)
        self.touch()

    def restart(self) -> None:
        """Fresh kernels: variables go, files stay."""
        self.main.restart()
        for lane in self._lanes():
            if lane is not self.main and lane.state in LIVE:
                lane.restart()

    def sleep(self, why: str) -> None:
        """Gives its kernels up; the session stays, and gets new ones when it is used again."""
        for lane in self._lanes():
            lane.sleep(why)

    async def end(self) -> None:
        """The end of the session; returns when nothing of its kernels is left."""
        self._closing = True
        await asyncio.gather(*(lane.end("The session was ended.") for lane in self._lanes()))
        self.log.close()

    async def leave(self, keep: bool = False) -> None:
        """The end of the gateway; the session stays as it is for the next one, and with `keep` its kernels too."""
        self._closing = True
        await asyncio.gather(*(lane.leave(keep) for lane in self._lanes()))
        if keep:
            for execution in self.executions.values():
                execution.part()
        self.log.close()

    def completed(self, execution: Execution) -> None:
        self.history.completed(execution)
        event = self.log.append("execution.completed", execution.summary(), execution.id, execution.summary_size)
        execution.last_seq = event.seq
        self.log.flush()

    def touch(self) -> None:
        self.active_at = time.monotonic()
