"""A folder of the host's in which a session is its owner: a mount with ids of its own (Linux 5.12).

What belongs to the folder's owner belongs to the session in there, and what the session makes is the owner's on the
disk. Whatever belongs to anybody else is nobody's. Only root can make such a mount.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from . import linux


def mount(folder: str, target: str, uid: int, gid: int) -> None:
    """`folder` at `target`, as the session's. Raises OSError where the file system or the kernel cannot."""
    facts = os.stat(folder)
    tree = linux.open_tree(folder)
    try:
        users = _namespace((facts.st_uid, uid), (facts.st_gid, gid))
        try:
            linux.map_mount(tree, users)
        finally:
            os.close(users)
        linux.move_mount(tree, target)
    finally:
        os.close(tree)


def _namespace(uids: tuple[int, int], gids: tuple[int, int]) -> int:
    """A user namespace that nobody lives in: all that is wanted of it is its table. Each: on the disk, in the mount."""
    read, write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _hold_namespace(write)
    try:
        os.close(write)
        if os.read(read, 1) != b"+":
            raise OSError("no user namespace can be made")
        for name, (disk, inside) in (("uid_map", uids), ("gid_map", gids)):
            with open(f"/proc/{pid}/{name}", "w") as file:
                file.write(f"{disk} {inside} 1")
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(read)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _hold_namespace(write: int) -> NoReturn:
    try:
        linux.unshare(linux.CLONE_NEWUSER)
        os.write(write, b"+")
        signal.pause()
    finally:
        os._exit(1)
