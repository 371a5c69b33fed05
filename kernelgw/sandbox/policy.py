"""What a sandbox is made of. Pure data: bubblewrap.py turns it into arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

WORKSPACE = "/workspace"
HOME = "/home/user"
USER_ID = 1000


@dataclass(frozen=True, slots=True)
class Policy:
    """One session's sandbox. Paths are the host's; `uid` is the host's too, None for the gateway's own."""

    workspace: Path
    environment: Path
    etc: Path
    uid: int | None = None
    tmp_bytes: int = 512 << 20
    home_bytes: int = 256 << 20
    shm_bytes: int = 256 << 20
    read_only: tuple[Path, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Limits:
    """Enforced on the kernel's process by rlimits. Bytes, and counts."""

    memory_bytes: int = 4 << 30
    open_files: int = 4096

    def as_rlimits(self) -> dict[str, int]:
        # RLIMIT_DATA rather than AS: the latter counts address space that V8 or torch only reserve.
        return {"data": self.memory_bytes, "nofile": self.open_files, "core": 0}
