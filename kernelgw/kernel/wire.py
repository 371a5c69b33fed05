"""Jupyter messages as ZeroMQ frames. Unsigned: the sockets are private, and a kernel knows its key anyway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

DELIMITER = b"<IDS|MSG>"
PROTOCOL = "5.4"
LARGEST_HEADER = 64 * 1024
# Below this a message may be of any shape. Beyond it, what counts is how many values it has.
SIMPLE_BYTES = 1 << 20
MOST_SCALARS = 2_000_000
MOST_CONTAINERS = 200_000
# What tells how many values there are, and where text begins and ends.
STRUCTURE = b',[{"'
REST = bytes(set(range(256)) - set(STRUCTURE))


class Undecodable(ValueError):
    """A message that is not one: too few frames, no JSON, JSON of the wrong shape."""


class TooComplex(Undecodable):
    """A message of very many values. Each costs many times its bytes in memory, and all are read at once."""


@dataclass(slots=True)
class Message:
    """One message from a kernel. `content` is parsed on first use; `parent_id` is "" without a parent."""

    msg_type: str
    msg_id: str
    parent_id: str
    raw: list[bytes]

    @property
    def content(self) -> dict[str, Any]:
        """Raises TooComplex, Undecodable."""
        _check_complexity(self.raw[3])
        return _object(self.raw[3])

    @property
    def buffers(self) -> list[bytes]:
        return self.raw[4:]


def decode(frames: list[bytes]) -> Message:
    """Raises Undecodable. `raw` holds header, parent header, metadata, content and buffers, untouched."""
    try:
        start = frames.index(DELIMITER) + 2
    except ValueError:
        raise Undecodable("no delimiter") from None
    raw = frames[start:]
    if len(raw) < 4:
        raise Undecodable(f"{len(raw)} frames after the delimiter")
    if len(raw[0]) > LARGEST_HEADER or len(raw[1]) > LARGEST_HEADER:
        raise Undecodable("a header that is too large")
    header = _object(raw[0])
    parent = _object(raw[1])
    return Message(str(header.get("msg_type")), str(header.get("msg_id")), str(parent.get("msg_id") or ""), raw)


def encode(
    msg_type: str, msg_id: str, session: str, content: Mapping[str, Any], metadata: Mapping[str, Any] | None = None
) -> list[bytes]:
    header = {
        "msg_id": msg_id,
        "msg_type": msg_type,
        "session": session,
        "username": "kernelgw",
        "date": datetime.now(UTC).isoformat(),
        "version": PROTOCOL,
    }
    return [DELIMITER, b"", orjson.dumps(header), b"{}", orjson.dumps(metadata or {}), orjson.dumps(content)]


def _check_complexity(data: bytes) -> None:
    if len(data) <= SIMPLE_BYTES or _few_values(data):
        return
    structure = _structure(data)
    # Commas and brackets may be text; but so many strings are too many by themselves.
    if structure.count(b'"') > 2 * MOST_SCALARS or not _few_values(_outside(structure)):
        raise TooComplex(f"more than {MOST_SCALARS:,} values, or {MOST_CONTAINERS:,} lists and objects")


def _structure(data: bytes) -> bytes:
    """JSON without everything but commas, opening brackets and the quotes at both ends of a text. What is no JSON is
    read only up to where that shows, so its rest may be counted wrongly."""
    if b"\\" in data:
        # In this order: the quote after an escaped backslash is an end.
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Two quotes side by side end what they begin, or begin again what they end: either way nothing changes sides.
    return data.translate(None, REST).replace(b'""', b"")


def _outside(structure: bytes) -> bytes:
    return b"".join(structure.split(b'"')[::2])


def _few_values(data: bytes) -> bool:
    return data.count(b",") <= MOST_SCALARS and data.count(b"[") + data.count(b"{") <= MOST_CONTAINERS


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Undecodable(str(error)) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Undecodable("not a JSON object")
    return value
