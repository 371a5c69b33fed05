"""Reads files of a session's workspace, which may be anything but files, and change while they are read.

From descriptor to descriptor, one name at a time, and no link is followed: so nothing outside is reached, whatever
stands in place of a folder by then. That is what openat2 with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS would do in one
call; it is not in every container's system call filter, and a second way for those places would be tried by nobody.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

PIECE = 1 << 20
DEEPEST = 64
PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# A lease that a session took on its own file would hold up whoever opens it otherwise.
READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class NotKept(Exception):
    """Why its content is not kept, as words that go on after "not kept: "."""


def open_file(root: int, path: str, most: int) -> int:
    """A descriptor of a regular file below the folder `root`, of `most` bytes at most. Raises NotKept."""
    *folders, name = path.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in (*folders, name)) or len(folders) >= DEEPEST:
        raise NotKept("its name leads nowhere")
    place = os.dup(root)
    try:
        for folder in folders:
            place = _step(place, folder, PLACE | os.O_DIRECTORY)
        place = _step(place, name, PLACE)
        _check(os.fstat(place), most)
        # Only now that it is known for a regular file is it opened: opening others may wait, or do something.
        return os.open(f"/proc/self/fd/{place}", READ)
    except OSError as error:
        raise NotKept(f"it cannot be read: {(error.strerror or str(error)).lower()}") from None
    finally:
        os.close(place)


def _step(place: int, name: str, flags: int) -> int:
    inner = os.open(name, flags, dir_fd=place)
    os.close(place)
    return inner


def _check(facts: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise NotKept("it is not a regular file")
    if facts.st_nlink > 1:
        raise NotKept("it has several names")
    if facts.st_size > most:
        raise NotKept(f"it is larger than {most:,} bytes")


def pieces(fd: int, most: int) -> Iterator[bytes]:
    """As much as it had when this began, and no more than that: one that grows meanwhile is cut there."""
    left = min(os.fstat(fd).st_size, most)
    while left > 0 and (piece := os.read(fd, min(PIECE, left))):
        left -= len(piece)
        yield piece
