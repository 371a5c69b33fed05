"""A session's events in order, bounded, read by pulling: a slow reader costs nobody anything."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

from .event import GAP, OVERHEAD, Event
from .journal import Journal

TRIM_STEP = 1024
# Of events that are on disk as well, so many bytes are kept in memory.
RECENT_BYTES = 4 << 20
# Of events that cannot be written now, so many bytes wait for the disk to have room again.
MOST_UNWRITTEN = 64 << 20
STEP_BYTES = 1 << 20
log = logging.getLogger("kernelgw.events")

# Stands in the list where an event was, until its place is taken back too.
GONE = Event(0, "", None, {}, 0)


class EventLog:
    """Keeps the newest events up to `limit` bytes. Older ones go; a reader that wanted them gets a gap event.

    With a journal no event can be read before it is written, unless the disk takes none: then `failure` says why, what
    happens is still told, and is written as soon as that is possible again.
    """

    def __init__(self, limit: int, journal: Journal | None = None) -> None:
        self.limit = limit if journal is None else min(limit, RECENT_BYTES)
        self.journal = journal
        self.failure: OSError | None = None
        self.size = 0
        self.last = 0
        self.closed = False
        self._events: list[Event] = []
        self._start = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._flush_soon = False
        # By kernel, "" for the session's own: told the number of its last message of which everything is written.
        self.written: dict[str, Callable[[int], None]] = {}

    @property
    def first(self) -> int:
        """The oldest seq still kept (last + 1 when there is none)."""
        return self._first_recent if self.journal is None else min(self.journal.first, self._first_recent)

    @property
    def _first_recent(self) -> int:
        """The oldest one in memory."""
        return self.last - (len(self._events) - self._start) + 1

    def append(self, type_: str, data: dict[str, Any], execution_id: str | None = None, size: int = 0) -> Event:
        """`size`: bytes of payload, roughly. Wakes whoever waits."""
        self.last += 1
        if execution_id is not None:
            data["execution_id"] = execution_id
        event = Event(self.last, type_, execution_id, data, size + OVERHEAD)
        if self.journal is not None:
            self.journal.append(event.seq, event.frame())
            self._schedule_flush()
        self._keep(event)
        self._wake()
        return event

    def restored(self) -> None:
        """The journal has been loaded, with what an earlier gateway wrote; this goes on after it."""
        if self.journal is not None:
            self.last = self.journal.last

    def each(self, most: int) -> Iterator[Event]:
        """All that is kept, up to that seq."""
        after = 0
        while after < most and (events := self.read(after, STEP_BYTES)):
            for event in events:
                if event.seq <= most:
                    yield event
            after = events[-1].seq

    def note(self, record: dict[str, Any]) -> None:
        """For a later gateway; without effect where nothing is written."""
        if self.journal is not None:
            self.journal.note(record)
            self._schedule_flush()

    def taken(self, number: int, kernel: str = "") -> None:
        """That kernel's message which is dealt with now; 0 for one that has none."""
        if number and self.journal is not None:
            self.journal.taken[kernel] = number
        elif number and kernel in self.written:
            self.written[kernel](number)

    def begin_at(self, number: int, kernel: str = "") -> None:
        """Of a kernel whose messages up to this one are of no interest."""
        if self.journal is not None:
            self.journal.taken[kernel] = number

    def _schedule_flush(self) -> None:
        if not self._flush_soon:
            self._flush_soon = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Writes what is not written yet. Called before anybody is answered with what depends on it."""
        self._flush_soon = False
        journal = self.journal
        if journal is None or self.closed:
            return
        try:
            journal.flush()
        except OSError as error:
            if self.failure is None:
                log.error("events cannot be written to %s: %s", journal.folder, error)
            self.failure = error
            journal.forget(MOST_UNWRITTEN)
        else:
            if self.failure is not None:
                log.warning("events are written to %s again", journal.folder)
            self.failure = None
        # Also when it could not be written: the kernel would hold its code back for as long as the disk is full.
        for kernel, written in self.written.items():
            written(journal.taken.get(kernel, 0))

    def _keep(self, event: Event) -> None:
        self._events.append(event)
        self.size += event.size
        if self.size > self.limit:
            self._trim()

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
        if self._flush_soon:
            self.flush()
        found: list[Event] = []
        first = self._first_recent
        if after < first - 1:
            old = [] if self.journal is None else self.journal.read(after, most_bytes)
            if old and old[0].seq == after + 1:
                return old
            found.append(_gap(after, old[0].seq if old else first))
            if old:
                return found + old
            after = first - 1
        size = 0
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
        """No more events come. What there is can still be read."""
        self.flush()
        self.closed = True
        if self.journal is not None:
            self.journal.close()
        self._wake()

    def _wake(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)


def _gap(after: int, first: int) -> Event:
    lost = {"from": after + 1, "to": first - 1, "reason": "the session keeps its newest events only"}
    return Event(first - 1, GAP, None, lost, OVERHEAD)
