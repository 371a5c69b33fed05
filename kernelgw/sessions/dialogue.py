"""What a kernel says: into events and outputs, and when the execution that runs is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import NotWaitingForInput
from ..events import translate
from ..events.log import EventLog
from ..events.translate import Happening
from ..kernel.kernel import Kernel
from ..kernel.wire import Message
from . import files, notes
from .artifacts import Artifacts
from .execution import Execution, Status
from .hints import ended_for_memory, went_on
from .recorder import Recorder

if TYPE_CHECKING:
    from .debugging import Debugging

# Code can spoil the reply or `idle` of its own cell. After one of them the other is owed, once nothing more has come
# for this long: a flood of output comes before its `idle`, and takes its time.
STRAGGLER_S = 5.0
log = logging.getLogger("kernelgw.session")


class Dialogue:
    """A session's with its kernel. `current`: what runs; `finish` is called with how it ended."""

    def __init__(
        self,
        log: EventLog,
        recorder: Recorder,
        executions: Mapping[str, Execution],
        finish: Callable[[Execution, Status], None],
        artifacts: Artifacts,
        key: str = "",
    ) -> None:
        self.current: Execution | None = None
        self.kernel: Kernel | None = None
        self.debugging: Debugging | None = None
        self._log = log
        self._recorder = recorder
        self._executions = executions
        self._finish = finish
        self._artifacts = artifacts
        # By what the journal knows the kernel.
        self.key = key

    def answer(self, execution: Execution, value: str) -> None:
        """To what `input()` asked. Raises NotWaitingForInput."""
        if not execution.waiting_for_input or self.kernel is None:
            raise NotWaitingForInput("This execution is not waiting for input.")
        execution.waiting_for_input = False
        self._log.note(notes.answered(execution))
        self.kernel.client.answer_input(value)

    def ask(self, execution: Execution) -> None:
        """Sends it to the kernel. Raises TypeError, ValueError, OSError when it cannot be said as a message."""
        assert self.kernel is not None
        self.kernel.asked()
        if execution.order is not None and execution.order.request:
            self.kernel.client.relay("shell", execution.order.request)
            execution.order = execution.order.sent()
        else:
            self.kernel.client.execute(execution.id, execution.code, execution.stdin, execution.as_metadata())

    def on_iopub(self, message: Message, number: int = 0) -> None:
        kind = message.msg_type
        execution = self._of(message)
        # All that is made of it is written in one go with its number.
        self._log.taken(number, self.key)
        if kind == "status":
            self._status(execution, message)
        elif kind == "execute_input":
            self._entered(execution, message)
        elif kind == "execute_reply":
            self._replied(execution, message)
        elif kind == "input_request":
            self._asked(execution, message)
        elif kind == "files_changed":
            self._changed(execution, message)
        elif kind == "debug_event" and self.debugging is not None:
            self.debugging.on_event(message)
        else:
            self._recorder.message(execution, message)

    def on_stored(self, message: Message, number: int, happening: Happening, kept: list[dict[str, Any]]) -> None:
        """An output whose large parts are artifacts now."""
        execution = self._of(message)
        self._log.taken(number, self.key)
        for entry in kept:
            self._artifacts.tell(execution, entry)
        self._recorder.output(execution, happening)

    def _changed(self, execution: Execution | None, message: Message) -> None:
        # Once: code can say it again.
        if execution is not None and execution is self.current and execution.changed is None:
            execution.changed, execution.files_left_out, execution.files_whole = files.parse(message.content)
            self._log.note(notes.changed(execution))

    def _replied(self, execution: Execution | None, message: Message) -> None:
        if execution is not None and execution is self.current and execution.ended is None:
            execution.reply = message.content
            self._log.note(notes.replied(execution))
            self._maybe_complete(execution)

    def _asked(self, execution: Execution | None, message: Message) -> None:
        happening = translate.translate("input_request", message.content)
        asks = execution is not None and execution is self.current and execution.ended is None
        if asks and execution is not None and happening is not None:
            execution.waiting_for_input = True
            self._log.append(happening.type, happening.data, execution.id, happening.size)

    def _of(self, message: Message) -> Execution | None:
        current = self.current
        if current is not None and current.id == message.parent_id:
            return current
        return self._executions.get(message.parent_id)

    def _status(self, execution: Execution | None, message: Message) -> None:
        running = execution is not None and execution is self.current and execution.ended is None
        if running and execution is not None and execution.order is not None and execution.order.silent:
            # No `execute_input` comes of it.
            self._begun(execution)
        if running and execution is not None and message.content.get("execution_state") == "idle":
            execution.idle = True
            if execution.reply is None:
                self._log.note(notes.idle(execution))
            self._maybe_complete(execution)

    def _entered(self, execution: Execution | None, message: Message) -> None:
        # Once: code can say it again, and each time would cost an interrupt.
        if execution is None or execution is not self.current or execution.entered:
            return
        execution.execution_count = translate.count(message.content)
        self._begun(execution)

    def _begun(self, execution: Execution) -> None:
        if execution.entered:
            return
        execution.entered = True
        self._log.note(notes.entered(execution))
        if execution.stopping is not None and self.kernel is not None:
            self.kernel.interrupt()

    def _maybe_complete(self, execution: Execution) -> None:
        if execution.idle and execution.reply is not None:
            self._settle(execution)
        elif self.current is execution and execution.straggler is None:
            loop = asyncio.get_running_loop()
            execution.straggler = loop.call_later(STRAGGLER_S, self._straggler, execution, self._log.last)

    def _straggler(self, execution: Execution, seen: int) -> None:
        execution.straggler = None
        if self.current is execution and self._log.last != seen:
            self._maybe_complete(execution)
        elif self.current is execution:
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
            self._recorder.advise(execution.error, execution)
        outcome = execution.outcome(failed)
        if outcome is Status.TIMED_OUT and execution.error is None:
            execution.error = went_on(execution, self._recorder.once)
        self._finish(execution, outcome)
