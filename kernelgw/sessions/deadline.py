"""When a cell has run for long enough: it is interrupted then, and its kernel is killed when that was no use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .execution import Execution, Status


class Deadline:
    """Of whatever a session runs. `interrupt` and `kill` have no effect on what has ended."""

    def __init__(
        self, grace_s: float, interrupt: Callable[[Execution], None], kill: Callable[[Execution], None]
    ) -> None:
        self._grace_s = grace_s
        self._interrupt = interrupt
        self._kill = kill

    def watch(self, execution: Execution) -> None:
        """It counts from the execution's start, whoever was there meanwhile."""
        if execution.stopping is Status.TIMED_OUT:
            self._kill_later(execution)
        elif execution.timeout_s:
            left = max(0.0, execution.timeout_s - (execution.duration() or 0.0))
            execution.timer = asyncio.get_running_loop().call_later(left, self._passed, execution)

    def _passed(self, execution: Execution) -> None:
        self._interrupt(execution)
        self._kill_later(execution)

    def _kill_later(self, execution: Execution) -> None:
        execution.timer = asyncio.get_running_loop().call_later(self._grace_s, self._kill, execution)
