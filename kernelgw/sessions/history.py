"""A session's executions, oldest first, as many as there is room for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from ..errors import ExecutionNotFound
from .execution import Execution


class History:
    """`length`: executions at most. `size`: bytes that their outputs may take together, roughly."""

    def __init__(self, length: int, size: int) -> None:
        self.executions: OrderedDict[str, Execution] = OrderedDict()
        # Whether there were others once.
        self.forgotten = False
        # Told of each change to one that was completed before.
        self.touched: Callable[[Execution], None] = lambda _: None
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
        self.touched(execution)
        self._count(execution)
        self._forget_old()

    def _count(self, execution: Execution) -> None:
        self._kept -= execution.kept
        execution.kept = execution.outputs.cost + execution.summary_size
        self._kept += execution.kept

    def _forget_old(self) -> None:
        # The newest always stays, so that its caller finds it.
        while len(self.executions) > 1 and (len(self.executions) > self._length or self._kept > self._size):
            oldest = next(iter(self.executions.values()))
            if not oldest.finished:
                return
            del self.executions[oldest.id]
            self.forgotten = True
            # Not `outputs`: of one that is just being read again, that would bring back what is to go.
            oldest.kept_outputs.release()
            self._kept -= oldest.kept


async def page(
    executions: Mapping[str, Execution], limit: int, before: str | None, search: str
) -> tuple[list[Execution], bool]:
    """The newest `limit` of those before an execution that have a text in them, oldest first; and whether there are
    more. Raises ExecutionNotFound."""
    everything = list(executions.values())
    if before is not None:
        if before not in executions:
            raise ExecutionNotFound(f"There is no execution {before[:200]!r} in this session.")
        everything = everything[: everything.index(executions[before])]
    found: list[Execution] = []
    while everything and len(found) <= limit:
        execution = everything.pop()
        if not search or _has(execution, search.casefold()):
            found.append(execution)
        if search:
            # One at a time: together they may hold a lot of text, and others want to be served too.
            await asyncio.sleep(0)
    return found[:limit][::-1], len(found) > limit


def _has(execution: Execution, text: str) -> bool:
    return any(text in piece.casefold() for piece in texts(execution.as_json()))


def texts(execution: Mapping[str, Any]) -> Iterator[str]:
    """All that a search looks through, of an execution object."""
    yield execution["code"]
    yield from execution.get("user_expressions", {}).values()
    if error := execution["error"]:
        yield f"{error.get('name')}: {error.get('value')}"
    for output in execution["outputs"]:
        shown = {kind: value for kind, value in output.get("data", {}).items() if not _is_picture(kind)}
        for value in (output.get("text"), output.get("evalue"), *shown.values()):
            if isinstance(value, str):
                yield value


def _is_picture(kind: str) -> bool:
    """In base64, which nobody reads, and in which any short word may turn up."""
    return kind.startswith(("image/", "audio/", "video/", "font/")) and kind != "image/svg+xml"
