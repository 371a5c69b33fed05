"""Sessions' files on the host: each an image with a hard size as root, else a directory that is watched."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import struct
import subprocess
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import IsolationUnavailable
from .identity import Identities, own

BLOCK = 512
INODE_EVERY_BYTES = 16 << 10
# Sessions may ask for any size, and each has its own.
TEMPLATES = 16
PROBE_BYTES = 16 << 20
SUPERBLOCK_AT = 1024
PROBE_TIMEOUT_S = 20
KINDS = ("auto", "image", "directory")
PROGRAMS = ("/usr/sbin:/sbin:/usr/bin:/bin", ("mkfs.ext4", "debugfs", "mount", "unshare"))
log = logging.getLogger("kernelgw.workspaces")


class Workspace:
    """A session's own files, and the uid that they belong to. Outlives its kernels.

    `lent`: a folder of somebody's, which the session may use and nobody here counts or removes; with names in it that
    it may not change.
    """

    def __init__(
        self,
        path: Path,
        uid: int | None,
        image: bool,
        size: int,
        lent: bool = False,
        read_only: Sequence[str] = (),
    ) -> None:
        self.path = path
        self.uid = uid
        self.image = image
        self.size = size
        self.lent = lent
        self.read_only = tuple(read_only)
        # Whether a kernel of it was ended for that: the next one finds more than is allowed, and may delete it.
        self.overflowed = False

    def as_note(self) -> dict[str, Any]:
        """For `Workspaces.adopt` of a later gateway."""
        return {"name": self.path.name, "uid": self.uid, "image": self.image, "size": self.size}

    @property
    def unwritten(self) -> int:
        """Bytes that its session may still take from the host's disk; of a directory nobody knows without counting."""
        if not self.image:
            return self.size
        try:
            return max(0, self.size - self.path.stat().st_blocks * BLOCK)
        except FileNotFoundError:
            return 0


class Workspaces:
    """Makes and removes them. `images`: whether they are file systems of a fixed size; `why`: a sentence on that."""

    def __init__(self, folder: Path, identities: Identities, images: bool, why: str) -> None:
        self.folder = folder
        self.identities = identities
        self.images = images
        self.why = why
        self._templates: OrderedDict[int, asyncio.Task[Path]] = OrderedDict()

    def prepare(self) -> None:
        self.folder.mkdir(exist_ok=True)
        # Sessions' uids pass through, to directories whose names they cannot list.
        self.folder.chmod(0o711)
        shutil.rmtree(self._template_folder, ignore_errors=True)

    def adopt(self, note: dict[str, Any]) -> Workspace | None:
        """One that an earlier gateway made; None when it is no more, or of a kind that this gateway has not."""
        path, uid = self.folder / Path(note["name"]).name, note["uid"]
        if not path.exists() or bool(note["image"]) is not self.images or not self.identities.claim(uid):
            return None
        return Workspace(path, uid, self.images, int(note["size"]))

    def sweep(self, kept: set[str]) -> None:
        """Removes what belongs to nobody. `kept`: names."""
        for leftover in self.folder.iterdir():
            if leftover.name not in kept:
                remove_tree(leftover)

    @property
    def _template_folder(self) -> Path:
        return self.folder.with_name("templates")

    async def new(self, size: int) -> Workspace:
        """`size` in bytes: hard for an image. Raises OSError when the host's disk is full."""
        uid = self.identities.take()
        try:
            path = self.folder / uuid.uuid4().hex
            if self.images:
                await self._copy_template(size, path)
            else:
                path.mkdir(mode=0o700)
                own(path, uid)
        except BaseException:
            self.identities.give_back(uid)
            raise
        return Workspace(path, uid, self.images, size)

    async def _copy_template(self, size: int, path: Path) -> None:
        while True:
            template = await self._template(size)
            try:
                return _copy_sparse(template, path)
            except FileNotFoundError:
                # Dropped a moment ago, in favour of other sizes.
                if size in self._templates:
                    raise

    async def _template(self, size: int) -> Path:
        """Formatting takes 50 ms, copying what came of it one."""
        task = self._templates.get(size)
        if task is None or (task.done() and task.exception()):
            self._template_folder.mkdir(mode=0o700, exist_ok=True)
            path = self._template_folder / str(size)
            task = self._templates[size] = asyncio.create_task(asyncio.to_thread(_format, path, size))
        self._templates.move_to_end(size)
        for other in [each for each, made in self._templates.items() if made.done()][:-TEMPLATES]:
            del self._templates[other]
            (self._template_folder / str(other)).unlink(missing_ok=True)
        return await asyncio.shield(task)

    def lend(self, folder: Path, read_only: Sequence[str] = ()) -> Workspace:
        """One that is there already. `read_only`: names in it that stay as they are."""
        return Workspace(folder, self.identities.take(), False, 0, True, read_only)

    async def remove(self, workspace: Workspace) -> None:
        """Off the loop unless it is quick: a session may have left a lot."""
        if workspace.lent:
            self.identities.give_back(workspace.uid)
            return
        try:
            if workspace.image:
                workspace.path.unlink(missing_ok=True)
            else:
                workspace.path.rmdir()
        except OSError:
            await asyncio.to_thread(remove_tree, workspace.path)
        self.identities.give_back(workspace.uid)


