"""Every message of Jupyter's iopub and stdin channels becomes the event that docs/http.md promises, or none."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from kernelgw.events.plain import LONGEST_TEXT
from kernelgw.events.translate import (
    LONGEST_NAME,
    LONGEST_TRACEBACK,
    LONGEST_VALUE,
    TABLE,
    VALUE_BYTES,
    Happening,
    error,
    error_size,
    payload,
    translate,
    weight,
)

# https://jupyter-client.readthedocs.io/en/stable/messaging.html
IOPUB = (
    "stream",
    "display_data",
    "update_display_data",
    "execute_input",
    "execute_result",
    "error",
    "status",
    "clear_output",
    "debug_event",
    "iopub_welcome",
    "comm_open",
    "comm_msg",
    "comm_close",
    "shutdown_reply",
)
STDIN = ("input_request",)
SILENT = ("status", "execute_input", "iopub_welcome", "debug_event", "shutdown_reply")


def event(msg_type: str, content: Mapping[str, Any]) -> Happening:
    happening = translate(msg_type, content)
    assert happening is not None
    return happening


def test_the_table_has_every_type_of_the_specification_and_no_other() -> None:
    assert TABLE.keys() == {*IOPUB, *STDIN}


@pytest.mark.parametrize("msg_type", [*SILENT, "execute_reply", "kernel_info_reply", "no_such_type", ""])
def test_other_messages_make_no_event(msg_type: str) -> None:
    assert translate(msg_type, {"execution_state": "busy", "text": "x"}) is None


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_stream(name: str) -> None:
    expected = Happening("output.stream", {"name": name, "text": "a\nb"}, 3)
    assert event("stream", {"name": name, "text": "a\nb"}) == expected


def test_a_stream_of_any_other_name_is_stdout() -> None:
    assert event("stream", {"name": "stdlog", "text": "x"}).data["name"] == "stdout"


BUNDLE: dict[str, Any] = {"text/plain": "12345", "image/png": "abc"}
SIZE = len("text/plain12345image/pngabc")


def test_display_data() -> None:
    found = event("display_data", {"data": BUNDLE, "metadata": {"image/png": {"width": 3}}, "transient": {}})
    assert found == Happening("output.display", {"data": BUNDLE, "metadata": {"image/png": {"width": 3}}}, SIZE + 84)


def test_a_display_id_is_told() -> None:
    content = {"data": BUNDLE, "metadata": {}, "transient": {"display_id": "d1"}}
    assert event("display_data", content).data["display_id"] == "d1"


def test_update_display_data() -> None:
    found = event("update_display_data", {"data": BUNDLE, "metadata": {}, "transient": {"display_id": "d1"}})
    assert found == Happening("output.update", {"data": BUNDLE, "metadata": {}, "display_id": "d1"}, SIZE + 2)


def test_execute_result() -> None:
    found = event("execute_result", {"data": BUNDLE, "metadata": {}, "execution_count": 7})
    assert found == Happening("output.result", {"data": BUNDLE, "metadata": {}, "execution_count": 7}, SIZE)


@pytest.mark.parametrize(("content", "wait"), [({"wait": True}, True), ({"wait": False}, False), ({}, False)])
def test_clear_output(content: dict[str, Any], wait: bool) -> None:
    assert event("clear_output", content) == Happening("output.clear", {"wait": wait}, 0)


def test_error() -> None:
    found = event("error", {"ename": "ValueError", "evalue": "no", "traceback": ["one", "two"]})
    data = {"name": "ValueError", "value": "no", "traceback": ["one", "two"], "frames": [], "text": "one\ntwo"}
    assert found == Happening("output.error", data, 25 + 5 * VALUE_BYTES)


FRAME = {"file": "cell 3", "line": 2, "function": "f", "library": False, "source": [[1, "def f():"], [2, "  1 / 0"]]}
DEEP = {"file": "x.py", "line": 1, "function": "g", "library": True, "source": [], "column": 7, "left_out": 900}
CAUSE = {"relation": "context", "name": "KeyError", "value": "'a'", "frames": [FRAME]}


def test_an_error_s_frames_and_what_else_the_kernel_knows() -> None:
    told = {"frames": [FRAME, DEEP], "causes": [CAUSE], "similar": ["data.csv"]}
    module = {"name": "cv2", "installed": False, "standard": False, "file": "src/cv2.py"}
    found = error({"ename": "E", "evalue": "v", "traceback": ["t"], **told, "module": module, "other": 1})
    assert found == {"name": "E", "value": "v", "traceback": ["t"], **told, "module": module, "text": found["text"]}
    assert "1 / 0" in found["text"]
    texts = ["E", "v", "t", found["text"], "cell 3", "f", "def f():", "  1 / 0", "x.py", "g", "data.csv", "cv2"]
    texts += ["src/cv2.py", "context", "KeyError", "'a'", "cell 3", "f", "def f():", "  1 / 0"]
    assert error_size(found) == sum(map(weight, texts)) + VALUE_BYTES * len(texts)


@pytest.mark.parametrize("password", [True, False])
def test_input_request(password: bool) -> None:
    found = event("input_request", {"prompt": "Name? ", "password": password})
    assert found == Happening("input.requested", {"prompt": "Name? ", "password": password}, 6)


@pytest.mark.parametrize(
    ("msg_type", "action"), [("comm_open", "open"), ("comm_msg", "message"), ("comm_close", "close")]
)
def test_comm_messages(msg_type: str, action: str) -> None:
    found = event(msg_type, {"comm_id": "c", "data": {"x": 1}})
    assert found.type == "comm"
    assert found.data == {"action": action, "comm_id": "c", "data": {"x": 1}}
    assert found.size >= len("{'x': 1}")


@pytest.mark.parametrize(
    ("msg_type", "action"), [("comm_open", "open"), ("comm_msg", "message"), ("comm_close", "close")]
)
def test_a_comm_message_cannot_say_that_it_is_another_or_another_execution_s(msg_type: str, action: str) -> None:
    found = event(msg_type, {"comm_id": "c", "data": {}, "action": "forged", "execution_id": "forged"})
    assert found.data["action"] == action
    assert "execution_id" not in found.data


def test_the_size_counts_the_payload() -> None:
    assert event("stream", {"text": "x" * 1000}).size == 1000
    assert event("display_data", {"data": {"a/b": "x" * 600, "application/json": {"k": "y" * 400}}}).size >= 1000
    assert event("error", {"ename": "E", "evalue": "v" * 300, "traceback": ["t" * 700]}).size >= 1001 + VALUE_BYTES
    assert event("comm_msg", {"data": {"x": "y" * 1000}}).size >= 1000
    # Wherever it stands.
    assert event("display_data", {"data": {"x" * 1000: ""}}).size >= 1000
    assert event("display_data", {"metadata": {"a": "x" * 1000}}).size >= 1000
    assert event("display_data", {"metadata": {"a": {"b": "x" * 1000}}}).size >= 1000
    assert event("display_data", {"transient": {"display_id": "x" * 1000}}).size >= 1000
    assert event("error", {"ename": "x" * 1000}).size >= 1000


@pytest.mark.parametrize("letter", ["a", "é", "я", "中", "\U0001f600"])
def test_text_counts_for_the_memory_that_it_takes(letter: str) -> None:
    text = orjson.loads(orjson.dumps(letter + "a" * 100_000))
    wide = orjson.loads(orjson.dumps(letter * 100_000))
    for value in (text, wide):
        assert event("stream", {"text": value}).size < 30 * len(value)
        # What is sent keeps its UTF-8 beside it.
        orjson.dumps(value)
        most = sys.getsizeof(value) - 100
        assert event("stream", {"text": value}).size >= most
        assert event("input_request", {"prompt": value}).size >= most
        assert event("display_data", {"data": {"text/plain": value}}).size >= most
        assert event("display_data", {"data": {value: ""}}).size >= most
        assert event("display_data", {"data": {"application/json": [value]}}).size >= most
        assert event("display_data", {"data": {}, "transient": {"display_id": value}}).size >= most
        found = event("error", {"ename": value, "evalue": value, "traceback": [value]})
        assert found.size >= sum(map(sys.getsizeof, (found.data["name"], found.data["value"]))) - 200


def test_a_long_error_keeps_its_beginning_and_its_end() -> None:
    lines = [f"line {number} " + "x" * 1000 for number in range(10_000)]
    found = error({"ename": "N" * 5000, "evalue": "first" + "v" * 1_000_000 + "last", "traceback": lines})
    assert len(found["name"]) <= LONGEST_NAME + 100
    assert len(found["value"]) <= LONGEST_VALUE + 100
    assert found["value"].startswith("first")
    assert found["value"].endswith("last")
    assert "characters left out" in found["value"]
    traceback = found["traceback"]
    assert sum(map(len, traceback)) <= LONGEST_TRACEBACK
    assert (traceback[0], traceback[-1]) == (lines[0], lines[-1])
    (marker,) = (line for line in traceback if "left out" in line)
    assert marker == f"[{len(lines) - len(traceback) + 1:,} lines left out here]"


@pytest.mark.parametrize(
    "lines", [["x" * 10_000_000], ["x" * 3_000_000, "y"], [""] * 1_000_000, [None] * 1_000_000, ["x" * 70_000] * 9]
)
def test_a_traceback_of_any_shape_has_a_size(lines: list[Any]) -> None:
    found = error({"traceback": lines})
    assert len(found["traceback"]) > 0
    assert error_size(found) <= LONGEST_TRACEBACK + LONGEST_TEXT + 1000
    assert found["traceback"][-1][-10:] == (lines[-1] or "")[-10:]


def test_a_traceback_that_fits_is_told_as_it_is() -> None:
    lines = ["x" * 60_000, "", "y" * 100, "z" * 60_000, "end"]
    assert error({"traceback": lines})["traceback"] == lines


VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    1.5,
    "",
    "text",
    "\x00\u2028\U0001f600",
    [],
    [None, 1, "a", {"b": []}],
    {},
    {"a": {"b": [{"c": None}]}},
    {"": ""},
    [[[]]],
)
KEYS = (
    "name",
    "text",
    "data",
    "metadata",
    "transient",
    "execution_count",
    "wait",
    "ename",
    "evalue",
    "traceback",
    "prompt",
    "password",
    "comm_id",
    "target_name",
)


def check(happening: Happening | None) -> None:
    """An event as readers may rely on it, whatever the kernel said."""
    if happening is None:
        return
    data = happening.data
    orjson.dumps(data)
    assert happening.size >= 0
    if happening.type == "comm":
        return
    for key in {"text", "value", "prompt", "display_id"} & data.keys():
        assert isinstance(data[key], str)
    if happening.type in ("output.display", "output.result", "output.update"):
        assert isinstance(data["data"], dict)
        assert isinstance(data["metadata"], dict)
    if happening.type == "output.error":
        assert isinstance(data["name"], str)
        assert all(isinstance(line, str) for line in data["traceback"])
    if happening.type == "output.clear":
        assert isinstance(data["wait"], bool)


@pytest.mark.parametrize("msg_type", [*IOPUB, *STDIN])
def test_hostile_content_becomes_an_orderly_event(msg_type: str) -> None:
    check(translate(msg_type, {}))
    for key in KEYS:
        for value in VALUES:
            check(translate(msg_type, {key: value}))
            check(translate(msg_type, dict.fromkeys(KEYS, value)))


@pytest.mark.parametrize("value", VALUES)
def test_a_hostile_display_id_becomes_text(value: Any) -> None:
    check(translate("display_data", {"data": {}, "transient": {"display_id": value}}))


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [100, 250, 300, 1000])
@pytest.mark.parametrize("msg_type", ["display_data", "update_display_data", "execute_result", "comm_msg"])
def test_what_can_be_received_can_be_sent_on_however_deep(msg_type: str, depth: int) -> None:
    # orjson reads 1024 levels and writes 254: what lies between must not reach a reader as an exception.
    content = orjson.loads(b'{"data": {"application/json": ' + b"[" * depth + b"]" * depth + b"}}")
    check(translate(msg_type, content))


def test_huge_content_is_only_passed_on() -> None:
    text = "x" * 20_000_000
    found = event("stream", {"name": "stdout", "text": text})
    assert found.data["text"] is text
    assert found.size == 20_000_000


@pytest.mark.parametrize("value", [*VALUES, nested(300)])
def test_an_error_of_any_shape_is_one(value: Any) -> None:
    found = error({"ename": value, "evalue": value, "traceback": value})
    assert found.keys() == {"name", "value", "traceback", "frames", "text"}
    check(Happening("output.error", found, 0))


def test_the_pager_s_text_is_shown_as_a_display() -> None:
    page = {"source": "page", "data": {"text/plain": "Docstring"}, "start": 0}
    assert payload({"payload": [{"source": "set_next_input", "text": "x"}, page]}) == [
        Happening("output.display", {"data": {"text/plain": "Docstring"}, "metadata": {}}, 19)
    ]


@pytest.mark.parametrize(
    "content", [{}, {"payload": None}, {"payload": []}, {"payload": [None, 1, "page", {}, {"source": "page"}]}]
)
def test_a_reply_without_pages_shows_nothing(content: dict[str, Any]) -> None:
    assert payload(content) == []


@pytest.mark.parametrize("value", VALUES)
def test_a_hostile_payload_shows_nothing(value: Any) -> None:
    assert payload({"payload": value}) == []
    assert payload({"payload": [{"source": "page", "data": value if not isinstance(value, dict) else None}]}) == []
    assert payload({"payload": [{"source": value, "data": {"text/plain": "x"}}]}) == []
