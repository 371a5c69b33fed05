"""Where a session's uid can reach what its sandbox is made of.

bubblewrap runs as the session's uid, which may well not pass the directories above an environment or a
workspace (a root user's home is closed to others). As root, the fork server therefore lives in a mount
namespace of its own in which those places are bound under a directory that anybody may pass.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from . import linux

# Any directory that every system has and that no preloaded library lives in.
PLACE = "/mnt"


class Stage:
    """Translates host paths to where they can be reached. Without root it translates nothing."""

    def __init__(self) -> None:
        self._aliases: dict[str, str] = {}

    def set(self, paths: Sequence[str]) -> None:
        """Binds `paths`. Called once, before anything is loaded from them. Raises OSError."""
        if os.geteuid() != 0:
            return
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
        linux.mount("stage", PLACE, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755,size=64k")
        for number, path in enumerate(paths):
            alias = f"{PLACE}/{number}"
            os.mkdir(alias, 0o755)
            linux.mount(path, alias, None, linux.MS_BIND | linux.MS_REC)
            self._aliases[path] = alias

    def reach(self, path: str) -> str:
        for root, alias in self._aliases.items():
            if path == root or path.startswith(root + "/"):
                return alias + path[len(root) :]
        return path
