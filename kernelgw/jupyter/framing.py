"""The two ways in which Jupyter messages go over a WebSocket, in both directions. Pure.

`v1.kernel.websocket.jupyter.org`: all binary; a little-endian u64 with the number of offsets, the offsets, then the
parts: the channel's name, header, parent header, metadata, content, buffers. Parts are passed on as they are.

The older one, of clients that name no protocol: one JSON text; or with buffers a binary frame that begins with
big-endian u32 numbers, how many parts and where each begins, the first of which is the JSON.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

V1 = "v1.kernel.websocket.jupyter.org"
CHANNELS = frozenset({"shell", "control", "stdin", "iopub"})
MOST_PARTS = 1024
LARGEST_HEADER = 8 << 10
NAMES = ("header", "parent_header", "metadata", "content")
Parts = Sequence[bytes]


class BadFrame(ValueError):
    """What a client sent is no message. The text says why, and goes back to it."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """`parts`: header, parent header, metadata, content, buffers."""

    channel: str
    header: dict[str, Any]
    parts: Parts

    @property
    def msg_type(self) -> str:
        return str(self.header["msg_type"])

    @property
    def content(self) -> dict[str, Any]:
        """Raises BadFrame."""
        return _object(self.parts[3], "content")


def pack_v1(channel: str, parts: Parts) -> bytes:
    name = channel.encode()
    position = 8 * (len(parts) + 3)
    offsets = [position]
    for part in (name, *parts):
        position += len(part)
        offsets.append(position)
    return b"".join((struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets), name, *parts))


def unpack_v1(data: bytes | str) -> Incoming:
    """Raises BadFrame."""
    if isinstance(data, str):
        raise BadFrame("this protocol has no text frames")
    channel, *parts = _cut(data, "<Q")
    if len(parts) < 4:
        raise BadFrame("a message has at least four parts")
    return _incoming(channel.decode(errors="replace"), parts)


def pack_legacy(channel: str, parts: Parts) -> bytes | str:
    """Raises BadFrame when the message is not JSON throughout."""
    message: dict[str, Any] = {name: _object(part, name) for name, part in zip(NAMES, parts[:4], strict=True)}
    header = message["header"]
    message |= {"msg_id": header.get("msg_id"), "msg_type": header.get("msg_type"), "channel": channel, "buffers": []}
    text = _encoded(message)
    if len(parts) == 4:
        return text.decode()
    pieces = (text, *parts[4:])
    position = 4 * (len(pieces) + 1)
    offsets = []
    for piece in pieces:
        offsets.append(position)
        position += len(piece)
    return b"".join((struct.pack(f">{len(offsets) + 1}I", len(offsets), *offsets), *pieces))


def unpack_legacy(data: bytes | str) -> Incoming:
    """Raises BadFrame."""
    text, *buffers = [data] if isinstance(data, str) else _cut(data, ">I")
    message = _object(text, "the message")
    channel = message.get("channel") or "shell"
    parts = [_encoded(message.get(name)) for name in NAMES]
    return _incoming(str(channel), [*parts, *(each for each in buffers if isinstance(each, bytes))])


def _cut(data: bytes, number: str) -> list[bytes]:
    """The parts of a binary frame. v1's last offset is its end, the other's ends with it anyway."""
    size = struct.calcsize(number)
    if len(data) < size:
        raise BadFrame("it is too short")
    (count,) = struct.unpack_from(number, data)
    if not 1 <= count <= MOST_PARTS or len(data) < size * (count + 1):
        raise BadFrame("the number of its parts cannot be")
    offsets = list(struct.unpack_from(f"{number[0]}{count}{number[1]}", data, size))
    if number == ">I":
        offsets.append(len(data))
    if offsets[0] < size * (count + 1) or offsets[-1] != len(data) or any(a > b for a, b in pairwise(offsets)):
        raise BadFrame("its parts lie outside of it")
    return [data[start:end] for start, end in pairwise(offsets)] or [b""]


def _incoming(channel: str, parts: Parts) -> Incoming:
    if channel not in CHANNELS:
        raise BadFrame("there is no such channel")
    if len(parts[0]) > LARGEST_HEADER or len(parts[1]) > 8 * LARGEST_HEADER:
        raise BadFrame("its header is too large")
    header = _object(parts[0], "header")
    for name in ("msg_id", "msg_type"):
        if not isinstance(header.get(name), str) or not header[name]:
            raise BadFrame(f"its header has no {name}")
    if not isinstance(header.get("session", ""), str) or not isinstance(header.get("username", ""), str):
        raise BadFrame("session and username are texts")
    for part, name in zip(parts[1:4], NAMES[1:], strict=True):
        _object(part, name)
    return Incoming(channel, header, parts)


def _object(data: bytes | str, what: str) -> dict[str, Any]:
    try:
        value = orjson.loads(data or "{}")
    except orjson.JSONDecodeError:
        raise BadFrame(f"{what} is not JSON") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadFrame(f"{what} is not a JSON object")
    return value


def _encoded(value: Any) -> bytes:
    """What could be read may still be too deep to be written."""
    try:
        return orjson.dumps({} if value is None else value)
    except orjson.JSONEncodeError as error:
        raise BadFrame(f"it cannot be written as JSON: {error}") from None
