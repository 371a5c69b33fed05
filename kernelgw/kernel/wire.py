"""Jupyter messages as ZeroMQ frames. Unsigned: the sockets are private, and a kernel knows its key anyway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

DELIMITER = b"<IDS|MSG>"
PROTOCOL = "5.4"


class Undecodable(ValueError):
    """A message that is not one: too few frames, no JSON, JSON of the wrong shape."""


@dataclass(slots=True)
class Message:
    """One message from a kernel. `content` is parsed on first use; `parent_id` is "" without a parent."""

    msg_type: str
    msg_id: str
    parent_id: str
    raw: list[bytes]

    @property
    def content(self) -> dict[str, Any]:
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
    header = _object(raw[0])
    parent = _object(raw[1])
    return Message(str(header.get("msg_type")), str(header.get("msg_id")), str(parent.get("msg_id") or ""), raw)


def encode(msg_type: str, msg_id: str, session: str, content: Mapping[str, Any]) -> list[bytes]:
    header = {
        "msg_id": msg_id,
        "msg_type": msg_type,
        "session": session,
        "username": "kernelgw",
        "date": datetime.now(UTC).isoformat(),
        "version": PROTOCOL,
    }
    return [DELIMITER, b"", orjson.dumps(header), b"{}", b"{}", orjson.dumps(content)]


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
