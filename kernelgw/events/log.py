"""A session's events in order, bounded, read by pulling: a slow reader costs nobody anything."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson

# What an event costs beside its payload: the object, its dict, its place in the list.
OVERHEAD = 400
TRIM_STEP = 1024


@dataclass(slots=True)
class Event:
    """One thing that happened. `seq` counts from 1 in a session; `data` is JSON-ready and never changed."""

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
            if len(frame) > 65536:
                return frame
            self._frame = frame
        return self._frame


# Stands in the list where an event was, until its place is taken back too.
GONE = Event(0, "", None, {}, 0)


class EventLog:
    """Keeps the newest events up to `limit` bytes. Older ones go; a reader that wanted them gets a gap event."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.last = 0
        self.closed = False
        self._events: list[Event] = []
        self._start = 0
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def first(self) -> int:
        """The oldest seq still kept (last + 1 when there is none)."""
        return self.last - (len(self._events) - self._start) + 1

    def append(self, type_: str, data: dict[str, Any], execution_id: str | None = None, size: int = 0) -> Event:
        """`size`: bytes of payload, roughly. Wakes whoever waits."""
        self.last += 1
        if execution_id is not None:
            data["execution_id"] = execution_id
        event = Event(self.last, type_, execution_id, data, size + OVERHEAD)
        self._events.append(event)
        self.size += event.size
        if self.size > self.limit:
            self._trim()
        self._wake()
        return event

    def _trim(self) -> None:
        # The newest always stays, however large, so that a reader can learn of it.
        while self.size > self.limit and self._start < len(self._events) - 1:
            self.size -= self._events[self._start].size
            self._events[self._start] = GONE
            self._start += 1
        if self._start >= TRIM_STEP or self._start * 2 > len(self._events):
            del self._events[: self._start]
            self._start = 0

    def read(self, after: int, most_bytes: int) -> list[Event]:
        """Events with seq > `after`, oldest first, up to about `most_bytes`. A cut is told by a first event
        of type `stream.gap`, which has the seq of the last one that is missing."""
        first = self.first
        found: list[Event] = []
        size = 0
        if after < first - 1:
            lost = {"from": after + 1, "to": first - 1, "reason": "the session keeps its newest events only"}
            found.append(Event(first - 1, "stream.gap", None, lost, OVERHEAD))
            after = first - 1
        for index in range(self._start + (after + 1 - first), len(self._events)):
            event = self._events[index]
            found.append(event)
            size += event.size
            if size >= most_bytes:
                break
        return found

    async def wait(self, after: int) -> bool:
        """Returns once there is something after `after`; False when the log is closed and there never will be."""
        while self.last <= after:
            if self.closed:
                return False
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        return True

    def close(self) -> None:
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
