"""A session's executions, oldest first, as many as there is room for."""

from __future__ import annotations

from collections import OrderedDict

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
        """Its outputs count from now on."""
        execution.kept = execution.outputs.cost
        self._kept += execution.kept

    def _forget_old(self) -> None:
        while len(self.executions) > self._length or self._kept > self._size:
            oldest = next(iter(self.executions.values()), None)
            if oldest is None or not oldest.finished:
                return
            del self.executions[oldest.id]
            self._kept -= oldest.kept
