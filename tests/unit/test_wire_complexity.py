"""A message of very many values is refused before it is read; large text and plain numbers are not."""

import orjson
import pytest

from kernelgw.events.log import EventLog
from kernelgw.events.outputs import Outputs
from kernelgw.kernel.wire import LARGEST_HEADER, Message, TooComplex, Undecodable, decode
from kernelgw.sessions.execution import Execution
from kernelgw.sessions.recorder import Recorder


def message(content: bytes) -> Message:
    return Message("display_data", "id", "", [b"{}", b"{}", b"{}", content])


def display(value: bytes) -> bytes:
    return b'{"data": {"application/json": ' + value + b'}, "metadata": {}}'


@pytest.mark.parametrize(
    "value",
    [
        b"[" + b"[]," * 1_000_000 + b"[]]",
        b"[" + b"{}," * 1_000_000 + b"{}]",
        b"[" + b"1," * 3_000_000 + b"1]",
        b"[" + b'"",' * 5_000_000 + b'""]',
        b"[" * 1_000_000 + b"]" * 1_000_000,
        b"{" + b'"a":1,' * 3_000_000 + b'"a":1}',
        b'["\\"' + b"x" * (1 << 20) + b'"' + b",[]" * 300_000 + b"]",
    ],
    ids=["lists", "objects", "numbers", "strings", "depth", "keys", "after a quoted quote"],
)
def test_too_many_values_are_refused(value: bytes) -> None:
    with pytest.raises(TooComplex, match="values"):
        _ = message(display(value)).content


@pytest.mark.parametrize(
    "value",
    [
        *("A" * 20_000_000, "1,2,3\n" * 1_500_000, "[{" * 2_000_000, '"' * 900_000, '",' * 5_000_000, "\\" * 3_000_000),
        *('\\",[' * 2_000_000, [1.5] * 500_000, ['\\",[', "\\"] * 150_000),
    ],
    ids=["base64", "commas", "brackets", "quotes", "quotes, commas", "backslashes", "all", "numbers", "texts"],
)
def test_large_and_simple_is_read(value: object) -> None:
    content = orjson.dumps({"data": {"text/plain": value}, "metadata": {}})
    assert message(content).content["data"]["text/plain"] == value


@pytest.mark.parametrize(
    "content",
    [
        b"," * 3_000_000 + b'\\"' * 1_500_000,
        b"," * 3_000_000 + b'"' + b'\\"' * 1_500_000,
        b"," * 3_000_000 + b'"' + b"\\" * 3_000_001,
        b'"' + b'\\"' * 1_900_000 + b"," * 3_000_000,
        b'{"a": "' + b"[" * 3_000_000,
    ],
    ids=["no text", "no end", "backslashes", "commas at the end", "brackets"],
)
def test_what_is_no_json_is_looked_at_once(content: bytes) -> None:
    # Looked at from every quote to its end, the first would take hours.
    with pytest.raises(Undecodable):
        _ = message(content).content


def test_headers_have_a_limit() -> None:
    header = orjson.dumps({"msg_id": "x" * LARGEST_HEADER})
    with pytest.raises(Undecodable):
        decode([b"<IDS|MSG>", b"", header, b"{}", b"{}", b"{}"])


def test_the_person_is_told_what_was_left_out() -> None:
    log = EventLog(1 << 20)
    execution = Execution("s", "code", "python", Outputs(1 << 20))
    Recorder(log).message(execution, message(display(b"[" + b"[]," * 1_000_000 + b"[]]")))
    (event,) = log.read(0, 1 << 20)
    assert event.type == "output.stream"
    assert event.data["name"] == "stderr"
    assert "left out" in event.data["text"]
    assert execution.outputs.as_json()[0]["text"] == event.data["text"]


def test_many_small_values_count_for_what_they_take() -> None:
    log = EventLog(1 << 24)
    recorder = Recorder(log)
    for _ in range(20):
        recorder.message(None, message(display(b"[" + b"[]," * 20_000 + b"[]]")))
    # 60 kB each on the wire, above 2 MB in memory: the log keeps those that its 16 MiB have room for.
    assert 3 <= len(log.read(log.first - 1, 1 << 30)) <= 8
