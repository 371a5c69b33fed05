"""What a kernel says goes into the log and into the outputs, with the right execution's name on it."""

from __future__ import annotations

from typing import Any

from kernelgw.events.event import Event
from kernelgw.events.log import EventLog
from kernelgw.events.outputs import Outputs
from kernelgw.events.translate import Happening, translate
from kernelgw.sessions import recorder as module
from kernelgw.sessions.execution import Execution, Status
from kernelgw.sessions.recorder import Recorder


def execution() -> Execution:
    return Execution("chat-1", "", "python", Outputs(1000))


def text(value: str) -> Happening:
    return Happening("output.stream", {"name": "stdout", "text": value}, len(value))


def display(value: str, display_id: str, msg_type: str = "display_data") -> Happening:
    content = {"data": {"text/plain": value}, "metadata": {}, "transient": {"display_id": display_id}}
    found = translate(msg_type, content)
    assert found is not None
    return found


def plain(found: Execution) -> list[Any]:
    return [output.get("text") or output["data"]["text/plain"] for output in found.outputs.as_json()]


def last(log: EventLog) -> Event:
    return log.read(log.last - 1, 1)[0]


def test_an_output_is_the_running_execution_s_under_the_event_s_number() -> None:
    log, cell = EventLog(10**6), execution()
    log.append("session.state", {})
    Recorder(log).output(cell, text("x"))
    assert last(log).data == {"name": "stdout", "text": "x", "execution_id": cell.id}
    assert cell.outputs.as_json()[0]["seq"] == last(log).seq == 2


def test_an_output_of_nobody_is_the_session_s() -> None:
    log = EventLog(10**6)
    Recorder(log).output(None, text("x"))
    assert last(log).execution_id is None
    assert last(log).data == {"name": "stdout", "text": "x"}


def test_late_output_is_no_event_of_the_completed_execution_but_is_seen_in_it() -> None:
    log, cell = EventLog(10**6), execution()
    cell.finish(Status.COMPLETED)
    Recorder(log).output(cell, text("late"))
    assert last(log).execution_id is None
    assert last(log).data["late_execution_id"] == cell.id
    assert plain(cell) == ["late"]


def test_an_update_reaches_all_displays_of_that_id_in_whichever_execution() -> None:
    recorder, one, two = Recorder(EventLog(10**6)), execution(), execution()
    recorder.output(one, display("old", "a"))
    recorder.output(two, display("old", "a"))
    recorder.output(two, display("other", "b"))
    recorder.output(two, display("new", "a", "update_display_data"))
    assert (plain(one), plain(two)) == (["new"], ["new", "other"])


def test_an_update_of_an_unknown_display_shows_nothing() -> None:
    log, cell = EventLog(10**6), execution()
    Recorder(log).output(cell, display("new", "a", "update_display_data"))
    assert plain(cell) == []
    assert last(log).type == "output.update"


def test_a_fresh_kernel_s_ids_do_not_reach_the_old_one_s_displays() -> None:
    recorder, cell = Recorder(EventLog(10**6)), execution()
    recorder.output(cell, display("old", "a"))
    recorder.forget_displays()
    recorder.output(cell, display("new", "a", "update_display_data"))
    assert plain(cell) == ["old"]


def test_the_oldest_ids_are_forgotten_when_there_are_too_many(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MOST_DISPLAY_IDS", 3)
    recorder, cell = Recorder(EventLog(10**6)), execution()
    for name in "abcd":
        recorder.output(cell, display("old", name))
    for name in "abcd":
        recorder.output(cell, display("new", name, "update_display_data"))
    assert plain(cell) == ["old", "new", "new", "new"]
