"""What a session may see, touch and use up. Pure data: others turn it into arguments, limits and groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..settings import Settings

WORKSPACE = "/workspace"
HOME = "/home/user"
USER_ID = 1000
# Together with the home and /dev/shm no more than half of a session's memory, since that is what they are made of.
TMP_SHARE = 4
# Where the kernels folder stands inside, for kernels that are started rather than forked.
KERNELS = "/opt/kernelgw"
WRITABLE = (WORKSPACE, HOME, "/tmp", "/dev", "/proc")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one session may use, all its processes together where nothing else is said.

    `cpus` in cores, 0 for as many as there are; `open_files`, `file_bytes` (one file) for each process.
    """

    memory_bytes: int = 4 << 30
    processes: int = 256
    cpus: float = 0.0
    open_files: int = 4096
    file_bytes: int = 2 << 30
    workspace_bytes: int = 2 << 30
    tmp_bytes: int = 512 << 20

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The most that a gateway gives to a session."""
        return cls(**{option.name: getattr(settings, option.name) for option in fields(cls)})._within()

    def but(self, wishes: Mapping[str, float]) -> Limits:
        """The same with some changed. Raises ValueError naming the one that is above what is allowed."""
        for name, value in wishes.items():
            most = getattr(self, name)
            if value > most and not (name == "cpus" and most == 0):
                raise ValueError(f"{name} may be {most} at most here")
        changes: dict[str, Any] = dict(wishes)
        return replace(self, **changes)._within()

    def _within(self) -> Limits:
        """Temporary files are made of memory: they may be a part of it at most."""
        return replace(self, tmp_bytes=min(self.tmp_bytes, self.memory_bytes // TMP_SHARE))

    def as_rlimits(self, memory_is_bounded: bool) -> dict[str, int]:
        """For every process of the session. `memory_is_bounded`: a cgroup counts it already."""
        limits = {
            "nofile": self.open_files,
            "fsize": self.file_bytes,
            # Not 0: a core_pattern that is a pipe ignores that. 1 means no pipe, and no file fits.
            "core": 1,
            "memlock": 64 << 10,
            "msgqueue": 0,
            "sigpending": 1024,
            "rtprio": 0,
            "nice": 0,
        }
        if not memory_is_bounded:
            # DATA rather than AS: the latter counts address space that V8 or torch only reserve.
            limits["data"] = self.memory_bytes
        return limits


@dataclass(frozen=True, slots=True)
class Policy:
    """One session's sandbox. Paths are the host's; `uid` is the host's too, None for the gateway's own.

    `workspace` is a directory, or an image (a file system in a file) when `image` says so.
    """

    workspace: Path
    environment: Path
    etc: Path
    uid: int | None = None
    tmp_bytes: int = 512 << 20
    home_bytes: int = 256 << 20
    shm_bytes: int = 256 << 20
    image: bool = False
    read_only: tuple[tuple[Path, str], ...] = field(default=())
    # Path and content of files that stand in place of empty ones in /etc.
    files: tuple[tuple[str, str], ...] = field(default=())

    @property
    def binds(self) -> list[tuple[str, str, str]]:
        """(mode, host path, path inside), beside /usr; the mode is ro, rw or image."""
        return [
            ("ro", str(self.etc), "/etc"),
            ("ro", str(self.environment), str(self.environment)),
            ("image" if self.image else "rw", str(self.workspace), WORKSPACE),
            *(("ro", str(path), inside) for path, inside in self.read_only),
        ]

    @property
    def tmpfs(self) -> list[tuple[str, int, str]]:
        """(path, bytes, mode)."""
        return [
            ("/dev/shm", self.shm_bytes, "1777"),
            ("/tmp", self.tmp_bytes, "1777"),
            (HOME, self.home_bytes, "700"),
        ]
