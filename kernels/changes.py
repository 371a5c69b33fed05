"""Which files of the workspace a cell has made, changed or deleted, by whatever process.

One inotify descriptor with a watch on each folder: a cell that touches no file costs one read that finds nothing. What
it tells is only where to look; what has become of a file is seen by looking, once, when the cell is over. Where inotify
is not to be had, or has lost events, all files are looked at. Everything is bounded, and what was not seen is said.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import time
from collections.abc import Iterator
from typing import Any

from . import linux

MOST_FOLDERS = 512
# Files looked at in one go, and remembered.
MOST_FILES = 5_000
MOST_TOLD = 200
LEFT_OUT_FOLDERS = frozenset({"__pycache__", "node_modules"})
EVENTS = (
    linux.IN_MODIFY
    | linux.IN_CLOSE_WRITE
    | linux.IN_CREATE
    | linux.IN_DELETE
    | linux.IN_MOVED_FROM
    | linux.IN_MOVED_TO
    | linux.IN_ONLYDIR
    | linux.IN_DONT_FOLLOW
)
READ_BYTES = 1 << 14
# A cell's end is not put off for longer.
LONGEST_S = 0.25
_HEAD = struct.Struct("iIII")
NO_FOLDER = -1


class Changes:
    """`root`: the workspace. Used by the main thread."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._folders: dict[int, str] = {}
        # Files that were there when they were last looked at, and when they had last been changed then.
        self._known: dict[str, int] = {}
        self._touched: dict[str, None] = {}
        self._whole = True
        # Whether there are folders that are not watched.
        self._blind = False
        try:
            self._fd = linux.inotify_init()
        except OSError:
            self._fd = NO_FOLDER
        self._look_into("")
        for path in self._touched:
            self._entry(path)
        self._touched.clear()

    def take(self) -> dict[str, Any] | None:
        """What changed since this was last called: `files`, each with path, change (created, modified, deleted) and
        size; `more`: how many are left out; `whole`: whether nothing can have been missed. None for nothing."""
        if self._fd == NO_FOLDER:
            self._look_at_all()
        elif not self._hear():
            return None
        found = [entry for path in sorted(self._touched) if (entry := self._entry(path)) is not None]
        whole, self._whole = self._whole and not self._blind, True
        self._touched.clear()
        if not found and whole:
            return None
        return {"files": found[:MOST_TOLD], "more": max(0, len(found) - MOST_TOLD), "whole": whole}

    def _entry(self, path: str) -> dict[str, Any] | None:
        was_there = path in self._known
        facts = self._stat(path)
        if facts is None:
            if not was_there:
                return None
            del self._known[path]
            return {"path": _text(path), "change": "deleted", "size": 0}
        if was_there or len(self._known) < MOST_FILES:
            self._known[path] = facts.st_ctime_ns
        return {"path": _text(path), "change": "modified" if was_there else "created", "size": facts.st_size}

    def _stat(self, path: str) -> os.stat_result | None:
        """None when there is no file of that name."""
        try:
            facts = os.lstat(os.path.join(self._root, path))
        except OSError:
            return None
        return None if stat.S_ISDIR(facts.st_mode) else facts

    # inotify

    def _hear(self) -> bool:
        """Whether anything was told."""
        heard = False
        until = time.monotonic() + LONGEST_S
        while time.monotonic() < until:
            try:
                data = os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                return heard
            except OSError:
                # Code has closed it, which is its own loss.
                self._give_up()
                return True
            heard = True
            for watch, mask, name in _events(data):
                self._happened(watch, mask, name)
        # Something goes on changing files as fast as it can: the rest is for the next cell.
        self._whole = False
        return True

    def _give_up(self) -> None:
        self._fd = NO_FOLDER
        self._folders.clear()
        self._look_at_all()

    def _happened(self, watch: int, mask: int, name: str) -> None:
        if mask & linux.IN_Q_OVERFLOW:
            self._look_at_all()
            return
        if mask & linux.IN_IGNORED:
            self._folders.pop(watch, None)
            return
        folder = self._folders.get(watch)
        if folder is None or _left_out(name):
            return
        path = os.path.join(folder, name)
        if not mask & linux.IN_ISDIR:
            self._touch(path)
        elif mask & (linux.IN_CREATE | linux.IN_MOVED_TO):
            self._look_into(path)
        elif mask & linux.IN_MOVED_FROM:
            self._lose(path)

    def _touch(self, path: str) -> None:
        if len(self._touched) < MOST_FILES:
            self._touched[path] = None
        else:
            self._whole = False

    def _lose(self, path: str) -> None:
        """A folder has another name now, or is elsewhere."""
        below = path + "/"
        for watch, folder in list(self._folders.items()):
            if folder == path or folder.startswith(below):
                del self._folders[watch]
                with contextlib.suppress(OSError):
                    linux.inotify_rm_watch(self._fd, watch)
        for known in self._known:
            if known.startswith(below):
                self._touch(known)

    # looking

    def _look_into(self, path: str) -> None:
        """A folder that is new here: watched from now on, and what is in it already counts as touched."""
        waiting = [path]
        while waiting:
            folder = waiting.pop()
            self._watch(folder)
            for entry in self._list(folder):
                inner = os.path.join(folder, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(inner)
                else:
                    self._touch(inner)
            if len(waiting) > MOST_FOLDERS or len(self._touched) >= MOST_FILES:
                self._blind = True
                return

    def _watch(self, folder: str) -> None:
        if self._fd == NO_FOLDER:
            return
        if len(self._folders) >= MOST_FOLDERS:
            self._blind = True
            return
        try:
            self._folders[linux.inotify_add_watch(self._fd, os.path.join(self._root, folder), EVENTS)] = folder
        except FileNotFoundError:
            # Gone again; its folder has told so, or will.
            return
        except OSError:
            self._blind = True

    def _list(self, folder: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(os.path.join(self._root, folder)) as entries:
                for entry in entries:
                    if not _left_out(entry.name):
                        yield entry
        except OSError:
            return

    def _look_at_all(self) -> None:
        """Touched is what is not as it was: new, gone, or written to since."""
        before, self._touched = self._touched, {}
        self._look_into("")
        found, self._touched = self._touched, before
        for path in self._known.keys() - found.keys():
            self._touch(path)
        for path in found:
            facts = self._stat(path)
            if facts is None or self._known.get(path) != facts.st_ctime_ns:
                self._touch(path)


def _events(data: bytes) -> Iterator[tuple[int, int, str]]:
    position = 0
    while position < len(data):
        watch, mask, _, length = _HEAD.unpack_from(data, position)
        position += _HEAD.size
        yield watch, mask, os.fsdecode(data[position : position + length].rstrip(b"\0"))
        position += length


def _left_out(name: str) -> bool:
    return name.startswith(".") or name in LEFT_OUT_FOLDERS


def _text(path: str) -> str:
    """A name may be any bytes; what is told of it is text."""
    return path.encode(errors="replace").decode()
