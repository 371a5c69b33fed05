"""Stopping what a session runs: because somebody wants that, or because it has run for long enough. It is interrupted
then, and after a deadline its kernel is killed when that was no use."""

from __future__ import annotations

import asyncio

from ..events.log import EventLog
from . import notes
from .dialogue import Dialogue
from .execution import Execution, Status

# A kernel that has not said after this long that it has entered the cell may have.
UNTOLD_S = 0.5


class Deadline:
    """Of whatever a session runs. No method has an effect on what has ended."""

    def __init__(self, log: EventLog, dialogue: Dialogue, grace_s: float) -> None:
        self._log = log
        self._dialogue = dialogue
        self._grace_s = grace_s

    def watch(self, execution: Execution) -> None:
        """It counts from the execution's start, whoever was there meanwhile, but for what a debugger has held it."""
        if execution.stopping is Status.TIMED_OUT:
            self._kill_later(execution)
        elif execution.timeout_s:
            left = max(0.0, execution.timeout_s - (execution.duration() or 0.0) + execution.held_s)
            execution.timer = asyncio.get_running_loop().call_later(left, self._passed, execution)

    def hold(self, execution: Execution) -> None:
        """Does not count any more, until `go_on`. One that is being stopped is not waited for."""
        if execution.stopping is None and execution.timer is not None:
            execution.timer.cancel()
            execution.timer = None

    def go_on(self, execution: Execution) -> None:
        if execution.stopping is None and execution.ended is None and execution.timer is None:
            self.watch(execution)

    def stop(self, why: Status) -> None:
        """Interrupts what runs now."""
        execution, kernel = self._dialogue.current, self._dialogue.kernel
        if execution is None or kernel is None or execution.ended is not None:
            return
        execution.stopping = why
        self._log.note(notes.stopping(execution))
        # Before the kernel has entered the cell it ignores interrupts; `execute_input` says that it has.
        if execution.entered:
            kernel.interrupt()
        else:
            asyncio.get_running_loop().call_later(UNTOLD_S, self._untold, execution)

    def _untold(self, execution: Execution) -> None:
        """Code in C, such as a regular expression that backtracks, keeps the thread from its turn that would say it."""
        running = self._dialogue.current is execution and execution.ended is None
        if running and not execution.entered and self._dialogue.kernel is not None:
            self._dialogue.kernel.interrupt()

    def _passed(self, execution: Execution) -> None:
        if self._dialogue.current is execution:
            self.stop(Status.TIMED_OUT)
        self._kill_later(execution)

    def _kill_later(self, execution: Execution) -> None:
        execution.timer = asyncio.get_running_loop().call_later(self._grace_s, self._kill, execution)

    def _kill(self, execution: Execution) -> None:
        kernel = self._dialogue.kernel
        if self._dialogue.current is execution and execution.ended is None and kernel is not None:
            kernel.end("deadline")
