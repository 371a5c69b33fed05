"""Limits on a session as a whole: control groups below the gateway's own, v2 or v1, whichever is there and allowed.

Plain files, read and written in well under a millisecond. Nothing here waits.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ..errors import IsolationUnavailable
from .policy import Limits

ROOT = Path("/sys/fs/cgroup")
KINDS = ("auto", "v2", "v1", "none")
WANTED = ("memory", "pids", "cpu")
# Limits nothing: v1 counts processor time apart from what shares it.
COUNTS = "cpuacct"
PERIOD_US = 100_000
# Linux takes no less.
LEAST_QUOTA_US = 1000
SOCKETS_SHARE = 16
# The leaf that the gateway itself moves into: v2 lets a group have processes or groups with limits, not both.
LEAF = "gateway"
SWEEP_S = 2.0
LARGEST_TABLE = 4096
log = logging.getLogger("kernelgw.cgroups")


@dataclass(frozen=True, slots=True)
class Group:
    """One session's. `folders`: its directory in each hierarchy, by controller."""

    kind: str
    folders: Mapping[str, Path] = field(default_factory=dict)

    @property
    def doors(self) -> tuple[str, ...]:
        """Files into which a process that has one thread writes "0" to enter."""
        # v1 moves a thread at once. For a whole process it waits until no other on this machine can be in a fork,
        # which takes milliseconds each time; v2 offers only that.
        name = "tasks" if self.kind == "v1" else "cgroup.procs"
        return tuple(str(folder / name) for folder in self._each())

    @property
    def counts_memory(self) -> bool:
        return "memory" in self.folders

    def _each(self) -> list[Path]:
        return list(dict.fromkeys(self.folders.values()))

    def set(self, limits: Limits) -> None:
        """Also for a group that lives. Raises OSError, EBUSY when more memory is in use than that."""
        wanted = [
            (folder / name, value)
            for controller, folder in self.folders.items()
            for name, value in _values(self.kind, controller, limits).items()
        ]
        # Of v1's two limits on memory one may never be below the other: raised, they can be set in one order only.
        refused = [(path, value) for path, value in wanted if not _written(path, value)]
        for path, value in refused:
            _write(path, value)

    def oom_kills(self) -> int:
        """Processes of this session that were killed for memory."""
        folder = self.folders.get("memory")
        if folder is None:
            return 0
        name = "memory.events" if self.kind == "v2" else "memory.oom_control"
        return _table(folder / name).get("oom_kill", 0)

    def memory(self) -> tuple[int, int]:
        """Bytes now and at most so far; zeros where nothing counts them."""
        folder = self.folders.get("memory")
        names = ("memory.current", "memory.peak") if self.kind == "v2" else V1_MEMORY
        now, peak = ((_number(folder / name) if folder else 0) for name in names)
        return now, max(now, peak)

    def memory_limit(self) -> int:
        """Bytes; 0 where nothing counts them."""
        folder = self.folders.get("memory")
        return _number(folder / ("memory.max" if self.kind == "v2" else "memory.limit_in_bytes")) if folder else 0

    def cpu_seconds(self) -> float | None:
        """Of processor time so far; None where nothing counts it."""
        if self.kind == "v2":
            used = _table(self.folders["cpu"] / "cpu.stat").get("usage_usec") if "cpu" in self.folders else None
            return None if used is None else used / 1e6
        return _number(self.folders[COUNTS] / "cpuacct.usage") / 1e9 if COUNTS in self.folders else None

    @property
    def shares_cpu(self) -> bool:
        return "cpu" in self.folders

    def stands_back(self) -> bool:
        return self.shares_cpu and _number(self.folders["cpu"] / IDLE) == 1

    def stand_back(self, whether: bool) -> None:
        """Whether others come first whenever they want a processor. Raises OSError where Linux cannot (before 5.15)."""
        _write(self.folders["cpu"] / IDLE, str(int(whether)))

    def processes(self) -> list[int]:
        for folder in self._each():
            with contextlib.suppress(OSError):
                return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
        return []

    def kill(self) -> None:
        """SIGKILL to all in it, again until nobody new turns up."""
        for folder in self._each():
            with contextlib.suppress(OSError):
                (folder / "cgroup.kill").write_text("1")
                return
        known: set[int] = set()
        while fresh := set(self.processes()) - known:
            for pid in fresh:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            known |= fresh

    def remove(self) -> bool:
        """False while a process in it has not quite ended: to be tried again."""
        for folder in self._each():
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
        return True


