"""What a gateway's sessions hold of the machine, as the machine counts it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from kernelgw.sandbox.watchdog import usage
from tests.live import proc
from tests.live.client import Session
from tests.live.gateway import Gateway, Resources

HIERARCHIES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


@dataclass(frozen=True)
class Groups:
    """All of one gateway's, in each hierarchy: what lies in folders of its name."""

    folders: tuple[Path, ...]

    def names(self) -> list[str]:
        return sorted(
            f"{each.parent}/{each.name}" for folder in self.folders for each in folder.iterdir() if each.is_dir()
        )

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
        kernel = session.look()["kernel"]["id"]
        lines = [
            line.split()
            for folder in self.folders
            if (folder / kernel / "cpu.stat").exists()
            for line in (folder / kernel / "cpu.stat").read_text().splitlines()
        ]
        return {name: int(value) for name, value in lines}


def groups_of(gateway: Gateway) -> Groups:
    name = "kernelgw-" + hashlib.sha256(str(gateway.data_dir).encode()).hexdigest()[:10]
    found = {path for root in HIERARCHIES for path in root.glob(f"**/{name}")}
    return Groups(tuple(sorted(found)))


@dataclass(frozen=True)
class Remains:
    """Equal before sessions come and after they have gone."""

    resources: Resources
    groups: int
    loops: int
    mounts: int
    namespaces: int
    stored: int


def remains(gateway: Gateway) -> Remains:
    return Remains(
        gateway.resources(),
        len(groups_of(gateway).names()),
        loops(gateway.data_dir),
        len(Path(f"/proc/{gateway.forkserver}/mountinfo").read_text().splitlines()),
        namespaces(gateway.pid),
        # Files as such; how many blocks they take is the file system's business.
        usage(gateway.data_dir).files,
    )


def loops(folder: Path) -> int:
    """Loop devices whose file lies, or lay, below `folder`."""
    found = 0
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found += str(folder) in path.read_text()
        except OSError:
            continue
    return found


def namespaces(root: int) -> int:
    """Different ones, of any kind, that descendants of a process are in."""
    found = set()
    for pid in proc.descendants(root):
        for path in Path(f"/proc/{pid}/ns").glob("*"):
            try:
                found.add(path.readlink())
            except OSError:
                continue
    return len(found)


def stored(folder: Path) -> int:
    """Bytes on disk."""
    return usage(folder).size
