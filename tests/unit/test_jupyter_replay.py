"""Events become the messages that they were made of."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kernelgw.events.event import GAP, Event
from kernelgw.events.outputs import Outputs
from kernelgw.events.translate import translate
from kernelgw.jupyter.replay import reply, told
from kernelgw.sessions.execution import Execution, Status

PARENT = {"msg_id": "cell", "msg_type": "execute_request", "session": "s", "username": "ada"}


def messages(type_: str, data: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Channel, type and content of what an event was."""
    found = []
    for channel, parts in told(Event(7, type_, "cell", {**data, "execution_id": "cell"}, 0), PARENT, 3):
        header, parent, metadata, content = (orjson.loads(part) for part in parts)
        assert parent == PARENT
        assert metadata == {}
        assert header["msg_id"].startswith("kernelgw-7")
        assert {"session", "username", "version", "date"} <= header.keys()
        found.append((channel, header["msg_type"], content))
    return found


@pytest.mark.parametrize(
    ("msg_type", "content"),
    [
        ("stream", {"name": "stderr", "text": "x\n"}),
        ("display_data", {"data": {"text/plain": "x"}, "metadata": {"a": 1}, "transient": {}}),
        ("display_data", {"data": {"text/plain": "x"}, "metadata": {}, "transient": {"display_id": "d"}}),
        ("update_display_data", {"data": {"text/plain": "x"}, "metadata": {}, "transient": {"display_id": "d"}}),
        ("execute_result", {"data": {"text/plain": "x"}, "metadata": {}, "transient": {}, "execution_count": 3}),
        ("clear_output", {"wait": True}),
        ("error", {"ename": "E", "evalue": "v", "traceback": ["t"]}),
        ("comm_open", {"comm_id": "c", "target_name": "t", "data": {"a": 1}}),
        ("comm_msg", {"comm_id": "c", "data": {"a": 1}}),
        ("comm_close", {"comm_id": "c", "data": {}}),
    ],
)
def test_there_and_back(msg_type: str, content: dict[str, Any]) -> None:
    happening = translate(msg_type, content)
    assert happening is not None
    assert messages(happening.type, happening.data) == [("iopub", msg_type, content)]


def test_a_start_says_what_runs_and_clears_what_a_client_has_of_it() -> None:
    assert messages("execution.started", {"code": "1", "language": "python"}) == [
        ("iopub", "status", {"execution_state": "busy"}),
        ("iopub", "execute_input", {"code": "1", "execution_count": 3}),
        ("iopub", "clear_output", {"wait": False}),
    ]


def test_an_end_is_a_reply_and_idle() -> None:
    execution = Execution("chat", "1", "python", Outputs(1000))
    execution.execution_count = 3
    execution.start()
    execution.finish(Status.COMPLETED)
    first, second = messages("execution.completed", execution.summary())
    assert first[:2] == ("shell", "execute_reply")
    assert (first[2]["status"], first[2]["execution_count"]) == ("ok", 3)
    assert second == ("iopub", "status", {"execution_state": "idle"})


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        ("failed", {"name": "E", "value": "v", "traceback": ["t"]}, ("error", "E", "v")),
        (
            "interrupted",
            {"name": "KeyboardInterrupt", "value": "", "traceback": []},
            ("error", "KeyboardInterrupt", ""),
        ),
        ("interrupted", {"name": "NotRun", "value": "why", "traceback": []}, ("aborted", "NotRun", "why")),
        ("killed", {"name": "KernelDied", "value": "why", "traceback": []}, ("error", "KernelDied", "why")),
        ("timed_out", None, ("error", "Stopped", "timed_out")),
    ],
)
def test_every_other_end_says_why(status: str, error: dict[str, Any] | None, said: tuple[str, str, str]) -> None:
    content = reply({"execution_count": 1, "error": error, "status": status})
    assert (content["status"], content["ename"], content["evalue"]) == said


def test_what_is_missing_is_said() -> None:
    (channel, msg_type, content), *_ = messages(GAP, {"from": 1, "to": 9, "reason": "why"})
    assert (channel, msg_type, content["name"]) == ("iopub", "stream", "stderr")
    assert "1 to 9" in content["text"]


def test_what_concerns_no_client_is_nothing() -> None:
    for type_ in ("session.state", "artifact.created", "of.a.later.version"):
        assert messages(type_, {"state": "idle"}) == []
