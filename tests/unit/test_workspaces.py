"""Where sessions' files lie: images of a hard size as root, else directories; made, mounted and removed for real."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from kernelgw.errors import IsolationUnavailable
from kernelgw.sandbox import workspaces
from kernelgw.sandbox.identity import Identities
from kernelgw.sandbox.workspaces import Workspaces, choose, remove_tree

MB = 1 << 20
ROOT = Path(__file__).parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts images and gives files away")
FIRST = 1_950_000

# Mounts an image as the fork server does, in a mount namespace of its own, and says what is in there.
MOUNTED = f"""
import errno, json, os, sys
sys.path.insert(0, {str(ROOT)!r})
from kernels import linux, stage
linux.unshare(linux.CLONE_NEWNS)
linux.mount('none', '/', None, linux.MS_REC | linux.MS_PRIVATE)
linux.mount('here', stage.PLACE, 'tmpfs', 0, 'size=1m')
here = stage.Stage()
place = here.mount_image(sys.argv[1], {FIRST}, {FIRST})
again = here.mount_image(sys.argv[1], {FIRST}, {FIRST})
os.setresgid({FIRST}, {FIRST}, {FIRST})
os.setresuid({FIRST}, {FIRST}, {FIRST})
def fill():
    written = 0
    with open(place + '/file', 'wb') as file:
        try:
            while True:
                written += file.write(bytes(65536))
                file.flush()
        except OSError as error:
            return written, errno.errorcode[error.errno]
def litter():
    made = 0
    try:
        while True:
            open(place + f'/{{made}}', 'x').close()
            made += 1
    except OSError as error:
        return made, errno.errorcode[error.errno]
