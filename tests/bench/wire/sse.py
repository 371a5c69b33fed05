"""Server-sent events from the pieces of a body."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Event:
    id: int | None
    type: str
    data: dict[str, Any]


def events(pieces: Iterable[bytes]) -> Iterator[Event]:
    rest = b""
    for piece in pieces:
        *blocks, rest = (rest + piece).split(b"\n\n")
        for block in blocks:
            event = _parse(block)
            if event is not None:
                yield event


def _parse(block: bytes) -> Event | None:
    number: int | None = None
    kind = "message"
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            kind = value.decode()
        elif field == b"id":
            number = int(value)
    if not data:
        return None
    return Event(number, kind, orjson.loads(b"\n".join(data)))
