"""`python -m tests.security.as_user UID HOME PATH… -- COMMAND…`: the command as a plain user, run by root.

What the command is made of may lie where that user cannot go (a root user's home is closed). In a mount namespace of
its own the closed folders above each PATH are replaced by open ones that hold nothing but the way to it; the user sees
nothing else that it would not have seen before. The process stays the same, so that its pid is the command's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from kernels import linux

TRAVERSABLE = 0o001


def main(arguments: Sequence[str]) -> None:
    end = arguments.index("--")
    uid, home, *paths = arguments[:end]
    command = list(arguments[end + 1 :])
    if int(uid) != os.geteuid():
        open_the_way([Path(path) for path in paths])
        os.setgroups([])
        os.setresgid(int(uid), int(uid), int(uid))
        os.setresuid(int(uid), int(uid), int(uid))
    environment = {**os.environ, "HOME": home, "USER": "plain", "LOGNAME": "plain"}
    os.execvpe(command[0], command, environment)


def open_the_way(paths: Sequence[Path]) -> None:
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    hidden: dict[Path, list[tuple[Path, int]]] = {}
    for path in paths:
        if (closed := first_closed(path)) is not None:
            hidden.setdefault(closed, []).append((path, os.open(path, os.O_PATH)))
    for closed, kept in hidden.items():
        linux.mount("way", str(closed), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755,size=1m")
        for path, fd in kept:
            path.mkdir(parents=True)
            linux.mount(f"/proc/self/fd/{fd}", str(path), None, linux.MS_BIND | linux.MS_REC)
            os.close(fd)


def first_closed(path: Path) -> Path | None:
    """Of the folders above it, the topmost that others may not pass."""
    above = [folder for folder in reversed(path.parents) if not folder.stat().st_mode & TRAVERSABLE]
    return above[0] if above else None


if __name__ == "__main__":
    main(sys.argv[1:])
