"""A journal read by another process than the one that writes it: up to its last mark, and later on from there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .event import Event
from .journal import END, SUFFIX, content, marked


class Replaced(Exception):
    """Another session's journal stands where this one was."""


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """In a journal: a file, by the number of its first event, and an offset in it, at which a block begins."""

    file: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """One event or note, and where it begins."""

    at: Place
    item: Event | dict[str, Any]


class Tail:
    """Of the journal in `folder`. `place`: how far it was read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = Place()
        self._fd = -1

    def read(self, most_bytes: int) -> list[Piece]:
        """What comes next, some `most_bytes` of it or as much more as was written in one go; nothing at the end.

        Raises Replaced, OSError.
        """
        while True:
            # Listed first: a file that has a later one by then is complete.
            files = files_of(self.folder)
            if self._fd < 0 and not self._open_next(files):
                return []
            data = self._marked(most_bytes)
            if data:
                found = [*self._pieces(data)]
                self.place = Place(self.place.file, self.place.offset + len(data))
                if found:
                    return found
            else:
                self._look_whose(files)
                if not any(first > self.place.file for first in files):
                    return []
                self.close()

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _open_next(self, files: list[int]) -> bool:
        for first in files:
            if first > self.place.file:
                try:
                    self._fd = os.open(self.folder / name_of(first), os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    # The oldest may go at any time.
                    continue
                self.place = Place(first)
                return True
        return False

    def _look_whose(self, files: list[int]) -> None:
        """Raises Replaced when the file that is open is another one by now, or all others are older."""
        if self.place.file in files:
            try:
                there = (self.folder / name_of(self.place.file)).stat()
            except FileNotFoundError:
                return
            if not os.path.samestat(there, os.fstat(self._fd)):
                raise Replaced
        elif files and files[-1] < self.place.file:
            raise Replaced

    def _marked(self, most_bytes: int) -> bytes:
        """Nothing when no mark has come after the place."""
        data = b""
        while piece := os.pread(self._fd, most_bytes, self.place.offset + len(data)):
            data += piece
            if found := marked(data):
                return found
        return b""

    def _pieces(self, data: bytes) -> Iterator[Piece]:
        offset = self.place.offset
        for block in data.split(END)[:-1]:
            found = content(block)
            item = found[1] if isinstance(found, tuple) else found
            if item is not None and not isinstance(item, int):
                yield Piece(Place(self.place.file, offset), item)
            offset += len(block) + len(END)


def files_of(folder: Path) -> list[int]:
    """The journal's files, each by its first event, oldest first."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(name[: -len(SUFFIX)]) for name in names if name.endswith(SUFFIX))


def name_of(first: int) -> str:
    return f"{first:020d}{SUFFIX}"
