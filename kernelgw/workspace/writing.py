"""Writes files into a session's workspace, in which the session may put anything in the way meanwhile.

From descriptor to descriptor, one name at a time, no link followed, as `artifacts/reading.py` reads. A file is written
under a name that nobody knows and then takes the place of what had its own: whoever reads it finds the old or the new
one, and what was a link or a device is replaced, not written through.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import BadPath, FileNotWritten

DEEPEST = 64
LONGEST_NAME, LONGEST_PATH = 255, 4096
FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
A_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Mark:
    """Of a file as it was written: nothing that is written to it later leaves both as they are."""

    inode: int
    changed_ns: int

    @classmethod
    def of(cls, fd: int) -> Mark:
        facts = os.fstat(fd)
        return cls(facts.st_ino, facts.st_mtime_ns)


def parts(path: str) -> list[str]:
    """The names that lead to a file, from the workspace down. Raises BadPath."""
    found = path.removeprefix("./").split("/")
    if path.startswith("/"):
        raise BadPath(f"{_shown(path)} is not below the workspace: paths are relative to it.")
    if any(part in ("", ".", "..") for part in found):
        raise BadPath(f"{_shown(path)} does not lead to a file of the workspace.")
    if "\0" in path:
        raise BadPath(f"{_shown(path)} has a NUL in it.")
    try:
        sizes = [len(part.encode()) for part in found]
    except UnicodeEncodeError:
        raise BadPath(f"{_shown(path)} is not valid Unicode.") from None
    if max(sizes) > LONGEST_NAME or sum(sizes) + len(sizes) > LONGEST_PATH or len(found) > DEEPEST:
        most = f"{LONGEST_NAME} bytes, paths {LONGEST_PATH} and {DEEPEST} names"
        raise BadPath(f"{_shown(path)} is too long: names may have {most}.")
    return found


def write(root: int, path: str, content: bytes, uid: int | None) -> Mark:
    """Makes or replaces a file below the folder `root`, and the folders that lead to it. `uid`: whose they are to be;
    None for this process's own. Blocks. Raises BadPath, FileNotWritten."""
    *folders, name = parts(path)
    try:
        with _opened(root, folders, uid) as folder:
            return _replace(folder, name, content, uid)
    except OSError as error:
        raise FileNotWritten(f"{_shown(path)} cannot be written: {_why(error)}.") from None


@contextlib.contextmanager
def _opened(root: int, folders: list[str], uid: int | None) -> Iterator[int]:
    place = os.dup(root)
    try:
        for name in folders:
            inner = _enter(place, name, uid)
            os.close(place)
            place = inner
        yield place
    finally:
        os.close(place)


def _enter(place: int, name: str, uid: int | None) -> int:
    try:
        return os.open(name, FOLDER, dir_fd=place)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=place)
    inner = os.open(name, FOLDER, dir_fd=place)
    if uid is not None and os.fstat(inner).st_uid != uid:
        # By its descriptor: what has the name by now may be another.
        os.chown(f"/proc/self/fd/{inner}", uid, uid)
    return inner


def _replace(folder: int, name: str, content: bytes, uid: int | None) -> Mark:
    new = f".{secrets.token_hex(16)}"
    fd = os.open(new, NEW, 0o644, dir_fd=folder)
    try:
        if uid is not None:
            os.fchown(fd, uid, uid)
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        # A clock of the system's has coarser steps: whatever is written at the same moment gets another time.
        now = time.time_ns()
        os.utime(fd, ns=(now, now - now % A_SECOND + secrets.randbelow(A_SECOND)))
        os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
        return Mark.of(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new, dir_fd=folder)
        raise
    finally:
        os.close(fd)


def _why(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "on the way to it there is something that is no folder"
    return (error.strerror or str(error)).lower()


def _shown(path: str) -> str:
    return ascii(path[:200])
