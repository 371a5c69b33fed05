"""A session's events on disk, in the very bytes in which they are sent.

Each file is a valid stream of server-sent events. What readers must not see stands in it as comments: notes
(`: {json}`) say what a later gateway needs to know, and marks (`: 123`) end what was written in one go. What follows
the last mark was being written when the gateway was killed: nobody has seen it, and it is cut off. The number in a
mark is that of the kernel's last message all of whose events stand before it; of further kernels a note says so, by
their names.
"""

from __future__ import annotations

import logging
import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from .event import GAP, Event

SUFFIX = ".events"
# Of all that a session may keep, the share of one file: so much goes at once when the oldest has to.
SHARES = 8
# So many times as much is kept for somebody who reads it later.
HELD = 4
LEAST_FILE = 64 << 10
# So far apart are the places in a file that are known by number.
STRIDE = 64 << 10
END = b"\n\n"
TAKEN = "taken"
log = logging.getLogger("kernelgw.events")


@dataclass(slots=True)
class _File:
    """`places`: (seq, offset) pairs, in order; the first event of the file is `first`. `heading`: bytes that do not
    count, since they stand there for those who read it without the files before."""

    first: int
    name: str
    size: int = 0
    heading: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)

    def place(self, seq: int, offset: int) -> None:
        if not self.places or offset - self.places[-1][1] >= STRIDE:
            self.places.append((seq, offset))

    def start_of(self, seq: int) -> int:
        """An offset at which a block begins, at or before the event's."""
        at = bisect_right(self.places, seq, key=lambda place: place[0])
        return self.places[at - 1][1] if at else 0


