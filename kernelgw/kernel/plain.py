"""A kernel for any Jupyter client: the protocol as it is documented, signed, on unix sockets that the client knows."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..sandbox.workspaces import Workspace
from .box import Box
from .kernel import Kernel
from .listeners import Listeners

# By the numbers that Jupyter's connection files give to sockets of the ipc transport, from 1.
CHANNELS = ("shell", "iopub", "stdin", "control", "hb")
STEM = "k"


@dataclass(frozen=True)
class Door:
    """`directory`: a kernel's own, which is made anew for each that follows another, `again`. `key` signs its
    messages."""

    directory: Path
    key: str
    signature_scheme: str
    again: bool = False

    @property
    def ip(self) -> str:
        """What connection files call so: the sockets are this, a dash and their number."""
        return str(self.directory / STEM)

    @property
    def ports(self) -> dict[str, int]:
        return {f"{channel}_port": number for number, channel in enumerate(CHANNELS, 1)}


class PlainKernel(Kernel):
    """Nobody here listens to it: it is ready once it is sealed, since its sockets listen before it exists."""

    def __init__(self, box: Box, workspace: Workspace, door: Door) -> None:
        super().__init__(box, workspace)
        self._door = door

    @property
    def wiring(self) -> dict[str, Any]:
        plain = {"key": self._door.key, "signature_scheme": self._door.signature_scheme}
        # Clients that had the one before are still on their way to this one.
        plain["again"] = "yes" if self._door.again else ""
        return {"channels": CHANNELS, "plain": plain}

    async def ready(self) -> None:
        await self.sealed

    async def open(self, directory: Path) -> tuple[list[int], int]:
        del directory
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._door.directory)
        names = [f"{STEM}-{number}" for number in self._door.ports.values()]
        self._listeners = Listeners(self._door.directory, names)
        write = self._open_crash_log()
        return [*self._listeners.fds(), write], write

    async def _drained(self) -> None:
        """What it says is not ours to hear."""
