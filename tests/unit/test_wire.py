"""Jupyter messages as frames: what is no message is refused, what is one comes through untouched."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from jupyter_client.session import Session

from kernelgw.kernel.wire import DELIMITER, Undecodable, decode, encode

HEADER = b'{"msg_id": "m1", "msg_type": "stream"}'
GARBAGE = (b"", b"{", b"nonsense", b"\xff\xfe", b"[1, 2]", b'"text"', b"1", b"true", b"NaN", b'{"a": "\\ud800"}')


def frames(
    header: bytes = HEADER, parent: bytes = b"{}", metadata: bytes = b"{}", content: bytes = b"{}", *buffers: bytes
) -> list[bytes]:
    return [b"topic", DELIMITER, b"signature", header, parent, metadata, content, *buffers]


def test_a_message() -> None:
    message = decode(frames(parent=b'{"msg_id": "p1"}', content=b'{"text": "x"}'))
    assert (message.msg_type, message.msg_id, message.parent_id) == ("stream", "m1", "p1")
    assert message.content == {"text": "x"}
    assert message.buffers == []


@pytest.mark.parametrize("parent", [b"{}", b"null", b'{"msg_id": null}', b'{"msg_id": ""}'])
def test_without_a_parent_the_parent_is_nobody(parent: bytes) -> None:
    assert decode(frames(parent=parent)).parent_id == ""


def test_content_may_be_null() -> None:
    assert decode(frames(content=b"null")).content == {}


def test_buffers_and_raw_frames_are_kept_as_they_came() -> None:
    message = decode(frames(HEADER, b"{}", b'{"m": 1}', b'{ "a":1 }', b"\x00\xff", b"", DELIMITER))
    assert message.buffers == [b"\x00\xff", b"", DELIMITER]
    assert message.raw[:4] == [HEADER, b"{}", b'{"m": 1}', b'{ "a":1 }']


@pytest.mark.parametrize("before", [[], [b"identity"], [b"one", b"two", b""]])
def test_any_number_of_frames_may_come_before_the_delimiter(before: list[bytes]) -> None:
    assert decode([*before, *frames()[1:]]).msg_id == "m1"


@pytest.mark.parametrize("count", range(7))
def test_too_few_frames_are_refused(count: int) -> None:
    with pytest.raises(Undecodable):
        decode(frames()[:count])


def test_frames_without_a_delimiter_are_refused() -> None:
    with pytest.raises(Undecodable, match="delimiter"):
        decode([b"x"] * 10)


@pytest.mark.parametrize("garbage", [*GARBAGE, b"[" * 100_000])
def test_a_header_or_parent_that_is_no_object_is_refused(garbage: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(frames(header=garbage))
    with pytest.raises(Undecodable):
        decode(frames(parent=garbage))


@pytest.mark.parametrize("garbage", GARBAGE)
def test_content_that_is_no_object_is_refused_when_it_is_asked_for(garbage: bytes) -> None:
    message = decode(frames(content=garbage))
    with pytest.raises(Undecodable):
        _ = message.content


@pytest.mark.parametrize("value", [None, 1, [], {}, "x" * 10_000])
def test_ids_and_types_are_text_whatever_the_kernel_says(value: Any) -> None:
    header = json.dumps({"msg_id": value, "msg_type": value}).encode()
    message = decode(frames(header=header, parent=header))
    assert {type(message.msg_id), type(message.msg_type), type(message.parent_id)} == {str}


CONTENTS: tuple[dict[str, Any], ...] = ({}, {"code": "print('ä\u2028\U0001f600\\n')", "stop_on_error": False})


@pytest.mark.parametrize("content", CONTENTS)
def test_jupyter_reads_what_we_write(content: dict[str, Any]) -> None:
    session = Session(key=b"")
    sent = encode("execute_request", "m1", "s1", content)
    identities, rest = session.feed_identities(sent)
    message = session.deserialize(rest)
    assert identities == []
    assert message["content"] == content
    assert message["parent_header"] == {}
    header = message["header"]
    assert (header["msg_id"], header["msg_type"], header["session"]) == ("m1", "execute_request", "s1")
    assert header["version"].startswith("5.")
    assert isinstance(header["date"], datetime)


def test_we_read_what_jupyter_writes() -> None:
    session = Session(key=b"secret")
    parent = session.msg("execute_request", {})
    sent = session.serialize(session.msg("stream", {"name": "stdout", "text": "x"}, parent=parent), ident=b"topic")
    message = decode(sent)
    assert message.msg_type == "stream"
    assert message.parent_id == parent["header"]["msg_id"]
    assert message.content == {"name": "stdout", "text": "x"}
