"""Between gateway and indexer: frames of a JSON head and bytes that go with it, over a stream socket."""

from __future__ import annotations

import struct
from typing import Any

import orjson

SIZES = struct.Struct(">II")
Head = dict[str, Any]


def frame(head: Head, *pieces: bytes) -> bytes:
    encoded = orjson.dumps(head)
    return b"".join((SIZES.pack(len(encoded), sum(map(len, pieces))), encoded, *pieces))


class Frames:
    """Whole frames from whatever pieces come in."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def take(self, data: bytes) -> list[tuple[Head, bytes]]:
        self._buffer += data
        found: list[tuple[Head, bytes]] = []
        while (one := self._one()) is not None:
            found.append(one)
        return found

    def _one(self) -> tuple[Head, bytes] | None:
        if len(self._buffer) < SIZES.size:
            return None
        head, payload = SIZES.unpack_from(self._buffer)
        end = SIZES.size + head + payload
        if len(self._buffer) < end:
            return None
        middle = SIZES.size + head
        found = orjson.loads(self._buffer[SIZES.size : middle]), bytes(self._buffer[middle:end])
        del self._buffer[:end]
        return found
