"""What the operating system knows about processes, descriptors and sockets; and the one helper that polls."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

PROC = Path("/proc")


def wait_until(condition: Callable[[], object], timeout: float, what: Callable[[], object] | str) -> None:
    """For what no event tells of, such as counts in /proc. `what` says on failure what was waited for."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what() if callable(what) else what}")
        time.sleep(0.01)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; none when there is no such process."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def started_at(pid: int) -> str | None:
    """Together with the pid it names a process for good; None once it has ended, zombies included."""
    fields = _stat(pid)
    return None if not fields or fields[0] in "ZX" else fields[19]


def descendants(root: int) -> dict[int, str]:
    """Living children, their children and so on, with their start times."""
    parents: dict[int, int] = {}
    starts: dict[int, str] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) and fields[0] not in "ZX":
            parents[int(entry.name)] = int(fields[1])
            starts[int(entry.name)] = fields[19]
    found: dict[int, str] = {}
    layer = {root}
    while layer:
        layer = {pid for pid, parent in parents.items() if parent in layer}
        found |= {pid: starts[pid] for pid in layer}
    return found


def still_there(processes: dict[int, str]) -> dict[int, str]:
    """Of these, the ones that live, with their command lines."""
    return {pid: command(pid) for pid, start in processes.items() if started_at(pid) == start}


def command(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def environment(pid: int) -> str:
    """Nothing of a process that hides from this user."""
    try:
        return (PROC / str(pid) / "environ").read_bytes().decode(errors="replace")
    except PermissionError:
        return ""


def neighbours(pid: int) -> list[int]:
    """All processes in the network namespace of this one, itself included: the processes of its sandbox."""
    wanted = _network(pid)
    others = (int(path.name) for path in PROC.iterdir() if path.name.isdigit())
    return [other for other in others if wanted is not None and _network(other) == wanted]


def _network(pid: int) -> int | None:
    """Which network namespace a process is in. Unlike /proc/PID/ns, this can be seen of processes that hide."""
    try:
        return (PROC / str(pid) / "net/dev").stat().st_ino
    except OSError:
        return None


def open_fds(pid: int) -> list[str]:
    """What each descriptor leads to, without the numbers that differ from time to time. Of a process that hides, only
    root is told any."""
    found = []
    folder = PROC / str(pid) / "fd"
    for entry in folder.iterdir() if os.access(folder, os.R_OK) else ():
        try:
            found.append(str(entry.readlink()).partition(":[")[0])
        except OSError:
            continue
    return sorted(found)


def unix_sockets(folder: Path) -> list[str]:
    """Paths of the unix sockets bound below `folder` that somebody still holds."""
    lines = (PROC / "net/unix").read_text().splitlines()[1:]
    paths = [line.split(maxsplit=7)[7] for line in lines if line.count(" ") >= 7 and str(folder) in line]
    return sorted(path for path in paths if path.startswith(str(folder)))


def resident_bytes(pid: int) -> int:
    return int((PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def pid_inside(pid: int) -> int:
    """As the innermost pid namespace knows it; 0 once it has ended."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[-1]) for line in lines if line.startswith("NSpid:")), 0)
