"""Looks after sessions where nothing harder does: memory without cgroups, files without images.

Softer than either: between two looks a session can go past its limit. It then loses its kernel, with the reason.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from .policy import HOME

INTERVAL_S = 0.25
# Files are looked at less often, and a look is given up after a while: a session may have millions.
FILES_EVERY = 4
FILES_BUDGET_S = 1.0
BLOCK = 512
# What a file costs besides its content: as a part of the room that is allowed on a disk, and in a tmpfs, as memory.
FILE_BYTES = 16 << 10
INODE_BYTES = 1 << 10
# Each takes a descriptor while what is below it is counted.
DEEPEST = 256
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
TEMPORARY = ("tmp", "dev/shm", HOME.strip("/"))
PROC = Path("/proc")
# What a socket's buffer begins with (net.core.wmem_default, unless told otherwise), and stays with in a session.
SOCKET_BYTES = 212992
# A kernel has some by itself.
FREE_SOCKETS = 32
# Of TCP on the whole machine. Below it nobody's are added up, which takes some milliseconds.
QUIET_TCP_BYTES = 16 << 20
log = logging.getLogger("kernelgw.watchdog")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a folder: bytes on disk, and names."""

    size: int
    files: int

    def exceeds(self, most: int) -> bool:
        return self.size > most or self.files > most // FILE_BYTES

    def grew(self, since: Usage) -> bool:
        return self.size > since.size or self.files > since.files


NOTHING = Usage(0, 0)


@dataclass
class Watched:
    """What one session has. `roots`: pids from which all its processes descend; `shared`: the pid of the fork server,
    whose memory it shares, or 0; `holder`: the pid in whose sandbox its temporary files are, or 0; `began_with`: the
    files that it found. Limits in bytes; None for what somebody else looks after."""

    roots: tuple[int, ...]
    shared: int
    holder: int
    memory_bytes: int | None
    files: Path | None
    files_bytes: int
    over: Callable[[str], None]
    began_with: Usage = NOTHING


class Watchdog:
    """`over` of whoever is past a limit is called with "out_of_memory" or "workspace_full", once."""

    def __init__(self) -> None:
        self._watched: dict[str, Watched] = {}
        self._task: asyncio.Task[None] | None = None

    def watch(self, name: str, watched: Watched) -> None:
        self._watched[name] = watched
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def also(self, name: str, root: int) -> None:
        """One more from which processes of it descend."""
        if (known := self._watched.get(name)) is not None:
            self._watched[name] = replace(known, roots=(*known.roots, root))

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
        if each.memory_bytes is not None and memory(each.roots, each.shared, each.holder) > each.memory_bytes:
            found[name] = "out_of_memory"
        elif files_too and each.files is not None and _files_over(each, each.files):
            found[name] = "workspace_full"
    return found


def _files_over(watched: Watched, folder: Path) -> bool:
    """Over its limit, and larger than when it began: a kernel must be able to delete what an earlier one left."""
    used = usage(folder)
    return used.exceeds(watched.files_bytes) and used.grew(watched.began_with)


def memory(roots: tuple[int, ...], shared: int = 0, holder: int = 0) -> int:
    """Bytes of all processes that descend from `roots`, pages that several share counted once, and of the temporary
    files and the sockets in the sandbox of `holder`."""
    baseline = _status(shared).get("RssAnon", 0) if shared else 0
    own = mapped = 0
    for pid in family(roots):
        private, among = _memory_of(pid, baseline)
        own, mapped = own + private, mapped + among
    # A temporary file that is mapped is in both.
    return own + max(mapped, temporary(holder) if holder else 0) + (sockets(holder) if holder else 0)


