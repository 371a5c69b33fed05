"""A place on this machine that one process has to itself while it lives: a folder, and as root uids for its kernels."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import GatewayError
from ..kernel.listeners import LONGEST_PATH
from ..sandbox.workspaces import remove_tree

SLOTS = 256
# Of each: for its kernels, and the last for what passes their network on.
UIDS = 128
# A folder of a kernel's sockets, and the longest of their names.
SOCKET = f"{'0' * 12}/k-5"


@dataclass(frozen=True)
class Slot:
    """`lock` is held as long as the process lives, however it ends. What is in `folder` when a slot is claimed was left
    by a process that is no more."""

    folder: Path
    number: int
    lock: int
    sockets: Path

    def first_uid(self, after: int) -> int:
        """Of those that are this slot's alone; `after`: the last that a gateway may use."""
        return after + 1 + self.number * UIDS

    def give_back(self) -> None:
        shutil.rmtree(self.sockets, ignore_errors=True)
        if self.folder.exists():
            remove_tree(self.folder)
        os.close(self.lock)


def claim(base: Path) -> Slot:
    """The first that is free. Raises OSError, GatewayError."""
    base.mkdir(mode=0o711, parents=True, exist_ok=True)
    for number in range(SLOTS):
        lock = os.open(base / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        folder = base / str(number)
        folder.mkdir(mode=0o711, exist_ok=True)
        return Slot(folder, number, lock, _sockets(folder))
    raise GatewayError(f"{SLOTS} processes have kernels here already.", "End some of them.")


def _sockets(folder: Path) -> Path:
    """Clients connect by path, and a path may have 107 bytes."""
    found = folder / "sockets"
    if len(os.fsencode(found / SOCKET)) > LONGEST_PATH:
        return Path(tempfile.mkdtemp(prefix="kernelgw-"))
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir(mode=0o700)
    return found