class Journal:
    """`limit`: bytes kept, roughly; `heading`: notes that a new file begins with, since older files may go."""

    def __init__(self, folder: Path, limit: int, heading: Callable[[], list[dict[str, Any]]] = list) -> None:
        self.folder = folder
        self.heading = heading
        # The last message that has been dealt with, of each kernel; "" is the session's own.
        self.taken: dict[str, int] = {"": 0}
        self._marked: dict[str, int] = {}
        # Called each time that something was written.
        self.flushed: Callable[[], None] = lambda: None
        # How far somebody else has read who is to miss nothing: the files before the one that begins with this event.
        self.followed: Callable[[], float] = lambda: math.inf
        self._most_of_file = max(LEAST_FILE, limit // SHARES)
        self._limit = limit
        self._files: list[_File] = []
        self._fd = -1
        self._pending: list[tuple[int, bytes]] = []
        self._next = 1
        self._lost_from = 0

    @property
    def first(self) -> int:
        """The oldest event that is kept."""
        return self._files[0].first if self._files else self._next

    @property
    def size(self) -> int:
        return sum(file.size - file.heading for file in self._files)

    @property
    def unwritten(self) -> int:
        """Bytes that wait to be written."""
        return sum(len(block) for _, block in self._pending)

    def append(self, seq: int, frame: bytes) -> None:
        self._pending.append((seq, frame))
        self._next = seq + 1

    def note(self, record: dict[str, Any]) -> None:
        """Something that is no event, for whoever reads this after us."""
        self._pending.append((0, _note(record)))

    def flush(self) -> None:
        """Writes what waits, in one go. Raises OSError, and has written nothing then."""
        if not self._pending:
            return
        self._make_room()
        file = self._files[-1]
        data = b"".join(block for _, block in self._pending) + self._further() + _mark(self.taken[""])
        _write(self._fd, data, file.size)
        self._marked = dict(self.taken)
        self._place(file)
        file.size += len(data)
        self._pending.clear()
        self._lost_from = 0
        self.flushed()
        while len(self._files) > 1 and self.size > self._limit and self._may_go():
            (self.folder / self._files.pop(0).name).unlink(missing_ok=True)

    def _further(self) -> bytes:
        """What is new of the numbers that a mark has no room for."""
        if len(self.taken) == 1:
            return b""
        new = {name: number for name, number in self.taken.items() if name and self._marked.get(name) != number}
        return _note({TAKEN: new}) if new else b""

    def _may_go(self) -> bool:
        """Whether the oldest file is wanted no more, or can be waited for no longer."""
        return self._files[1].first <= self.followed() or self.size > HELD * self._limit

    def forget(self, most_bytes: int) -> None:
        """Of what waits to be written keeps the newest, and an event that tells of the others."""
        lost: list[int] = []
        waiting = self.unwritten
        kept = []
        for seq, block in self._pending:
            if seq and waiting > most_bytes:
                waiting -= len(block)
                lost.append(seq)
            else:
                kept.append((seq, block))
        if lost:
            self._lost_from = self._lost_from or lost[0]
            told = {"from": self._lost_from, "to": lost[-1], "reason": "the disk of the gateway was full"}
            kept.insert(0, (lost[-1], Event(lost[-1], GAP, None, told, 0).frame()))
        self._pending = kept

    def _place(self, file: _File) -> None:
        offset = file.size
        for seq, block in self._pending:
            if seq:
                file.place(seq, offset)
            offset += len(block)

    def _make_room(self) -> None:
        first = next((seq for seq, _ in self._pending if seq), self._next)
        # Files are told apart by their first event, so each has to have one.
        last = self._files[-1] if self._files else None
        if last is None or (last.size - last.heading >= self._most_of_file and last.first < first):
            self._begin_file(first)

    def _begin_file(self, first: int) -> None:
        path = self.folder / f"{first:020d}{SUFFIX}"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            self._marked = {}
            heading = b"".join(map(_note, self.heading())) + self._further() + _mark(self.taken[""])
            _write(fd, heading, 0)
        except BaseException:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        self.close()
        self._fd = fd
        self._files.append(_File(first, path.name, len(heading), len(heading)))

    def read(self, after: int, most_bytes: int) -> list[Event]:
        """Events with seq > `after` that have been written, oldest first, up to about `most_bytes`."""
        at = bisect_right(self._files, after + 1, key=lambda file: file.first) - 1
        found: list[Event] = []
        for file in self._files[max(at, 0) :]:
            for block in _blocks(self.folder / file.name, file.start_of(after + 1), most_bytes):
                item = None if block.startswith(b":") else content(block)
                if isinstance(item, tuple) and item[1] is not None and item[0] > after:
                    found.append(item[1])
                    most_bytes -= len(block)
                    if most_bytes <= 0:
                        return found
        return found

    def move(self, folder: Path) -> None:
        """To where its name is no longer taken; what is written and read goes on there."""
        if self.folder.exists():
            self.folder.rename(folder)
        self.folder = folder

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    # what an earlier gateway left

    def beginning(self) -> dict[str, Any] | None:
        """The first note of what is kept."""
        path = min(self.folder.glob(f"*{SUFFIX}"), default=None)
        for block in _blocks(path, 0, STRIDE) if path else ():
            if isinstance(item := content(block), dict):
                return item
        return None

    def load(self, skipped: bytes = b"") -> Iterator[Event | dict[str, Any]]:
        """Everything there is, in order: events, and notes as dicts. Events whose type begins with `skipped` are only
        counted. Afterwards the journal goes on where it ended."""
        names = sorted(path.name for path in self.folder.glob(f"*{SUFFIX}"))
        self._files = [_File(int(name[: -len(SUFFIX)]), name) for name in names]
        for file in self._files:
            data = marked((self.folder / file.name).read_bytes())
            file.size = len(data)
            offset = 0
            for block in data.split(END)[:-1]:
                item = content(block, skipped)
                if isinstance(item, tuple):
                    self._next = item[0] + 1
                    file.place(item[0], offset)
                    if item[1] is not None:
                        yield item[1]
                elif isinstance(item, int):
                    self.taken[""] = item
                elif item is not None and TAKEN in item:
                    self.taken.update(item[TAKEN])
                elif item is not None:
                    yield item
                offset += len(block) + len(END)
        if self._files:
            last = self._files[-1]
            self._fd = os.open(self.folder / last.name, os.O_RDWR | os.O_CLOEXEC)
            os.ftruncate(self._fd, last.size)

    @property
    def last(self) -> int:
        """The newest event, written or not."""
        return self._next - 1


def _write(fd: int, data: bytes, offset: int) -> None:
    try:
        written = os.pwrite(fd, data, offset)
        while written < len(data):
            written += os.pwrite(fd, memoryview(data)[written:], offset + written)
    except OSError:
        os.ftruncate(fd, offset)
        raise


def _note(record: dict[str, Any]) -> bytes:
    return b": " + orjson.dumps(record) + END


def _mark(number: int) -> bytes:
    return b": %d" % number + END


def marked(data: bytes) -> bytes:
    """Up to the last mark."""
    stop = len(data)
    while (stop := data.rfind(END, 0, stop + 1)) >= 0:
        before = data.rfind(END, 0, stop)
        block = data[before + len(END) if before >= 0 else 0 : stop]
        if block.startswith(b": ") and block[2:].isdigit():
            return data[: stop + len(END)]
    return b""


def _blocks(path: Path, offset: int, size: int) -> Iterator[bytes]:
    """Whole blocks from there on, read in pieces of `size` bytes or as much more as one takes."""
    rest = b""
    try:
        reader = path.open("rb", buffering=0)
    except FileNotFoundError:
        # The session was removed; its last readers have what is in memory.
        return
    with reader:
        reader.seek(offset)
        while piece := reader.read(max(size, STRIDE, len(rest))):
            *whole, rest = (rest + piece).split(END)
            yield from whole


def content(block: bytes, skipped: bytes = b"") -> tuple[int, Event | None] | dict[str, Any] | int | None:
    """An event's seq with the event, unless its type begins with `skipped`; a note; the number of a mark; None for what
    cannot be read, as a broken disk may leave it."""
    try:
        if block.startswith(b": {"):
            record: dict[str, Any] = orjson.loads(block[2:])
            return record
        if block.startswith(b": "):
            return int(block[2:])
        number, type_, _ = block.split(b"\n", 2)
        left_out = skipped and type_.startswith(skipped, len("event: "))
        return int(number[4:]), None if left_out else Event.parse(block + END)
    except (ValueError, TypeError, AttributeError) as error:
        log.warning("skipped what cannot be read in a journal: %s", error)
        return None
