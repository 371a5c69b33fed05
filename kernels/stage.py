"""Where a session's uid can reach what its sandbox is made of.

bubblewrap runs as the session's uid, which may well not pass the directories above an environment or a
workspace (a root user's home is closed to others). As root, the fork server therefore lives in a mount
namespace of its own in which those places are bound under a directory that anybody may pass.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from . import images, linux, mapped

# Any directory that every system has and that no preloaded library lives in.
PLACE = "/mnt"
UNMOUNT = '/bin/umount -l "$1" && exec /bin/rmdir "$1"'


def lent(folder: str, uid: int) -> str:
    """The name by which a folder that was lent to a session is known."""
    return f"{uid}:{folder}"


class Stage:
    """Translates host paths to where they can be reached. Without root it translates nothing."""

    def __init__(self) -> None:
        self._aliases: dict[str, str] = {}
        self._mounted: dict[str, str] = {}

    def set(self, paths: Sequence[str], copied: Sequence[str] = ()) -> None:
        """Binds `paths`, and copies others, whose host path a session would otherwise find in its mountinfo.

        Called once, before anything is loaded from them. Raises OSError.
        """
        if os.geteuid() != 0:
            return
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
        linux.mount("stage", PLACE, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755,size=32m")
        for number, path in enumerate(paths):
            alias = f"{PLACE}/{number}"
            os.mkdir(alias, 0o755)
            linux.mount(path, alias, None, linux.MS_BIND | linux.MS_REC)
            self._aliases[path] = alias
        for path in copied:
            self._aliases[path] = shutil.copytree(path, f"{PLACE}/{os.path.basename(path)}", symlinks=True)

    def mount_image(self, image: str, uid: int | None, gid: int | None) -> str:
        """Where a workspace's image is mounted, owned by its session; once for all its sandboxes, one after another.

        Raises PermissionError without root, OSError.
        """
        if image in self._mounted:
            return self._mounted[image]
        if os.geteuid() != 0 or uid is None or gid is None:
            raise PermissionError("only root can mount a workspace's image")
        target = f"{PLACE}/disk-{os.path.basename(image)}"
        os.mkdir(target, 0o700)
        try:
            images.mount(image, target)
        except OSError:
            os.rmdir(target)
            raise
        os.chown(target, uid, gid)
        os.chmod(target, 0o700)
        self._mounted[image] = target
        return target

    def lend(self, folder: str, uid: int, gid: int, file: tuple[int, int]) -> str:
        """Mounts a folder of somebody's as the session's own, for all its sandboxes, until it is released by the name
        that this returns. `file`: its device and inode. Without root nothing is to be done. Raises OSError."""
        name = lent(folder, uid)
        if os.geteuid() != 0 or name in self._mounted:
            return name
        facts = os.stat(folder)
        if (facts.st_dev, facts.st_ino) != file:
            raise OSError("it lies in what was mounted after this environment had been started")
        target = f"{PLACE}/lent-{uid}"
        os.mkdir(target, 0o700)
        try:
            mapped.mount(folder, target, uid, gid)
        except OSError:
            os.rmdir(target)
            raise
        self._mounted[name] = target
        return name

    def source(self, mode: str, source: str, uid: int | None, gid: int | None) -> str:
        """Where what is bound comes from: an image is mounted, everything else is reached. Raises OSError."""
        if mode == "image":
            return self.mount_image(source, uid, gid)
        return self._in_lent(source, uid) or self.reach(source)

    def _in_lent(self, path: str, uid: int | None) -> str | None:
        for name, target in self._mounted.items():
            folder = name.removeprefix(f"{uid}:")
            if name != folder and (path == folder or path.startswith(folder + "/")):
                return target + path[len(folder) :]
        return None

    def open(self, image: str) -> int:
        """A descriptor of the folder in which it is mounted, which nobody outside has a path to. Raises KeyError."""
        return os.open(self._mounted[image], os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    @property
    def images(self) -> list[str]:
        """Those that are mounted."""
        return list(self._mounted)

    def release(self, image: str) -> int:
        """Its session is over. Returns the pid of what unmounts it; 0 when it was not mounted."""
        target = self._mounted.pop(image, None)
        if target is None:
            return 0
        # Not here: the last to let go of a file system writes back what is still in memory.
        return os.posix_spawn("/bin/sh", ["sh", "-c", UNMOUNT, "sh", target], {})

    def reach(self, path: str) -> str:
        for root, alias in self._aliases.items():
            if path == root or path.startswith(root + "/"):
                return alias + path[len(root) :]
        return path
