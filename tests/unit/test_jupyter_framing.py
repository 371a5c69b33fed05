"""Both framings of Jupyter's WebSockets: there and back, against another hand's, and what is no message."""

from __future__ import annotations

import struct

import orjson
import pytest

from kernelgw.jupyter.framing import (
    LARGEST_HEADER,
    MOST_PARTS,
    BadFrame,
    pack_legacy,
    pack_v1,
    unpack_legacy,
    unpack_v1,
)
from tests.live import jupyter as other

HEADER = {"msg_id": "m", "msg_type": "stream", "session": "s", "username": "u", "version": "5.4"}
# As no encoder would write it: it has to come through untouched.
PARTS = (orjson.dumps(HEADER), b'{ "msg_id" : "p" }', b"{}", '{"text":"\u00fc\\u00fc"}'.encode())
BUFFERS = (b"", b"\x00\xff" * 10, b"{}")


@pytest.mark.parametrize("buffers", [(), (b"",), BUFFERS])
def test_v1_passes_parts_on_as_they_are(buffers: tuple[bytes, ...]) -> None:
    frame = pack_v1("iopub", (*PARTS, *buffers))
    found = unpack_v1(frame)
    assert (found.channel, tuple(found.parts)) == ("iopub", (*PARTS, *buffers))
    assert (found.msg_type, found.content) == ("stream", {"text": "üü"})
    read = other.unpack_v1(frame)
    assert (read.channel, read.header, read.parent, tuple(read.buffers)) == ("iopub", HEADER, {"msg_id": "p"}, buffers)
    assert other.pack_v1(read) != b""


def test_v1_is_the_format_that_is_written_down() -> None:
    frame = pack_v1("shell", (b"{}", b"{}", b"{}", b"{}"))
    assert struct.unpack_from("<8Q", frame) == (6, 56, 61, 63, 65, 67, 69, 0) or frame[:8] == struct.pack("<Q", 6)
    (count,) = struct.unpack_from("<Q", frame)
    offsets = struct.unpack_from(f"<{count}Q", frame, 8)
    assert (offsets[0], offsets[-1]) == (8 * (count + 1), len(frame))
    assert frame[offsets[0] : offsets[1]] == b"shell"


@pytest.mark.parametrize("buffers", [(), (b"",), BUFFERS])
def test_legacy_there_and_back(buffers: tuple[bytes, ...]) -> None:
    frame = pack_legacy("iopub", (*PARTS, *buffers))
    assert isinstance(frame, bytes) == bool(buffers)
    read = other.unpack_legacy(frame)
    assert (read.channel, read.header, read.content, tuple(read.buffers)) == ("iopub", HEADER, {"text": "üü"}, buffers)
    found = unpack_legacy(other.pack_legacy(read))
    assert (found.channel, found.header, found.content) == ("iopub", HEADER, {"text": "üü"})
    assert tuple(found.parts[4:]) == buffers


def test_a_legacy_message_without_a_channel_is_for_the_shell() -> None:
    assert unpack_legacy(orjson.dumps({"header": HEADER}).decode()).channel == "shell"


def test_what_is_not_json_cannot_be_told_in_the_older_one() -> None:
    for broken in (b"{", b"[]", b"\xff"):
        with pytest.raises(BadFrame):
            pack_legacy("iopub", (PARTS[0], b"{}", b"{}", broken))


def v1(*parts: bytes) -> bytes:
    return pack_v1(parts[0].decode("latin-1"), parts[1:])


HEAD = orjson.dumps(HEADER)


@pytest.mark.parametrize(
    "frame",
    [
        *(b"", b"\0" * 7, b"\0" * 8, b"\xff" * 8, b"\xff" * 100, "text", v1(b"shell", HEAD, b"{}", b"{}")),
        struct.pack("<Q", MOST_PARTS + 1) + bytes(8 * (MOST_PARTS + 1)),
        v1(b"nowhere", HEAD, b"{}", b"{}", b"{}"),
        v1(b"shell", b"[]", b"{}", b"{}", b"{}"),
        v1(b"shell", b"{}", b"{}", b"{}", b"{}"),
        v1(b"shell", HEAD, b"[]", b"{}", b"{}"),
        v1(b"shell", HEAD, b"{}", b"1", b"{}"),
        v1(b"shell", HEAD, b"{}", b"{}", b"nope"),
        v1(b"shell", orjson.dumps({**HEADER, "pad": "x" * LARGEST_HEADER}), b"{}", b"{}", b"{}"),
        v1(b"shell", HEAD, b"{}", b"{}", b"{}") + b"more",
        v1(b"shell", HEAD, b"{}", b"{}", b"{}")[:-1],
    ],
)
def test_what_is_no_v1_message(frame: bytes | str) -> None:
    with pytest.raises(BadFrame):
        unpack_v1(frame)


@pytest.mark.parametrize(
    "frame",
    [
        *("", "{", "[]", "1", "{}", b"", b"\0\0\0", b"\xff" * 8, struct.pack(">2I", 1, 7) + b"{}"),
        orjson.dumps({"header": {**HEADER, "msg_type": ""}}).decode(),
        orjson.dumps({"header": {**HEADER, "msg_id": None}}).decode(),
        orjson.dumps({"header": {**HEADER, "session": 1}}).decode(),
        orjson.dumps({"header": HEADER, "parent_header": "x"}).decode(),
        "[" * 100_000,
    ],
)
def test_what_is_no_legacy_message(frame: bytes | str) -> None:
    with pytest.raises(BadFrame):
        unpack_legacy(frame)


def test_every_cut_of_a_frame_is_refused_or_read_and_nothing_else() -> None:
    frame = pack_v1("shell", (*PARTS, *BUFFERS))
    for end in range(len(frame)):
        with pytest.raises(BadFrame):
            unpack_v1(frame[:end])
    for position in range(0, 72):
        changed = bytearray(frame)
        changed[position] ^= 0x81
        try:
            unpack_v1(bytes(changed))
        except BadFrame:
            continue