def _memory_of(pid: int, baseline: int) -> tuple[int, int]:
    """Bytes that are the process's alone, and those of files in memory and of memory made to be shared."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        # A fork of the fork server may not be looked into: what it has more than that one is its own.
        status = _status(pid)
        return max(0, status.get("RssAnon", 0) - baseline), status.get("RssShmem", 0)
    table = {line.split()[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}
    return table.get("Pss_Anon:", table.get("Pss:", 0)), table.get("Pss_Shmem:", 0)


def temporary(holder: int) -> int:
    """Bytes of all temporary files in a sandbox, those that have no name any more included."""
    total = 0
    for name in TEMPORARY:
        try:
            facts = os.statvfs(PROC / str(holder) / "root" / name)
        except OSError:
            continue
        total += (facts.f_blocks - facts.f_bfree) * facts.f_frsize + (facts.f_files - facts.f_ffree) * INODE_BYTES
    return total


def sockets(holder: int) -> int:
    """Bytes that the sockets of a sandbox may hold: what their buffers have room for, filled or not, as nothing tells
    that of UNIX sockets; and what has grown into more than that, of TCP. Those that are on their way count too."""
    net = PROC / str(holder) / "net"
    try:
        lines = (line.split() for line in (net / "sockstat").read_text().splitlines())
        table = {words[0]: dict(zip(words[1::2], map(int, words[2::2]), strict=True)) for words in lines}
        size = max(0, table["sockets:"]["used"] - FREE_SOCKETS) * _buffer_bytes()
        if table["TCP:"]["mem"] * resource.getpagesize() > QUIET_TCP_BYTES:
            size += sum(_queued(net / name) for name in ("tcp", "tcp6"))
    except (OSError, KeyError):
        return 0
    return size


def _buffer_bytes() -> int:
    try:
        return int((PROC / "sys/net/core/wmem_default").read_text())
    except OSError:
        return SOCKET_BYTES


def _queued(table: Path) -> int:
    """Bytes that were sent and not yet taken, and that came and were not yet read."""
    try:
        lines = table.read_text().splitlines()[1:]
    except FileNotFoundError:
        return 0
    return sum(int(number, 16) for line in lines for number in line.split()[4].split(":"))


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


def usage(folder: Path) -> Usage:
    """Of what is below it: no link is followed, a file with several names has its size counted once. Stops when it
    takes long. Folders in folders beyond DEEPEST are more than anybody may have.

    From descriptor to descriptor, never by a path: meanwhile the session may put a link in place of any folder."""
    deadline = time.monotonic() + FILES_BUDGET_S
    count = _Count()
    try:
        # The way down to where the count is: each folder, and the names of those in it that are still to come.
        trail = [(os.open(folder.parent, os.O_PATH | os.O_CLOEXEC), [folder.name])]
    except OSError:
        return NOTHING
    try:
        while trail:
            place, names = trail[-1]
            if not names:
                os.close(trail.pop()[0])
                continue
            try:
                inner = os.open(names.pop(), FOLDER, dir_fd=place)
            except OSError:
                continue
            trail.append((inner, []))
            # The first two are the folder itself and where it is.
            if len(trail) - 2 > DEEPEST:
                return Usage(sys.maxsize, count.files)
            trail[-1][1].extend(count.add(inner))
            if time.monotonic() > deadline:
                log.info("a workspace has too many files to be counted; what was counted counts")
                break
    finally:
        for place, _ in trail:
            os.close(place)
    return Usage(count.size, count.files)


@dataclass
class _Count:
    """`seen`: device and inode of files with several names."""

    size: int = 0
    files: int = 0
    seen: set[tuple[int, int]] = field(default_factory=set)

    def add(self, folder: int) -> list[str]:
        """What is in an open folder. Returns the names of the folders among it."""
        folders = []
        try:
            entries = list(os.scandir(folder))
        except OSError:
            return []
        for entry in entries:
            self.files += 1
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(facts.st_mode):
                folders.append(entry.name)
            elif facts.st_nlink > 1:
                if (facts.st_dev, facts.st_ino) in self.seen:
                    continue
                self.seen.add((facts.st_dev, facts.st_ino))
            self.size += facts.st_blocks * BLOCK
        return folders
