"""What a gateway's sessions hold of the machine, as the machine counts it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kernelgw.sandbox.watchdog import usage
from tests.live import proc
from tests.live.client import Session

HIERARCHIES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


@dataclass(frozen=True)
class Groups:
    """All of one gateway's, in each hierarchy."""

    folders: tuple[Path, ...]

    def names(self) -> list[str]:
        return [str(folder) for folder in self.folders]

    def of(self, session: Session) -> list[Path]:
        kernel = session.look()["kernel"]["id"]
        return [folder for folder in self.folders if folder.name.endswith(f".{kernel}")]

    def memory(self) -> int:
        """Bytes in use now by all of them."""
        return sum(
            int((folder / name).read_text())
            for folder in self.folders
            for name in ("memory.usage_in_bytes", "memory.current")
            if (folder / name).exists()
        )

    def cpu(self, session: Session) -> dict[str, int]:
        """The kernel's own count of processor time of one session: periods, and those in which it wanted more."""
        lines = [
            line.split()
            for folder in self.of(session)
            if (folder / "cpu.stat").exists()
            for line in (folder / "cpu.stat").read_text().splitlines()
        ]
        return {name: int(value) for name, value in lines}


def groups_of(data_dir: Path) -> Groups:
    name = "kernelgw-" + hashlib.sha256(str(data_dir).encode()).hexdigest()[:10]
    found = {path for root in HIERARCHIES for path in root.glob(f"**/{name}.*")}
    return Groups(tuple(sorted(found)))


@dataclass(frozen=True)
class Remains:
    """Of the machine, by a gateway and all below it. Equal before sessions come and after they have gone."""

    processes: int
    descriptors: int
    sockets: int
    groups: int
    loops: int
    mounts: int
    namespaces: int
    files: int

    def more_than(self, before: Remains) -> dict[str, int]:
        """What has become more, by how much."""
        grown = {name: value - getattr(before, name) for name, value in dataclasses.asdict(self).items()}
        return {name: value for name, value in grown.items() if value > 0}


def remains(gateway: int, data_dir: Path) -> Remains:
    """`gateway`: its pid."""
    family = proc.descendants(gateway)
    servers = [pid for pid in family if proc.parent(pid) == gateway]
    return Remains(
        len(family),
        sum(len(proc.open_fds(pid)) for pid in (gateway, *servers)),
        len(proc.unix_sockets(data_dir)),
        len(groups_of(data_dir).names()),
        loops(data_dir),
        sum(len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines()) for pid in servers),
        namespaces(family),
        # Files as such; how many blocks they take is the file system's business.
        usage(data_dir).files,
    )


def settled(gateway: int, data_dir: Path) -> Remains:
    """Two looks that agree: the end of a sandbox is a matter of moments."""
    last = remains(gateway, data_dir)

    def agree() -> bool:
        nonlocal last
        before, last = last, remains(gateway, data_dir)
        return before == last

    proc.wait_until(agree, 10, lambda: last)
    return last


def loops(folder: Path) -> int:
    """Loop devices whose file lies, or lay, below `folder`."""
    found = 0
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found += str(folder) in path.read_text()
        except OSError:
            continue
    return found


def namespaces(pids: Iterable[int]) -> int:
    """Different ones, of any kind, that these processes are in."""
    found = set()
    for pid in pids:
        for path in Path(f"/proc/{pid}/ns").glob("*"):
            try:
                found.add(path.readlink())
            except OSError:
                continue
    return len(found)


def stored(folder: Path) -> int:
    """Bytes on disk."""
    return usage(folder).size