facts = os.stat(place)
found = dict(same=place == again, uid=facts.st_uid, gid=facts.st_gid, mode=facts.st_mode & 0o777)
found['names'] = os.listdir(place)
exec(sys.argv[2])
print(json.dumps(found))
"""


def mounted(image: Path, code: str = "") -> dict[str, Any]:
    command = [sys.executable, "-c", MOUNTED, str(image), code]
    facts: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return facts


@pytest.fixture
def identities() -> Identities:
    return Identities(FIRST, 4)


@pytest.fixture
def images(tmp_path: Path, identities: Identities) -> Workspaces:
    found = choose(tmp_path / "workspaces", identities, "image")
    found.prepare()
    return found


@pytest.fixture
def directories(tmp_path: Path, identities: Identities) -> Workspaces:
    found = choose(tmp_path / "workspaces", identities, "directory")
    found.prepare()
    return found


def run(action: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(action())


def loops(folder: Path) -> list[str]:
    """Loop devices whose file lies below `folder`."""
    files = (Path(path) for path in map(str, Path("/sys/block").glob("loop*/loop/backing_file")))
    return [str(path) for path in files if path.exists() and str(folder) in path.read_text()]


# Images ----------------------------------------------------------------------------------------------------------


@needs_root
def test_an_image_holds_what_was_asked_for_and_not_more(images: Workspaces, tmp_path: Path) -> None:
    async def action() -> None:
        workspace = await images.new(48 * MB)
        assert (workspace.image, workspace.size, workspace.uid) == (True, 48 * MB, FIRST)
        facts = mounted(workspace.path, "found['full'] = fill()")
        assert facts["same"]
        assert (facts["uid"], facts["gid"], facts["mode"], facts["names"]) == (FIRST, FIRST, 0o700, [])
        written, error = facts["full"]
        assert error == "ENOSPC"
        assert abs(written - 48 * MB) <= MB
        await images.remove(workspace)
        assert not workspace.path.exists()

    run(action)
    assert loops(tmp_path) == []


@needs_root
def test_an_image_holds_only_so_many_files(images: Workspaces) -> None:
    async def action() -> None:
        workspace = await images.new(16 * MB)
        made, error = mounted(workspace.path, "found['files'] = litter()")["files"]
        assert error == "ENOSPC"
        assert 500 < made < 2 * 16 * MB // workspaces.INODE_EVERY_BYTES
        await images.remove(workspace)

    run(action)


@needs_root
def test_an_image_takes_no_more_of_the_disk_than_its_files(images: Workspaces) -> None:
    async def action() -> None:
        workspace = await images.new(1024 * MB)
        facts = workspace.path.stat()
        assert facts.st_size >= 1024 * MB
        assert facts.st_blocks * 512 < 4 * MB
        assert (facts.st_uid, facts.st_mode & 0o777) == (0, 0o600)
        mounted(workspace.path, f"open(place + '/x', 'wb').write(bytes(20 * {MB})); os.sync()")
        assert 20 * MB < workspace.path.stat().st_blocks * 512 < 30 * MB
        mounted(workspace.path, "os.remove(place + '/x'); os.sync()")
        # Blocks that are freed inside are given back outside.
        assert workspace.path.stat().st_blocks * 512 < 5 * MB
        await images.remove(workspace)

    run(action)


@needs_root
def test_a_copy_is_its_template_and_stays_as_empty(images: Workspaces, tmp_path: Path) -> None:
    async def action() -> None:
        first, second = await images.new(32 * MB), await images.new(32 * MB)
        template = tmp_path / "templates" / str(32 * MB)
        for path in (first.path, second.path):
            assert path.read_bytes() == template.read_bytes()
            assert path.stat().st_blocks <= template.stat().st_blocks + 64
        mounted(first.path, "open(place + '/secret', 'w').write('canary' * 100000); os.sync()")
        assert b"canary" in first.path.read_bytes()
        third = await images.new(32 * MB)
        assert third.path.read_bytes() == template.read_bytes() == second.path.read_bytes()
        for each in (first, second, third):
            await images.remove(each)

    run(action)


@needs_root
def test_sizes_are_many_and_templates_few(images: Workspaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspaces, "TEMPLATES", 2)

    async def action() -> None:
        sizes = [(16 + number) * MB for number in range(5)]
        made = await asyncio.gather(*(one(size) for size in [*sizes, *sizes]))
        assert {size for size, _ in made} == set(sizes)
        await one(16 * MB)
        left = {path.name for path in (tmp_path / "templates").iterdir()}
        assert str(16 * MB) in left
        assert len(left) <= 3

    async def one(size: int) -> tuple[int, int]:
        images.identities.enabled = False
        workspace = await images.new(size)
        found = workspace.path.stat().st_size
        await images.remove(workspace)
        assert found >= size
        return size, found

    run(action)


@needs_root
def test_a_host_without_room_is_an_error_and_takes_no_uid(images: Workspaces, monkeypatch: pytest.MonkeyPatch) -> None:
    async def action() -> None:
        workspace = await images.new(16 * MB)

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(workspaces, "_copy_sparse", full)
            for _ in range(10):
                with pytest.raises(OSError, match="No space left"):
                    await images.new(16 * MB)
        assert (await images.new(16 * MB)).uid == FIRST + 1
        await images.remove(workspace)

    run(action)


# Directories -----------------------------------------------------------------------------------------------------


def test_a_directory_is_its_session_s_and_goes_with_all_that_is_in_it(directories: Workspaces) -> None:
    async def action() -> None:
        workspace = await directories.new(16 * MB)
        facts = workspace.path.stat()
        assert (workspace.image, facts.st_mode & 0o777) == (False, 0o700)
        assert facts.st_uid == (FIRST if os.geteuid() == 0 else os.geteuid())
        deep = workspace.path / "a" / "b"
        deep.mkdir(parents=True)
        (deep / "file").write_text("x")
        (deep / "link").symlink_to("/etc")
        deep.chmod(0o500)
        await directories.remove(workspace)
        assert not workspace.path.exists()
        assert Path("/etc/passwd").exists()

    run(action)


def test_no_path_is_used_twice(directories: Workspaces) -> None:
    async def action() -> None:
        first = await directories.new(16 * MB)
        await directories.remove(first)
        second = await directories.new(16 * MB)
        assert first.path != second.path
        assert first.uid == second.uid
        await directories.remove(second)

    run(action)


def test_a_tree_too_deep_for_paths_is_removed(tmp_path: Path) -> None:
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deeper", dir_fd=place)
        inner = os.open("deeper", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    remove_tree(tmp_path / "deeper")
    assert list(tmp_path.iterdir()) == []


# What there is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["directory", "auto"])
def test_what_an_earlier_gateway_left_is_cleared_but_for_what_is_somebody_s(
    tmp_path: Path, identities: Identities, kind: str
) -> None:
    folder = tmp_path / "workspaces"
    (folder / "old" / "deep").mkdir(parents=True)
    (folder / "image").write_bytes(b"x" * 1000)
    (folder / "dangling").symlink_to("/nowhere")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "123").touch()
    found = choose(folder, identities, kind)
    found.prepare()
    (folder / "kept").mkdir()
    found.sweep({"kept"})
    assert [path.name for path in folder.iterdir()] == ["kept"]
    assert not (tmp_path / "templates").exists()
    assert folder.stat().st_mode & 0o777 == 0o711


def test_a_workspace_is_adopted_by_a_later_gateway(directories: Workspaces, tmp_path: Path) -> None:
    async def action() -> None:
        made = await directories.new(16 * MB)
        later = choose(directories.folder, Identities(FIRST, 2), "directory")
        found = later.adopt(made.as_note())
        assert found is not None
        assert (found.path, found.uid, found.image, found.size) == (made.path, made.uid, False, 16 * MB)
        # Its uid is nobody else's, and it is adopted once.
        assert (await later.new(16 * MB)).uid != made.uid or made.uid is None
        for wrong in ({"image": True}, {"name": "none"}, {"name": "../workspaces"}, {"uid": 0}):
            assert later.adopt({**made.as_note(), **wrong}) is None
        if made.uid is not None:
            assert later.adopt(made.as_note()) is None

    run(action)


@needs_root
def test_images_are_chosen_where_they_can_be_mounted(tmp_path: Path, identities: Identities) -> None:
    found = choose(tmp_path / "workspaces", identities, "auto")
    assert (found.images, found.why) == (True, "each an ext4 image of its own size")
    assert loops(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_directories_are_chosen_where_images_cannot_be(
    tmp_path: Path, identities: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspaces, "PROGRAMS", (str(tmp_path), ("mkfs.ext4", "mount")))
    found = choose(tmp_path / "workspaces", identities, "auto")
    assert not found.images
    assert "whose size is watched" in found.why
    assert "mkfs.ext4" in found.why or "only root" in found.why
    with pytest.raises(IsolationUnavailable, match="cannot be images here"):
        choose(tmp_path / "workspaces", identities, "image")


def test_a_kind_that_is_none_is_an_error(tmp_path: Path, identities: Identities) -> None:
    with pytest.raises(IsolationUnavailable, match="no kind of workspace called 'zfs'"):
        choose(tmp_path, identities, "zfs")
