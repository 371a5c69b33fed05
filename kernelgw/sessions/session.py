"""A session: executions one after another in one live kernel, told as events.

Driven by callbacks rather than a task: what a kernel says is handled where it arrives, which keeps a trivial
cell at one hop from the socket to the waiting request.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

from ..artifacts.contents import Drawer
from ..errors import DiskFull, GatewayError, SessionNotFound
from ..events.journal import Journal
from ..events.log import EventLog
from ..events.outputs import Outputs
from ..kernel.exits import Exit
from ..kernel.kernel import Kernel
from ..sandbox.workspaces import Workspace
from . import notes
from .artifacts import Artifacts
from .deadline import Deadline
from .debugging import Debugging
from .dialogue import Dialogue
from .ending import Ending
from .execution import Execution, Order, Status
from .hints import hint
from .history import History
from .inbox import Inbox
from .lifecycle import WITHOUT_KERNEL, State, move
from .notes import Note
from .plan import Plan
from .queue import Queue
from .recorder import Recorder
from .restore import Restored
from .seams import KernelSource, Watcher

HISTORY_SHARE = 2  # All executions together may keep this many times what one may.


class Session:
    """Get-or-create makes one of these. All methods are called in the event loop; none blocks it."""

    def __init__(
        self, id_: str, plan: Plan, source: KernelSource, journal: Journal | None = None, drawer: Drawer | None = None
    ) -> None:
        self.id = id_
        self.plan = plan
        self.state = State.NEW
        self.reason: str | None = None
        self.workspace: Workspace | None = None
        self.log = EventLog(plan.log_bytes, journal)
        self.history = self._history = History(plan.history_length, HISTORY_SHARE * plan.output_bytes)
        self.executions = self._history.executions
        self.created_at = datetime.now(UTC)
        self.active_at = time.monotonic()
        self.generation = 0
        self._source = source
        self._queue = Queue(plan.max_queued, self._complete)
        self._recorder = Recorder(self.log, lambda name, value: hint(name, value, plan.network != "off"))
        self._starting: asyncio.Task[None] | None = None
        self.artifacts = Artifacts(id_, self.log, drawer, plan.artifacts)
        self.dialogue = Dialogue(self.log, self._recorder, self.executions, self._over, self.artifacts)
        self._inbox = Inbox(self.dialogue, self.artifacts)
        self._ending = Ending(self.log, self.artifacts, self._complete)
        self._deadline = Deadline(self.log, self.dialogue, plan.grace_s)
        self.debugging = Debugging(self.log, self.dialogue, self._deadline, plan, lambda: self.state)
        self._watcher: Watcher | None = None
        self._lost: str | None = None
        self._closing = False
        if journal is not None:
            journal.heading = lambda: notes.heading(self)

    def begin(self) -> None:
        """A new one: from now on it is known to whoever comes after us. Raises DiskFull."""
        self.log.note({"begun": self.id})
        self.log.flush()
        if self.log.failure is not None:
            raise DiskFull(f"The session cannot be written down: {self.log.failure.strerror}.")

    def restore(self) -> tuple[Note | None, Note | None]:
        """Takes up what an earlier gateway wrote of this session. Returns what it wrote of the kernel, if that may live
        on, and of the workspace. Then either `attach` or `detached` has to follow, and `resume`."""
        found = Restored(self.id, self.log, self._history, self._recorder, self.artifacts, self.plan.output_bytes)
        found.replay()
        self.state, self.reason, self.generation = found.state, found.reason, found.generation
        self.created_at = found.created_at
        self.dialogue.current = found.current
        self.debugging.restore(found.debugging, found.paused)
        for execution in found.queue:
            self._queue.add(execution)
        if self.state is State.DEAD:
            self._lost = self.reason
        return (found.kernel if self.state in (State.IDLE, State.BUSY) else None), found.workspace

    def attach(self, kernel: Kernel) -> None:
        """To the kernel that it had."""
        self._listen_to(kernel)
        kernel.client.resume(self.log.journal.taken if self.log.journal is not None else 0)
        if kernel.exit is not None:
            self._kernel_exited(kernel.exit)
            return
        if (execution := self.dialogue.current) is not None and execution.ended is not None:
            self._over(execution, execution.ended)
        elif execution is not None:
            # It may never have got there; it is not run twice.
            self.dialogue.ask(execution)
            self._deadline.watch(execution)
        self.debugging.resume()

    def detached(self, exit_: Exit) -> None:
        """Its kernel did not outlive the gateway, if it had one."""
        self._closing = True
        if self.state is State.STARTING:
            # What waits for a first kernel had counted on nothing.
            self._become(State.DEAD, exit_.reason)
            self._lost = exit_.reason
        elif self.state in (State.IDLE, State.BUSY):
            self._kernel_exited(exit_)
        if (execution := self.dialogue.current) is not None and execution.ended is not None:
            self._over(execution, execution.ended)

    def resume(self) -> None:
        """Kernels can be had now."""
        self._closing = False
        self._pump()

    @property
    def kernel(self) -> Kernel | None:
        return self.dialogue.kernel

    # what doors call

    def execute(
        self,
        code: str,
        language: str | None = None,
        timeout_s: float | None = None,
        stdin: bool = False,
        order: Order | None = None,
        given: str | None = None,
    ) -> Execution:
        """Queues a cell; it starts now if nothing is before it. Raises QueueFull, SessionNotFound, PausedInDebugger.

        `order`: when another door asks, with an id that is new here. `given`: all of its standard input."""
        if self._closing:
            raise SessionNotFound(f"The session {self.id!r} is being ended.")
        if order is None:
            self.debugging.check()
        self._queue.check_room()
        limit = self.plan.timeout_s if timeout_s is None else timeout_s
        outputs, language = Outputs(self.plan.output_bytes), language or self.plan.language
        execution = Execution(self.id, code, language, outputs, limit or None, stdin, given, order)
        self.artifacts.watch(execution)
        execution.first_seq = self.log.last + 1
        self.log.note(notes.queued(execution))
        self._history.add(execution)
        self._queue.add(execution)
        self.touch()
        self._pump()
        return execution

    def interrupt(self) -> None:
        """Stops the running cell and drops those that wait, as people mean by stop. No effect when idle."""
        self._queue.cancel(Status.INTERRUPTED, "Interrupted before it started.")
        self._stop_current()

    def stop(self, execution: Execution) -> None:
        """Stops one execution, wherever it is: its caller has gone and wanted that."""
        if execution is self.dialogue.current:
            self._stop_current()
        else:
            self._queue.drop(execution, Status.INTERRUPTED, "Its caller left before it started.")

    def answer_input(self, execution: Execution, value: str) -> None:
        """Raises NotWaitingForInput."""
        self.dialogue.answer(execution, value)
        self.touch()

    def restart(self) -> None:
        """A fresh kernel: variables go, files stay. What runs is killed, what waits is dropped."""
        self._queue.cancel(Status.KILLED, "The kernel was restarted before it ran.")
        self.touch()
        if self.kernel is not None:
            self.kernel.exited = lambda exit_: self._inbox.then(lambda: self._restarted(exit_))
            self.kernel.end("restarted")
        elif self.state in WITHOUT_KERNEL:
            self._start()

    def _restarted(self, exit_: Exit) -> None:
        self._kernel_exited(exit_)
        if self.state is State.DEAD and not self._closing:
            self._start()

    def wake(self) -> None:
        """Sees to it that there is a kernel, before there is anything to run."""
        if self.state in WITHOUT_KERNEL and not self._closing:
            self.touch()
            self._start()

    def watch(self, watcher: Watcher | None) -> None:
        self._watcher = watcher
        if self.kernel is not None:
            self._let_watch(self.kernel)

    def _let_watch(self, kernel: Kernel) -> None:
        kernel.client.tap = self._watcher.on_message if self._watcher is not None else None

    def sleep(self, why: str) -> None:
        """Gives the kernel up; the session stays and gets a new one when it is used again."""
        if self.kernel is not None:
            self.kernel.end(why)

    async def end(self) -> None:
        """The end of the session; returns when nothing of its kernel is left."""
        self._closing = True
        self.debugging.close()
        self._queue.cancel(Status.KILLED, "The session was ended.")
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        if (kernel := self.kernel) is not None:
            kernel.end("ended")
            await kernel.ended()
        await self._inbox.emptied()
        await self._ending.give_up(complete=True)
        self._become(State.ENDED, "ended")
        self.log.close()

    async def leave(self, keep: bool = False) -> None:
        """The end of the gateway; the session stays as it is for the next one, and with `keep` its kernel too."""
        self._closing = True
        self.debugging.close()
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        if (kernel := self.kernel) is not None and keep:
            self.dialogue.kernel = None
            kernel.leave()
            self._inbox.drop()
            await self._ending.give_up(complete=False)
            for execution in self.executions.values():
                execution.part()
        elif kernel is not None:
            kernel.end("stopped")
            await kernel.ended()
            await self._inbox.emptied()
        await self._ending.give_up(complete=True)
        self.log.close()

    def touch(self) -> None:
        self.active_at = time.monotonic()

    @property
    def quiet(self) -> bool:
        idle = self.dialogue.current is None and not self._queue and self._starting is None
        return idle and self.debugging.pause is None

    @property
    def waiting(self) -> Queue:
        return self._queue

    @property
    def current(self) -> Execution | None:
        return self.dialogue.current

    # the kernel's life

    def _start(self) -> None:
        if self._closing:
            return
        self._become(State.STARTING, self._lost)
        self._starting = asyncio.create_task(self._take_kernel())

    async def _take_kernel(self) -> None:
        try:
            kernel = await self._source.take(self)
        except GatewayError as error:
            self._become(State.DEAD, error.message)
            self._queue.fail(error, state_lost=self.generation > 0)
            return
        finally:
            self._starting = None
        self.generation += 1
        if self.workspace is not None:
            self.log.note({"workspace": self.workspace.as_note()})
        self.log.note({"kernel": kernel.as_note(), "generation": self.generation})
        # Each kernel counts from one.
        self.log.begin_at(kernel.client.taken)
        self._listen_to(kernel)
        if kernel.exit is not None:
            self._kernel_exited(kernel.exit)
            return
        self._become(State.IDLE)
        self._pump()

    def _listen_to(self, kernel: Kernel) -> None:
        self.dialogue.kernel = kernel
        kernel.client.listener, self._inbox.client = self._inbox, kernel.client
        self._let_watch(kernel)
        self.log.written = kernel.client.confirm
        kernel.exited = lambda exit_: self._inbox.then(lambda: self._kernel_exited(exit_))
        kernel.disconnected = self._queue.doom
        kernel.settled = self._pump
        self._queue.count_on_kernel()

    def _kernel_exited(self, exit_: Exit) -> None:
        kernel, self.dialogue.kernel = self.kernel, None
        self.debugging.forget()
        if kernel is not None:
            kernel.client.listener = None
        self._lost = exit_.reason
        self._recorder.forget_displays()
        if self.state is not State.ENDED:
            self._become(State.DEAD, exit_.reason)
        execution = self.dialogue.current
        if execution is not None and execution.ended is None:
            status = execution.stopping if exit_.cause == "deadline" else None
            execution.lost("KernelDied", exit_.reason, exit_.hint)
            self._ending.begin(execution, status or Status.KILLED, kernel)
        # What was waiting had counted on variables that are gone; what came later had not, nor what came after
        # a planned end.
        if exit_.cause not in ("restarted", "idle", "exited"):
            self._queue.drop_doomed(f"Not run, since the kernel ended before: {exit_.reason}")
        self._pump()

    # one after another

    def _pump(self) -> None:
        if self.dialogue.current is not None or not self._queue or self._closing:
            return
        if self.kernel is not None and self.state is State.IDLE:
            if self.kernel.free:
                self._begin(self._queue.take())
        elif self.state in WITHOUT_KERNEL:
            self._start()

    def _begin(self, execution: Execution) -> None:
        assert self.kernel is not None
        self.dialogue.current = execution
        execution.start()
        execution.first_seq = self.log.last + 1
        if self._lost is not None and self.generation > 1:
            data = {"state": State.STARTING.value, "reason": f"{self._lost} Variables were lost."}
            self.log.append("session.state", data, execution.id)
        self._lost = None
        self._become(State.BUSY)
        self.log.append("execution.started", execution.as_begun(), execution.id, len(execution.code))
        self._deadline.watch(execution)
        self.debugging.begun()
        # What the kernel may begin has to be known to whoever comes after us.
        self.log.flush()
        try:
            self.dialogue.ask(execution)
        except (TypeError, ValueError, OSError) as error:
            execution.error = {"name": "NotSent", "value": f"The code cannot be sent: {error}", "traceback": []}
            self._complete(execution, Status.FAILED)

    def _stop_current(self) -> None:
        if self.dialogue.current is not None:
            self._deadline.stop(Status.INTERRUPTED)
            self.debugging.over()
        elif self.debugging.pause is not None:
            self.debugging.let_go()

    def _over(self, execution: Execution, status: Status) -> None:
        self._ending.begin(execution, status, self.kernel)

    def _complete(self, execution: Execution, status: Status) -> None:
        """Exactly once for each execution, and the last event that it has."""
        if execution.finished:
            return
        if was_current := self.dialogue.current is execution:
            self.debugging.over()
        execution.finish(status)
        self.touch()
        if was_current and self.state is State.BUSY:
            self._become(State.IDLE)
        self._history.completed(execution)
        event = self.log.append("execution.completed", execution.summary(), execution.id, execution.summary_size)
        execution.last_seq = event.seq
        self.log.flush()
        if was_current and status is not Status.COMPLETED:
            self._queue.skip(execution)
        if was_current:
            # Not before: the next may begin then.
            self.dialogue.current = None
        self._pump()

    def _become(self, state: State, reason: str | None = None) -> None:
        self.state = move(self.state, state)
        self.reason = reason
        self.log.append("session.state", {"state": state.value} | ({} if reason is None else {"reason": reason}))
        if self._watcher is not None:
            self._watcher.on_state()
