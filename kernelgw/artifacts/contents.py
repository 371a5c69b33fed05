"""Content by its sha256, kept once however many sessions have it.

Each session has a hard link of its own to what it has, in its own folder: so the file system counts who has what.
Deleting a session is deleting its folder; content that has no other link left is then nobody's, and is removed, at
once or by the next start. Sessions are only ever served from their own links.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .reading import NotKept

# Each costs a place in the file system besides its bytes, and memory for what is known of it.
LEAST_CHARGE = 16 << 10


class Contents:
    """`free_bytes`: of the disk, what is never taken. Every method may be called in any thread."""

    def __init__(self, folder: Path, free_bytes: int = 0) -> None:
        self.folder = folder
        self._free_bytes = free_bytes
        self._unfinished = folder / "tmp"
        # Its own: whatever these have to do, others find a thread.
        self.threads = ThreadPoolExecutor(2, "artifacts")

    def prepare(self) -> None:
        """Removes what was being written when an earlier gateway ended; `sweep` follows."""
        shutil.rmtree(self._unfinished, ignore_errors=True)
        self._unfinished.mkdir(mode=0o700, parents=True)
        self.folder.chmod(0o700)

    def sweep(self) -> None:
        """Removes what is nobody's."""
        for shelf in self.folder.iterdir():
            if len(shelf.name) == 2:
                self.release(path.name for path in shelf.iterdir())

    def check_room(self, size: int) -> None:
        """Raises NotKept."""
        if shutil.disk_usage(self.folder).free - size < self._free_bytes:
            raise NotKept("the disk of the gateway has no room for it")

    def writer(self) -> Writer:
        """Raises OSError."""
        return Writer(self, self._unfinished / uuid.uuid4().hex)

    def blob(self, digest: str) -> Path:
        return self.folder / digest[:2] / digest

    def take_in(self, file: Path, digest: str, links: int) -> None:
        """Gives a whole file its name, and the session whose folder is open as `links` a link to it. Raises OSError."""
        blob = self.blob(digest)
        blob.parent.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.link(file, blob)
        try:
            os.link(blob, digest, dst_dir_fd=links)
        except FileExistsError:
            return
        except FileNotFoundError:
            # Its last owner has just gone: what was written now is as good.
            os.link(file, digest, dst_dir_fd=links)

    def release(self, digests: Iterable[str]) -> None:
        """Removes those that no session has a link to any more.

        A session that takes one up at this moment keeps it by its own link, and only the next one to have the same
        content does not find it here.
        """
        for digest in digests:
            with contextlib.suppress(FileNotFoundError):
                if self.blob(digest).stat().st_nlink == 1:
                    self.blob(digest).unlink()


@dataclass(frozen=True, slots=True)
class Drawer:
    """One session's place in a store. `where`: the folder of its links, which may be moved."""

    store: Contents
    where: Callable[[], Path]


class Writer:
    """One content while it is written. `close` it in any case."""

    def __init__(self, store: Contents, path: Path) -> None:
        self._store = store
        self._path = path
        self._hash = hashlib.sha256()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.size = 0

    def write(self, data: bytes) -> None:
        """Raises OSError."""
        self._hash.update(data)
        self.size += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def keep(self, links: int) -> str:
        """Its digest, under which it is kept from now on. `links`: descriptor of the session's folder of links. Raises
        OSError."""
        digest = self._hash.hexdigest()
        self._store.take_in(self._path, digest, links)
        return digest

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._path.unlink(missing_ok=True)


def charge(size: int) -> int:
    """What an artifact counts against its session's quota."""
    return max(size, LEAST_CHARGE)
