"""Memory of processes, from /proc."""

import contextlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Pss:
    """In MB of 10^6 bytes. `private`: what the process alone holds; the rest is its part of shared pages."""

    total: float
    private: float

    @property
    def shared(self) -> float:
        return self.total - self.private


def read_pss(pid: int) -> Pss:
    fields: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        fields[name] = int(value.split()[0]) * 1024
    private = fields["Private_Clean"] + fields["Private_Dirty"]
    return Pss(fields["Pss"] / MB, private / MB)


def read_tree_pss(pid: int) -> float:
    """MB of a process and of everything below it."""
    total = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        # One that ended meanwhile, or is ending, has no memory left to count.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, KeyError):
            total += read_pss(process.pid).total
    return total


def read_rss(pid: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class PeakRss:
    """Samples a process's resident memory in a thread, every 10 ms, from `with` to the end of it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.before = 0
        self.peak = 0

    def __enter__(self) -> "PeakRss":
        self.before = self.peak = read_rss(self._pid)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def growth_mb(self) -> float:
        return (self.peak - self.before) / MB

    def _sample(self) -> None:
        while not self._done.wait(0.01):
            self.peak = max(self.peak, read_rss(self._pid))
