"""Unix sockets that the gateway binds for a kernel, outside its sandbox, and hands over as descriptors."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CHANNELS = ("shell", "control", "stdin", "iopub")
LONGEST_PATH = 100


@contextmanager
def connectable(path: Path) -> Iterator[str]:
    """A name for `path` that fits a socket address (107 bytes), however deep the data directory lies."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def listen(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, kind)
    try:
        with connectable(path) as name:
            listener.bind(name)
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


class Listeners:
    """One kernel's listening sockets in a directory of their own (mode 0700)."""

    def __init__(self, directory: Path, names: Sequence[str] = CHANNELS) -> None:
        self.directory = directory
        directory.mkdir(mode=0o700)
        self._sockets: list[socket.socket] = []
        try:
            for name in names:
                self._sockets.append(listen(directory / name))
        except BaseException:
            self.remove()
            raise

    @classmethod
    def of(cls, directory: Path) -> Listeners:
        """Those of a kernel that has them already; they can only be removed."""
        found = cls.__new__(cls)
        found.directory, found._sockets = directory, []
        return found

    def reachable(self) -> None:
        """For whoever the directory is given to, whatever uid that has; the one above it stays closed."""
        self.directory.chmod(0o711)
        for channel in CHANNELS:
            (self.directory / channel).chmod(0o666)

    def copies(self) -> dict[str, socket.socket]:
        return {channel: listener.dup() for channel, listener in zip(CHANNELS, self._sockets, strict=True)}

    def fds(self) -> list[int]:
        """In the order of their names."""
        return [listener.fileno() for listener in self._sockets]

    def close(self) -> None:
        """The kernel has its own copies now."""
        for listener in self._sockets:
            listener.close()
        self._sockets.clear()

    def remove(self) -> None:
        self.close()
        shutil.rmtree(self.directory, ignore_errors=True)
