"""A session: executions one after another in one live kernel, told as events.

Driven by callbacks rather than a task: what a kernel says is handled where it arrives, which keeps a trivial
cell at one hop from the socket to the waiting request.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any, Protocol

from ..errors import GatewayError, NotWaitingForInput, QueueFull, SessionNotFound
from ..events import translate
from ..events.log import EventLog
from ..events.outputs import Outputs
from ..kernel.exits import Exit
from ..kernel.kernel import Kernel
from ..kernel.wire import Message
from ..sandbox.workspaces import Workspace
from .execution import Execution, Status
from .hints import ended_for_memory, hint
from .history import History
from .lifecycle import WITHOUT_KERNEL, State, move
from .plan import Plan
from .recorder import Recorder

# The reply and `idle` come by different sockets. After one of them the other is owed, once nothing more has come for
# this long: a flood of output comes before its `idle`, and takes its time.
STRAGGLER_S = 5.0
HISTORY_SHARE = 2  # All executions together may keep this many times what one may.
log = logging.getLogger("kernelgw.session")


class KernelSource(Protocol):
    """Where a session gets its kernels. Raises GatewayError when there is none to be had."""

    async def take(self, session: Session) -> Kernel: ...


class Session:
    """Get-or-create makes one of these. All methods are called in the event loop; none blocks it."""

    def __init__(self, id_: str, plan: Plan, source: KernelSource) -> None:
        self.id = id_
        self.plan = plan
        self.state = State.NEW
        self.reason: str | None = None
        self.kernel: Kernel | None = None
        self.workspace: Workspace | None = None
        self.log = EventLog(plan.log_bytes)
        self._history = History(plan.history_length, HISTORY_SHARE * plan.output_bytes)
        self.executions = self._history.executions
        self.created_at = datetime.now(UTC)
        self.active_at = time.monotonic()
        self.generation = 0
        self._source = source
        self._queue: deque[Execution] = deque()
        self._current: Execution | None = None
        self._recorder = Recorder(self.log, lambda name, value: hint(name, value, plan.network != "off"))
        self._starting: asyncio.Task[None] | None = None
        self._lost: str | None = None
        self._closing = False
        self._doomed: list[Execution] | None = None
        self._loop = asyncio.get_running_loop()

    # what doors call

    def execute(
        self, code: str, language: str | None = None, timeout_s: float | None = None, stdin: bool = False
    ) -> Execution:
        """Queues a cell; it starts now if nothing is before it. Raises QueueFull, SessionNotFound."""
        if self._closing:
            raise SessionNotFound(f"The session {self.id!r} is being ended.")
        if len(self._queue) >= self.plan.max_queued:
            raise QueueFull(f"{len(self._queue)} executions are waiting in this session already.")
        limit = self.plan.timeout_s if timeout_s is None else timeout_s
        execution = Execution(
            self.id,
            code,
            language or self.plan.language,
            Outputs(self.plan.output_bytes),
            timeout_s=limit or None,
            stdin=stdin,
        )
        execution.first_seq = self.log.last + 1
        self._history.add(execution)
        self._queue.append(execution)
        self.touch()
        self._pump()
        return execution

    def interrupt(self) -> None:
        """Stops the running cell and drops those that wait, as people mean by stop. No effect when idle."""
        self._cancel_queue(Status.INTERRUPTED, "Interrupted before it started.")
        if self._current is not None:
            self._stop_current(Status.INTERRUPTED)

    def stop(self, execution: Execution) -> None:
        """Stops one execution, wherever it is: its caller has gone and wanted that."""
        if execution is self._current:
            self._stop_current(Status.INTERRUPTED)
        elif execution in self._queue:
            self._queue.remove(execution)
            self._not_run(execution, Status.INTERRUPTED, "Its caller left before it started.")

    def answer_input(self, execution: Execution, value: str) -> None:
        if not execution.waiting_for_input or self.kernel is None:
            raise NotWaitingForInput("This execution is not waiting for input.")
        execution.waiting_for_input = False
        self.kernel.client.answer_input(value)
        self.touch()

    def restart(self) -> None:
        """A fresh kernel: variables go, files stay. What runs is killed, what waits is dropped."""
        self._cancel_queue(Status.KILLED, "The kernel was restarted before it ran.")
        self.touch()
        if self.kernel is not None:
            self.kernel.exited = self._restarted
            self.kernel.end("restarted")
        elif self.state in WITHOUT_KERNEL:
            self._start()

    def _restarted(self, exit_: Exit) -> None:
        self._kernel_exited(exit_)
        if self.state is State.DEAD and not self._closing:
            self._start()

    def sleep(self, why: str) -> None:
        """Gives the kernel up; the session stays and gets a new one when it is used again."""
        if self.kernel is not None:
            self.kernel.end(why)

    async def end(self) -> None:
        """The end of the session; returns when nothing of its kernel is left."""
        self._closing = True
        self._cancel_queue(Status.KILLED, "The session was ended.")
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        if (kernel := self.kernel) is not None:
            kernel.end("ended")
            await kernel.ended()
        self._become(State.ENDED, "ended")
        self.log.close()

    def touch(self) -> None:
        self.active_at = time.monotonic()

    @property
    def quiet(self) -> bool:
        return self._current is None and not self._queue and self._starting is None

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def running(self) -> str | None:
        return self._current.id if self._current else None

    # the kernel's life

    def _start(self) -> None:
        self._become(State.STARTING, self._lost)
        self._starting = asyncio.create_task(self._take_kernel())

    async def _take_kernel(self) -> None:
        try:
            kernel = await self._source.take(self)
        except GatewayError as error:
            self._become(State.DEAD, error.message)
            self._fail_queue(error)
            return
        finally:
            self._starting = None
        self.kernel = kernel
        self.generation += 1
        kernel.client.listener = self
        kernel.exited = self._kernel_exited
        kernel.disconnected = self._doom_queue
        kernel.settled = self._pump
        self._doomed = None
        if kernel.exit is not None:
            self._kernel_exited(kernel.exit)
            return
        self._become(State.IDLE)
        self._pump()

    def _kernel_exited(self, exit_: Exit) -> None:
        kernel, self.kernel = self.kernel, None
        if kernel is not None:
            kernel.client.listener = None
        self._lost = exit_.reason
        self._recorder.forget_displays()
        if self.state is not State.ENDED:
            self._become(State.DEAD, exit_.reason)
        execution = self._current
        if execution is not None:
            status = execution.stopping if exit_.cause == "deadline" else Status.KILLED
            execution.error = {"name": "KernelDied", "value": exit_.reason, "traceback": [], "hint": exit_.hint}
            execution.state_lost = True
            self._complete(execution, status or Status.KILLED)
        # What was waiting had counted on variables that are gone; what came later had not, nor what came after
        # a planned end.
        if exit_.cause not in ("restarted", "idle", "exited"):
            doomed = self._queue if self._doomed is None else self._doomed
            for waiting in [each for each in self._queue if each in doomed]:
                self._queue.remove(waiting)
                waiting.state_lost = True
                self._not_run(waiting, Status.KILLED, f"Not run, since the kernel ended before: {exit_.reason}")
        self._pump()

    def _doom_queue(self) -> None:
        self._doomed = list(self._queue)

    # the queue

    def _pump(self) -> None:
        if self._current is not None or not self._queue or self._closing:
            return
        if self.kernel is not None and self.state is State.IDLE:
            if self.kernel.free:
                self._begin(self._queue.popleft())
        elif self.state in WITHOUT_KERNEL:
            self._start()

    def _begin(self, execution: Execution) -> None:
        assert self.kernel is not None
        self._current = execution
        execution.start()
        execution.first_seq = self.log.last + 1
        if self._lost is not None and self.generation > 1:
            data = {"state": State.STARTING.value, "reason": f"{self._lost} Variables were lost."}
            self.log.append("session.state", data, execution.id)
        self._lost = None
        self._become(State.BUSY)
        started = {
            "code": execution.code,
            "language": execution.language,
            "started_at": execution.summary()["started_at"],
        }
        self.log.append("execution.started", started, execution.id, len(execution.code))
        if execution.timeout_s:
            execution.timer = self._loop.call_later(execution.timeout_s, self._deadline, execution)
        try:
            self.kernel.client.execute(execution.id, execution.code, execution.stdin)
        except (TypeError, ValueError, OSError) as error:
            execution.error = {"name": "NotSent", "value": f"The code cannot be sent: {error}", "traceback": []}
            self._complete(execution, Status.FAILED)

    def _deadline(self, execution: Execution) -> None:
        if self._current is not execution:
            return
        self._stop_current(Status.TIMED_OUT)
        execution.timer = self._loop.call_later(self.plan.grace_s, self._overdue, execution)

    def _overdue(self, execution: Execution) -> None:
        if self._current is execution and self.kernel is not None:
            self.kernel.end("deadline")

    def _stop_current(self, why: Status) -> None:
        execution = self._current
        if execution is None or self.kernel is None:
            return
        execution.stopping = why
        # Before the kernel has entered the cell it ignores interrupts; `execute_input` says that it has.
        if execution.entered:
            self.kernel.interrupt()

    def _maybe_complete(self, execution: Execution) -> None:
        if execution.idle and execution.reply is not None:
            self._settle(execution)
        elif self._current is execution and execution.straggler is None:
            execution.straggler = self._loop.call_later(STRAGGLER_S, self._straggler, execution, self.log.last)

    def _straggler(self, execution: Execution, seen: int) -> None:
        execution.straggler = None
        if self._current is execution and self.log.last != seen:
            self._maybe_complete(execution)
        elif self._current is execution:
            log.info("execution %s: completed without its %s", execution.id, "idle" if execution.reply else "reply")
            self._settle(execution)

    def _settle(self, execution: Execution) -> None:
        reply = execution.reply or {}
        for happening in translate.payload(reply):
            self._recorder.output(execution, happening)
        execution.execution_count = translate.count(reply) or execution.execution_count
        if translate.leaves(reply) and self.kernel is not None:
            execution.state_lost = True
            self.kernel.leaves()
        if self.kernel is not None and (killed := self.kernel.killed_for_memory()):
            self._recorder.output(execution, ended_for_memory(killed))
        failed = reply.get("status") != "ok"
        if failed:
            execution.error = translate.error(reply)
            self._recorder.advise(execution.error)
        self._complete(execution, execution.outcome(failed))

    def _complete(self, execution: Execution, status: Status) -> None:
        """Exactly once for each execution, and the last event that it has."""
        if execution.finished:
            return
        execution.finish(status)
        self.touch()
        if self._current is execution:
            self._current = None
            if self.state is State.BUSY:
                self._become(State.IDLE)
        self._history.completed(execution)
        event = self.log.append("execution.completed", execution.summary(), execution.id, execution.error_size)
        execution.last_seq = event.seq
        self._pump()

    def _cancel_queue(self, status: Status, why: str) -> None:
        waiting, self._queue = self._queue, deque()
        for execution in waiting:
            self._not_run(execution, status, why)

    def _not_run(self, execution: Execution, status: Status, why: str) -> None:
        execution.error = {"name": "NotRun", "value": why, "traceback": []}
        self._complete(execution, status)

    def _fail_queue(self, error: GatewayError) -> None:
        waiting, self._queue = self._queue, deque()
        for execution in waiting:
            execution.error = {"name": "KernelDidNotStart", "value": error.message, "traceback": [], "hint": error.hint}
            execution.state_lost = self.generation > 0
            self._complete(execution, Status.KILLED)

    # what the kernel says

    def on_iopub(self, message: Message) -> None:
        kind = message.msg_type
        execution = self._of(message)
        if kind == "status":
            self._status(execution, message)
        elif kind == "execute_input":
            self._entered(execution, message)
        elif kind == "input_request":
            if execution is not None and execution is self._current:
                execution.asked = True
                self._ask(execution)
        else:
            self._recorder.message(execution, message)

    def on_reply(self, message: Message) -> None:
        execution = self._of(message)
        if message.msg_type == "execute_reply" and execution is not None and execution is self._current:
            execution.reply = message.content
            self._maybe_complete(execution)

    def on_input_request(self, message: Message) -> None:
        execution = self._of(message)
        if execution is not None and execution is self._current:
            execution.question = message
            self._ask(execution)

    def _ask(self, execution: Execution) -> None:
        if (happening := execution.ask()) is not None:
            self.log.append(happening.type, happening.data, execution.id, happening.size)

    def _of(self, message: Message) -> Execution | None:
        current = self._current
        if current is not None and current.id == message.parent_id:
            return current
        return self.executions.get(message.parent_id)

    def _status(self, execution: Execution | None, message: Message) -> None:
        running = execution is not None and execution is self._current
        if running and execution is not None and message.content.get("execution_state") == "idle":
            execution.idle = True
            self._maybe_complete(execution)

    def _entered(self, execution: Execution | None, message: Message) -> None:
        # Once: code can say it again, and each time would cost an interrupt.
        if execution is None or execution is not self._current or execution.entered:
            return
        execution.entered = True
        execution.execution_count = translate.count(message.content)
        if execution.stopping is not None and self.kernel is not None:
            self.kernel.interrupt()

    def _become(self, state: State, reason: str | None = None) -> None:
        self.state = move(self.state, state)
        self.reason = reason
        data: dict[str, Any] = {"state": state.value}
        if reason is not None:
            data["reason"] = reason
        self.log.append("session.state", data)
