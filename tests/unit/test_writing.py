"""Files into a workspace: where they may go, and what stands in the way."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelgw.errors import BadPath, FileNotWritten
from kernelgw.workspace.writing import Mark, parts, write


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "outside").mkdir()
    fd = os.open(tmp_path / "workspace", os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("path", ["a", "a/b/c.txt", "./a.txt", "ü/日本.txt", " ", "-rf", ".hidden", "a\nb", "…" * 80])
def test_what_is_written_is_there(root: int, tmp_path: Path, path: str) -> None:
    write(root, path, b"content", None)
    place = tmp_path / "workspace" / path
    assert place.read_bytes() == b"content"
    assert stat.S_IMODE(place.stat().st_mode) == 0o644
    assert sum(1 for each in (tmp_path / "workspace").rglob("*") if each.is_file()) == 1


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "/", "/etc/passwd", "../a", "a/../b", "a/..", "a//b", "a/", "a/./b", "a\0b", "./", "./../a"),
        *("x" * 256, "ü" * 128, "a/" * 2000 + "a", "/".join("a" * 65)),
    ],
    ids=lambda path: ascii(path[:20]),
)
def test_what_leads_elsewhere_is_refused(root: int, tmp_path: Path, path: str) -> None:
    with pytest.raises(BadPath) as caught:
        write(root, path, b"content", None)
    assert caught.value.status == 400
    assert list((tmp_path / "workspace").iterdir()) == []


def test_half_of_a_surrogate_pair_is_refused() -> None:
    for path in ("\ud800", "\udc80"):
        with pytest.raises(BadPath):
            parts(path)


def test_a_file_is_replaced_as_a_whole(root: int, tmp_path: Path) -> None:
    place = tmp_path / "workspace" / "a.txt"
    write(root, "a.txt", b"old" * 1000, None)
    with place.open("rb") as reader:
        write(root, "a.txt", b"new", None)
        assert reader.read() == b"old" * 1000
    assert place.read_bytes() == b"new"


def test_links_are_not_followed(root: int, tmp_path: Path) -> None:
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    (outside / "file").write_text("theirs")
    (workspace / "folder").symlink_to(outside)
    (workspace / "link").symlink_to(outside / "file")
    (workspace / "dangling").symlink_to(outside / "new")
    with pytest.raises(FileNotWritten, match="no folder"):
        write(root, "folder/file", b"ours", None)
    write(root, "link", b"ours", None)
    write(root, "dangling", b"ours", None)
    assert (outside / "file").read_text() == "theirs"
    assert not (outside / "new").exists()
    assert [(workspace / name).read_bytes() for name in ("link", "dangling")] == [b"ours", b"ours"]
    assert not (workspace / "link").is_symlink()


def test_a_second_name_of_a_file_is_not_written_through(root: int, tmp_path: Path) -> None:
    (tmp_path / "outside" / "file").write_text("theirs")
    os.link(tmp_path / "outside" / "file", tmp_path / "workspace" / "a")
    write(root, "a", b"ours", None)
    assert (tmp_path / "outside" / "file").read_text() == "theirs"


def test_what_is_in_the_way_is_said_and_nothing_is_left(root: int, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    (workspace / "folder").mkdir()
    (workspace / "file").touch()
    os.mkfifo(workspace / "pipe")
    for path in ("folder", "file/a", "pipe/a"):
        with pytest.raises(FileNotWritten):
            write(root, path, b"x", None)
    write(root, "pipe", b"x", None)
    assert (workspace / "pipe").read_bytes() == b"x"
    assert sorted(each.name for each in workspace.iterdir()) == ["file", "folder", "pipe"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_and_folders_are_the_session_s(root: int, tmp_path: Path) -> None:
    write(root, "a/b/c", b"x", 54321)
    for path in ("a", "a/b", "a/b/c"):
        facts = (tmp_path / "workspace" / path).stat()
        assert (facts.st_uid, facts.st_gid) == (54321, 54321)


def test_a_mark_shows_whatever_is_written_later(root: int, tmp_path: Path) -> None:
    place = tmp_path / "workspace" / "a"
    mark = write(root, "a", b"same", None)

    def now() -> Mark:
        fd = os.open(place, os.O_RDONLY)
        try:
            return Mark.of(fd)
        finally:
            os.close(fd)

    assert now() == mark
    assert place.read_bytes() == b"same"
    assert now() == mark
    place.write_bytes(b"same")
    assert now() != mark
    assert write(root, "a", b"same", None) != mark
