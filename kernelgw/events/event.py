"""One thing that happened in a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

# What an event costs beside its payload: the object, its dict, its place in the list.
OVERHEAD = 400
# Stands for events that are kept no more; has the seq of the last of them.
GAP = "stream.gap"
# A larger frame is made anew for each reader rather than kept.
LARGEST_KEPT = 65536


@dataclass(slots=True)
class Event:
    """`seq` counts from 1 in a session; `data` is JSON-ready and never changed. `size`: bytes, roughly."""

    seq: int
    type: str
    execution_id: str | None
    data: dict[str, Any]
    size: int
    _frame: bytes | None = None

    def frame(self) -> bytes:
        """As server-sent event; encoded once, however many read it."""
        if self._frame is None:
            head = f"id: {self.seq}\nevent: {self.type}\ndata: ".encode()
            frame = head + orjson.dumps(self.data, option=orjson.OPT_NON_STR_KEYS) + b"\n\n"
            if len(frame) > LARGEST_KEPT:
                return frame
            self._frame = frame
        return self._frame

    @classmethod
    def parse(cls, frame: bytes) -> Event:
        """What `frame` gave."""
        number, type_, data = frame.split(b"\n", 2)
        values: dict[str, Any] = orjson.loads(data[6:])
        kept = frame if len(frame) <= LARGEST_KEPT else None
        return cls(int(number[4:]), type_[7:].decode(), values.get("execution_id"), values, len(frame) + OVERHEAD, kept)
