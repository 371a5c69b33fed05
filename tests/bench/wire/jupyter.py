"""Jupyter messages on a WebSocket: the v1 framing that JupyterLab asks for, and the older JSON form."""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from tests.bench.wire.websocket import BINARY, TEXT

V1 = "v1.kernel.websocket.jupyter.org"


@dataclass(frozen=True, slots=True)
class Message:
    channel: str
    type: str
    parent_id: str
    content: dict[str, Any]


class Codec:
    def __init__(self, session: str, v1: bool) -> None:
        self.session = session
        self.v1 = v1
        self._count = 0

    def request(self, kind: str, content: dict[str, Any], channel: str = "shell") -> tuple[str, int, bytes]:
        """The message's id, the WebSocket opcode to send it with, and its bytes."""
        self._count += 1
        header = {
            "msg_id": f"{self.session}_{self._count}",
            "msg_type": kind,
            "session": self.session,
            "username": "bench",
            "version": "5.3",
            "date": datetime.now(UTC).isoformat(),
        }
        if self.v1:
            return header["msg_id"], BINARY, _pack(channel, header, content)
        whole = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": channel}
        return header["msg_id"], TEXT, orjson.dumps(whole)

    def decode(self, opcode: int, payload: bytes) -> Message:
        if self.v1:
            return _unpack(payload)
        if opcode != TEXT:  # with buffers: a count, offsets, then the JSON
            count, start = struct.unpack_from("!II", payload)
            end = struct.unpack_from("!I", payload, 8)[0] if count > 1 else len(payload)
            payload = payload[start:end]
        whole = orjson.loads(payload)
        parent = whole["parent_header"] or {}
        kind = whole["header"]["msg_type"]
        return Message(whole["channel"], kind, parent.get("msg_id", ""), whole["content"])


def _pack(channel: str, header: dict[str, str], content: dict[str, Any]) -> bytes:
    parts = [channel.encode(), orjson.dumps(header), b"{}", b"{}", orjson.dumps(content)]
    offsets = [8 * (len(parts) + 2)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    return struct.pack(f"<Q{len(offsets)}Q", len(offsets), *offsets) + b"".join(parts)


def _unpack(payload: bytes) -> Message:
    count = struct.unpack_from("<Q", payload)[0]
    at = struct.unpack_from(f"<{count}Q", payload, 8)
    header = orjson.loads(payload[at[1] : at[2]])
    parent = orjson.loads(payload[at[2] : at[3]]) or {}
    content = orjson.loads(payload[at[4] : at[5]])
    return Message(payload[at[0] : at[1]].decode(), header["msg_type"], parent.get("msg_id", ""), content)