IDLE = "cpu.idle"
V1_MEMORY = ("memory.usage_in_bytes", "memory.max_usage_in_bytes")


@dataclass(frozen=True, slots=True)
class Cgroups:
    """`kind`: v2, v1 or none. `why`: a sentence for people. `parents`: where groups are made, by controller; `prefix`:
    what the names of ours begin with.

    Groups lie beside the gateway and not in one of their own, since Linux weighs a process against those beside it: one
    that stands back stands back behind the gateway too.
    """

    kind: str
    why: str
    parents: Mapping[str, Path] = field(default_factory=dict)
    prefix: str = ""

    @property
    def controllers(self) -> frozenset[str]:
        return frozenset(self.parents)

    @property
    def counts_memory(self) -> bool:
        return "memory" in self.parents

    @classmethod
    def detect(cls, name: str, wanted: str = "auto", root: Path = ROOT, own: str | None = None) -> Cgroups:
        """By trying. `name`: what those of all groups begin with; `own`: what /proc/self/cgroup says.

        Raises IsolationUnavailable when `wanted` is a kind that cannot be had here.
        """
        if wanted not in KINDS:
            raise IsolationUnavailable(f"There is no kind of cgroups called {wanted!r}.", f"Use {', '.join(KINDS)}.")
        if wanted == "none":
            return cls("none", "off, as the settings say; rlimits and a watchdog instead")
        own = Path("/proc/self/cgroup").read_text() if own is None else own
        reasons = []
        for kind, find in (("v2", _find_v2), ("v1", _find_v1)):
            if wanted not in ("auto", kind):
                continue
            try:
                parents = find(name, root, own)
            except OSError as error:
                reasons.append(f"{kind}: {error.strerror or error}")
                continue
            missing = [each for each in WANTED if each not in parents]
            why = f"without {', '.join(missing)}" if missing else "memory, processes and processor time"
            return cls(kind, why, MappingProxyType(parents), f"{name}.")
        why = f"no groups can be made ({'; '.join(reasons)}); rlimits and a watchdog instead. {ADVICE}"
        if wanted != "auto":
            raise IsolationUnavailable(f"cgroups {wanted} cannot be used here: {why}", "Use --cgroups auto.")
        return cls("none", why)

    def create(self, name: str, limits: Limits) -> Group:
        """With its limits in force before anything enters. Raises OSError."""
        group = Group(self.kind, self._folders(name))
        made = []
        try:
            for folder in dict.fromkeys(group.folders.values()):
                folder.mkdir()
                made.append(folder)
            group.set(limits)
        except BaseException:
            for folder in made:
                folder.rmdir()
            raise
        return group

    def find(self, name: str) -> Group:
        """One that an earlier gateway made, as far as it is still there."""
        return Group(self.kind, {each: folder for each, folder in self._folders(name).items() if folder.is_dir()})

    def _folders(self, name: str) -> dict[str, Path]:
        return {each: parent / f"{self.prefix}{name}" for each, parent in self.parents.items()}

    def sweep(self, kept: Collection[str] = ()) -> None:
        """Ends what is left in groups of ours, and removes them: an earlier gateway's, or this one's at its end.
        `kept`: names of those that live on."""
        deadline = time.monotonic() + SWEEP_S
        left = {self.prefix + name for name in kept}
        for parent in dict.fromkeys(self.parents.values()):
            for folder in parent.glob(f"{self.prefix}*"):
                if folder.name not in left:
                    _clear(Group(self.kind, {"": folder}), deadline)


ADVICE = "Under systemd set Delegate=yes for the service; as root, mount cgroups for writing."


def _clear(group: Group, deadline: float) -> None:
    group.kill()
    while not group.remove():
        if time.monotonic() > deadline:
            log.warning("cgroups of an earlier session are still in use: %s", ", ".join(group.doors))
            return
        time.sleep(0.005)
        group.kill()


