"""What a shell leaves on the machine: a folder, and processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = ".cells-"


def folder() -> tuple[str, int]:
    """A new one, and a descriptor by which it is locked for as long as this process lives. Those of processes that
    have ended without removing theirs are removed. Raises OSError."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(lock).st_uid == os.geteuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
    # Locked before it has a name by which others look for it.
    made = tempfile.mkdtemp(prefix=f".new{PREFIX}")
    lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    path_ = made.replace(f"/.new{PREFIX}", f"/{PREFIX}")
    os.rename(made, path_)
    return path_, lock


def parents() -> Iterator[tuple[int, int]]:
    """Processes that have not ended, each with its parent."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
                if state != "Z":
                    yield int(name), int(parent)


def group(but: int) -> Iterator[int]:
    """Other processes of this one's group."""
    own = os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in (own, but):
            with contextlib.suppress(OSError):
                if os.getpgid(int(name)) == os.getpgrp():
                    yield int(name)
