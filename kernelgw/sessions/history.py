"""A session's executions, oldest first, as many as there is room for."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from .execution import Execution


class History:
    """`length`: executions at most. `size`: bytes that their outputs may take together, roughly."""

    def __init__(self, length: int, size: int) -> None:
        self.executions: OrderedDict[str, Execution] = OrderedDict()
        self._length = length
        self._size = size
        self._kept = 0

    def add(self, execution: Execution) -> None:
        self.executions[execution.id] = execution
        self._forget_old()

    def completed(self, execution: Execution) -> None:
        """What it keeps counts from now on, and what it is given late."""
        self._count(execution)
        execution.outputs.changed = partial(self._changed, execution)

    def _changed(self, execution: Execution) -> None:
        self._count(execution)
        self._forget_old()

    def _count(self, execution: Execution) -> None:
        self._kept -= execution.kept
        execution.kept = execution.outputs.cost + execution.error_size
        self._kept += execution.kept

    def _forget_old(self) -> None:
        # The newest always stays, so that its caller finds it.
        while len(self.executions) > 1 and (len(self.executions) > self._length or self._kept > self._size):
            oldest = next(iter(self.executions.values()))
            if not oldest.finished:
                return
            del self.executions[oldest.id]
            oldest.outputs.release()
            self._kept -= oldest.kept