def _values(kind: str, controller: str, limits: Limits) -> dict[str, str]:
    """What to write into which file of a controller."""
    quota = max(LEAST_QUOTA_US, round(limits.cpus * PERIOD_US)) if limits.cpus else 0
    tables: dict[tuple[str, str], dict[str, int | str]] = {
        ("v2", "memory"): {"memory.max": limits.memory_bytes, "memory.swap.max": 0, "memory.oom.group": 0},
        ("v2", "pids"): {"pids.max": limits.processes},
        ("v2", "cpu"): {"cpu.max": f"{quota or 'max'} {PERIOD_US}"},
        ("v1", "memory"): {
            "memory.limit_in_bytes": limits.memory_bytes,
            "memory.memsw.limit_in_bytes": limits.memory_bytes,
            "memory.swappiness": 0,
            # v1 counts what TCP and UDP sockets hold only when told to, and apart from the rest.
            "memory.kmem.tcp.limit_in_bytes": limits.memory_bytes // SOCKETS_SHARE,
        },
        ("v1", "pids"): {"pids.max": limits.processes},
        ("v1", "cpu"): {"cpu.cfs_period_us": PERIOD_US, "cpu.cfs_quota_us": quota or -1},
        ("v1", COUNTS): {},
    }
    return {name: str(value) for name, value in tables[kind, controller].items()}


def _find_v2(name: str, root: Path, own: str) -> dict[str, Path]:
    """Moves this process into a leaf if it must. Raises OSError."""
    path = next((line[3:] for line in own.splitlines() if line.startswith("0::")), None)
    base = next((each for each in (root, root / "unified") if (each / "cgroup.controllers").exists()), None)
    if path is None or base is None:
        raise OSError("not mounted")
    here = base / path.strip("/")
    if here.name == LEAF:
        here = here.parent
    offered = (here / "cgroup.controllers").read_text().split()
    usable = [each for each in WANTED if each in offered]
    if not usable:
        raise OSError("no controller is delegated to this group")
    enable = " ".join(f"+{each}" for each in usable)
    try:
        (here / "cgroup.subtree_control").write_text(enable)
    except OSError:
        (here / LEAF).mkdir(exist_ok=True)
        for pid in (here / "cgroup.procs").read_text().split():
            (here / LEAF / "cgroup.procs").write_text(pid)
        (here / "cgroup.subtree_control").write_text(enable)
    _try(here, name)
    return dict.fromkeys(usable, here)


def _find_v1(name: str, root: Path, own: str) -> dict[str, Path]:
    """Each controller in the hierarchy it is mounted with. Raises OSError."""
    found: dict[str, Path] = {}
    complaint = OSError("not mounted")
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in set(controllers.split(",")) & {*WANTED, COUNTS}:
            try:
                mounted = _mount_point(root, controllers, controller)
                here = mounted / path.strip("/")
                # In a container the path may be the host's, and what is mounted the container's own group.
                found[controller] = _try(here if here.is_dir() else mounted, name)
            except OSError as error:
                complaint = error
    if not found.keys() - {COUNTS}:
        raise complaint
    return found


def _mount_point(root: Path, controllers: str, controller: str) -> Path:
    return next((each for each in (root / controllers, root / controller) if each.is_dir()), root / controller)


def _try(here: Path, name: str) -> Path:
    probe = here / f"{name}.probe"
    # Of the same name in what is left of an earlier gateway.
    probe.mkdir(exist_ok=True)
    probe.rmdir()
    return here


def _write(path: Path, value: str) -> None:
    """Every session waits for several of these, and each cell's end for one of the next: without layers between."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _written(path: Path, value: str) -> bool:
    try:
        _write(path, value)
    except FileNotFoundError:
        # Swap accounting and the like are there or not.
        return True
    except OSError:
        return False
    return True


def _table(path: Path) -> dict[str, int]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return {}
    try:
        pairs = (line.split() for line in os.read(fd, LARGEST_TABLE).decode().splitlines())
    except OSError:
        return {}
    finally:
        os.close(fd)
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