def choose(folder: Path, identities: Identities, wanted: str) -> Workspaces:
    """Raises IsolationUnavailable when `wanted` is "image" and this machine cannot."""
    if wanted not in KINDS:
        raise IsolationUnavailable(f"There is no kind of workspace called {wanted!r}.", f"Use {', '.join(KINDS)}.")
    if wanted == "directory":
        return Workspaces(folder, identities, False, "directories, as the settings say; their size is watched")
    missing = _missing(folder.parent)
    if missing is None:
        return Workspaces(folder, identities, True, "each an ext4 image of its own size")
    if wanted == "image":
        raise IsolationUnavailable(f"Workspaces cannot be images here: {missing}.", "Use --workspaces directory.")
    return Workspaces(folder, identities, False, f"directories whose size is watched: {missing}")


def _missing(folder: Path) -> str | None:
    """What there is not, to mount images with. Tries it for real."""
    if os.geteuid() != 0:
        return "only root can mount images"
    if lacking := [name for name in PROGRAMS[1] if shutil.which(name, path=PROGRAMS[0]) is None]:
        return f"there is no {', '.join(lacking)}"
    image = folder / f"probe-{uuid.uuid4().hex}"
    script = 'mount -o loop,nosuid,nodev "$1" /mnt'
    try:
        _format(image, PROBE_BYTES)
        command = ["unshare", "--mount", "/bin/sh", "-c", script, "sh", str(image)]
        _run(command)
    except (OSError, subprocess.SubprocessError) as error:
        return f"an image cannot be mounted ({_words(error)})"
    finally:
        image.unlink(missing_ok=True)
    return None


def _format(path: Path, size: int) -> Path:
    """An empty ext4 with room for `size` bytes of files, without what it needs only to survive power cuts."""
    _make(path, size)
    # Its own tables take a part, which is added; that may take a little more.
    _make(path, size + max(0, size - _room(path)))
    return path


def _make(path: Path, size: int) -> None:
    with path.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(size)
    features = "^has_journal,^resize_inode,^metadata_csum_seed"
    options = ["-E", "lazy_itable_init=1,nodiscard", "-i", str(INODE_EVERY_BYTES), "-O", features]
    _run(["mkfs.ext4", "-q", "-F", "-m", "0", *options, str(path)])
    _run(["debugfs", "-w", "-R", "rmdir lost+found", str(path)])


def _room(path: Path) -> int:
    """Bytes that files may fill in an empty ext4, by its superblock: Linux keeps back 2 %, 4096 blocks at most."""
    with path.open("rb") as file:
        file.seek(SUPERBLOCK_AT)
        _, blocks, _, free, _, _, shift = struct.unpack("<7I", file.read(28))
    usable: int = (free - min(blocks // 50, 4096)) * (1024 << shift)
    return usable


def _run(command: list[str]) -> None:
    environment = {"PATH": PROGRAMS[0], "LC_ALL": "C"}
    subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=PROBE_TIMEOUT_S)


def _words(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    return said.strip().splitlines()[-1]


def _copy_sparse(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        os.fchmod(writer.fileno(), 0o600)
        size = os.fstat(reader.fileno()).st_size
        os.ftruncate(writer.fileno(), size)
        position = 0
        while (start := _next_data(reader.fileno(), position)) is not None:
            position = os.lseek(reader.fileno(), start, os.SEEK_HOLE)
            os.pwrite(writer.fileno(), os.pread(reader.fileno(), position - start, start), start)


def _next_data(fd: int, position: int) -> int | None:
    try:
        return os.lseek(fd, position, os.SEEK_DATA)
    except OSError:
        return None


def remove_tree(path: Path) -> None:
    """Whatever a session made of it. `rm` follows no links and minds no depth; Python's own is recursive."""
    command = ["/bin/rm", "-rf", "--", str(path)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0 and os.geteuid() != 0:
        # Without root a directory has to be opened to be emptied. Recursively, chmod follows no links.
        subprocess.run(["/bin/chmod", "-R", "u+rwx", "--", str(path)], capture_output=True)
        result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        log.warning("cannot remove %s: %s", path, result.stderr.strip()[-500:])
