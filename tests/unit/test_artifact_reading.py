"""Files are read from a folder that may hold anything: what is no file in it is not read."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelgw.artifacts.reading import NotKept, open_file, pieces


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    folder = tmp_path / "root"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "file").write_text("content")
    (tmp_path / "outside").write_text("outside")
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def read(root: int, path: str, most: int = 1000) -> bytes:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    try:
        file = open_file(root, path, most)
    except NotKept:
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
        raise
    try:
        return b"".join(pieces(file, 1 << 30))
    finally:
        os.close(file)
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_file_is_read(root: int) -> None:
    assert read(root, "deep/er/file") == b"content"


@pytest.mark.parametrize(
    "path", ["../outside", "/etc/passwd", "deep/../deep/er/file", ".", "..", "", "deep//er/file", "a\0b", "deep/er/"]
)
def test_names_that_lead_elsewhere_lead_nowhere(root: int, path: str) -> None:
    with pytest.raises(NotKept, match="leads nowhere"):
        read(root, path)


def test_what_is_no_file_of_its_own_is_not_read(root: int, tmp_path: Path) -> None:
    folder = tmp_path / "root"
    (folder / "link").symlink_to("deep/er/file")
    (folder / "out").symlink_to(tmp_path / "outside")
    (folder / "up").symlink_to("..")
    (folder / "proc").symlink_to("/proc/self/root")
    os.mkfifo(folder / "fifo")
    (folder / "second").hardlink_to(tmp_path / "outside")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
    for path in ("link", "out", "fifo", "socket", "deep"):
        with pytest.raises(NotKept, match="not a regular file"):
            read(root, path)
    for path in ("up/outside", "proc/etc/passwd", "none", "deep/er/file/x", "x" * 300):
        with pytest.raises(NotKept, match="cannot be read"):
            read(root, path)
    with pytest.raises(NotKept, match="several names"):
        read(root, "second")


def test_one_that_is_too_large_is_not_read_whether_it_is_there_or_not(root: int, tmp_path: Path) -> None:
    with (tmp_path / "root" / "sparse").open("w") as file:
        file.truncate(1 << 40)
    with pytest.raises(NotKept, match="larger than 1,000 bytes"):
        read(root, "sparse")


def test_one_that_grows_is_read_as_far_as_it_went(root: int, tmp_path: Path) -> None:
    path = tmp_path / "root" / "grows"
    path.write_bytes(bytes(3 << 20))
    fd = open_file(root, "grows", 1 << 30)
    with path.open("ab") as file:
        size = 0
        for piece in pieces(fd, 1 << 30):
            size += len(piece)
            file.write(bytes(1 << 20))
            file.flush()
    os.close(fd)
    assert size == 3 << 20
