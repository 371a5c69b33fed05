"""What a session keeps of its executions stays within its size, whenever their outputs come."""

from __future__ import annotations

import gc
from typing import Any
from weakref import ref

from kernelgw.events.outputs import Item, Outputs, update
from kernelgw.events.translate import Happening, translate
from kernelgw.sessions.execution import Execution, Status
from kernelgw.sessions.history import History

LIMIT = 100_000


def finished(history: History) -> Execution:
    execution = Execution("chat", "", "python", Outputs(LIMIT))
    history.add(execution)
    execution.start()
    execution.finish(Status.COMPLETED)
    history.completed(execution)
    return execution


def happening(msg_type: str, content: dict[str, Any]) -> Happening:
    found = translate(msg_type, content)
    assert found is not None
    return found


def kept(history: History) -> int:
    return sum(execution.outputs.cost for execution in history.executions.values())


def test_late_outputs_count() -> None:
    history = History(1000, 2 * LIMIT)
    executions = [finished(history) for _ in range(20)]
    for execution in executions:
        for _ in range(10):
            execution.outputs.apply(1, happening("stream", {"text": "x" * 9000}))
            assert kept(history) <= 2 * LIMIT
    assert list(history.executions.values()) == executions[-len(history.executions) :]
    # What is no longer kept counts no more, whatever it is still given.
    executions[0].outputs.apply(2, happening("stream", {"text": "x" * 90_000}))
    assert executions[-1].id in history.executions


def test_what_is_not_kept_is_freed_at_once() -> None:
    history = History(1, LIMIT)
    execution = finished(history)
    execution.outputs.apply(1, happening("stream", {"text": "x"}))
    gone = ref(execution.outputs)
    del execution
    gc.disable()
    try:
        finished(history)
        assert gone() is None
    finally:
        gc.enable()


def test_displays_that_grow_late_count() -> None:
    history = History(1000, 2 * LIMIT)
    executions = [finished(history) for _ in range(20)]
    items: list[Item | None] = [
        execution.outputs.apply(1, happening("display_data", {"data": {"text/plain": "x"}})) for execution in executions
    ]
    assert len(history.executions) == 20
    for item in items:
        assert item is not None
        update(item, happening("update_display_data", {"data": {"text/plain": "x" * 50_000}}))
        assert kept(history) <= 2 * LIMIT


def test_what_was_cleared_late_counts_no_more() -> None:
    history = History(1000, 2 * LIMIT)
    executions = [finished(history) for _ in range(20)]
    for execution in executions:
        execution.outputs.apply(1, happening("stream", {"text": "x" * 90_000}))
        execution.outputs.apply(2, happening("clear_output", {"wait": False}))
    assert len(history.executions) == 20


def test_errors_count() -> None:
    history = History(1000, 2 * LIMIT)
    for _ in range(20):
        execution = Execution("chat", "", "python", Outputs(LIMIT))
        history.add(execution)
        execution.error = {"name": "E", "value": "x" * 50_000, "traceback": []}
        execution.start()
        execution.finish(Status.FAILED)
        history.completed(execution)
    assert len(history.executions) <= 5


def test_the_newest_stays_however_large() -> None:
    history = History(1000, 1000)
    execution = finished(history)
    execution.outputs.apply(1, happening("stream", {"text": "x" * 90_000}))
    assert list(history.executions.values()) == [execution]
