"""Looks after sessions where nothing harder does: memory without cgroups, files without images.

Softer than either: between two looks a session can go past its limit. It then loses its kernel, with the reason.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

INTERVAL_S = 0.25
# Files are looked at less often, and a look is given up after a while: a session may have millions.
FILES_EVERY = 4
FILES_BUDGET_S = 1.0
BLOCK = 512
PROC = Path("/proc")
log = logging.getLogger("kernelgw.watchdog")


@dataclass
class Watched:
    """One kernel. `roots`: pids from which all its processes descend; `shared`: the pid of the fork server, whose
    memory it shares, or 0. Limits in bytes; None for what somebody else looks after."""

    roots: tuple[int, ...]
    shared: int
    memory_bytes: int | None
    files: Path | None
    files_bytes: int
    over: Callable[[str], None]
    began_with: int | None = field(default=None)


class Watchdog:
    """`over` of whoever is past a limit is called with "out_of_memory" or "workspace_full", once."""

    def __init__(self) -> None:
        self._watched: dict[str, Watched] = {}
        self._task: asyncio.Task[None] | None = None

    def watch(self, name: str, watched: Watched) -> None:
        self._watched[name] = watched
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def unwatch(self, name: str) -> None:
        self._watched.pop(name, None)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """While there is anybody to watch."""
        turn = 0
        while self._watched:
            turn += 1
            looked = dict(self._watched)
            found = await asyncio.to_thread(_look, looked, turn % FILES_EVERY == 0)
            for name, why in found.items():
                if self._watched.get(name) is looked[name]:
                    self.unwatch(name)
                    looked[name].over(why)
            await asyncio.sleep(INTERVAL_S)


def _look(watched: dict[str, Watched], files_too: bool) -> dict[str, str]:
    """Who is over, and why. In a thread: reads much of /proc, and walks folders."""
    found = {}
    for name, each in watched.items():
        if each.memory_bytes is not None and memory(each.roots, each.shared) > each.memory_bytes:
            found[name] = "out_of_memory"
        elif files_too and each.files is not None and _files_over(each, each.files):
            found[name] = "workspace_full"
    return found


def _files_over(watched: Watched, folder: Path) -> bool:
    """Over its limit, and larger than when it began: a kernel must be able to delete what an earlier one left."""
    used = size(folder)
    if watched.began_with is None:
        watched.began_with = used
    return used > watched.files_bytes and used > watched.began_with


def memory(roots: tuple[int, ...], shared: int) -> int:
    """Bytes of all processes that descend from `roots`, pages that several share counted once."""
    baseline = _status(shared).get("RssAnon", 0) if shared else 0
    return sum(_memory_of(pid, baseline) for pid in family(roots))


def _memory_of(pid: int, baseline: int) -> int:
    try:
        rollup = (PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        # A fork of the fork server may not be looked into: what it has more than that one is its own.
        status = _status(pid)
        return max(0, status.get("RssAnon", 0) + status.get("RssShmem", 0) - baseline)
    return sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))


def _status(pid: int) -> dict[str, int]:
    """The fields in kB, as bytes."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return {}
    parts = (line.split() for line in lines if line.endswith(" kB"))
    return {part[0].rstrip(":"): int(part[1]) * 1024 for part in parts}


def family(roots: tuple[int, ...]) -> set[int]:
    """These processes and all that descend from them."""
    found: set[int] = set()
    fresh = {root for root in roots if root}
    while fresh:
        found |= fresh
        fresh = {child for pid in fresh for child in _children(pid)} - found
    return found


def _children(pid: int) -> Iterator[int]:
    try:
        threads = list((PROC / str(pid) / "task").iterdir())
    except OSError:
        return
    for thread in threads:
        try:
            yield from map(int, (thread / "children").read_text().split())
        except OSError:
            continue


def size(folder: Path) -> int:
    """Bytes on disk below it: no link is followed, a file with several names counts once. Stops when it takes long."""
    deadline = time.monotonic() + FILES_BUDGET_S
    seen: set[tuple[int, int]] = set()
    total = 0
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            if facts.st_nlink == 1 or (facts.st_dev, facts.st_ino) not in seen:
                total += facts.st_blocks * BLOCK
            if facts.st_nlink > 1:
                seen.add((facts.st_dev, facts.st_ino))
        if time.monotonic() > deadline:
            log.info("a workspace has too many files to be counted; what was counted counts")
            return total
    return total
