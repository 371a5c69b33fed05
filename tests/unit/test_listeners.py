"""Unix sockets however deep the data directory lies, closed to others, and gone when they are removed."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from kernelgw.kernel.listeners import CHANNELS, Listeners, connectable, listen


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A directory whose name alone is longer than a socket address (107 bytes), with letters of several bytes."""
    folder = tmp_path / ("ä" * 60) / ("b" * 60)
    folder.mkdir(parents=True)
    return folder


def open_fds() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def bound_name(fd: int) -> str:
    with socket.socket(fileno=os.dup(fd)) as copy:
        return Path(copy.getsockname()).name


def talk(path: Path, listener: socket.socket) -> bytes:
    with socket.socket(socket.AF_UNIX) as client, connectable(path) as name:
        client.connect(name)
        client.sendall(b"hello")
        server, _ = listener.accept()
        with server:
            return server.recv(100)


def test_a_short_path_is_used_as_it_is() -> None:
    with connectable(Path("/run/x")) as name:
        assert name == "/run/x"


def test_a_long_path_works_for_bind_and_connect(deep: Path) -> None:
    path = deep / "shell"
    with pytest.raises(OSError, match="too long"), socket.socket(socket.AF_UNIX) as plain:
        plain.bind(str(path))
    with listen(path) as listener:
        assert talk(path, listener) == b"hello"
    assert stat.S_ISSOCK(path.stat().st_mode)


@pytest.mark.parametrize("length", range(98, 112))
def test_paths_around_the_limit_work(tmp_path: Path, length: int) -> None:
    folder = tmp_path / ("d" * (length - len(str(tmp_path)) - 3))
    folder.mkdir()
    path = folder / "s"
    assert len(str(path)) == length
    with listen(path) as listener:
        assert talk(path, listener) == b"hello"


def test_a_long_name_is_borrowed_and_given_back(deep: Path) -> None:
    before = open_fds()
    with connectable(deep / "s") as name:
        assert len(name) < 107
        assert open_fds() > before
    assert open_fds() == before


def test_one_socket_a_channel_in_a_directory_that_is_closed_to_others(deep: Path) -> None:
    listeners = Listeners(deep / "kernel")
    assert stat.S_IMODE(listeners.directory.stat().st_mode) == 0o700
    assert sorted(path.name for path in listeners.directory.iterdir()) == sorted(CHANNELS)
    assert [bound_name(fd) for fd in listeners.fds()] == list(CHANNELS)
    listeners.remove()


def test_the_directory_is_closed_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        listeners = Listeners(tmp_path / "kernel")
    finally:
        os.umask(before)
    assert stat.S_IMODE(listeners.directory.stat().st_mode) == 0o700
    listeners.remove()


def test_after_close_the_places_remain_and_the_descriptors_are_gone(tmp_path: Path) -> None:
    before = open_fds()
    listeners = Listeners(tmp_path / "kernel")
    listeners.close()
    assert listeners.fds() == []
    assert open_fds() == before
    assert len(list(listeners.directory.iterdir())) == 4


def test_remove_leaves_nothing(tmp_path: Path) -> None:
    before = open_fds()
    listeners = Listeners(tmp_path / "kernel")
    listeners.remove()
    listeners.remove()
    assert list(tmp_path.iterdir()) == []
    assert open_fds() == before


def test_a_directory_that_is_there_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / "mine").touch()
    with pytest.raises(FileExistsError):
        Listeners(tmp_path / "kernel")
    assert (tmp_path / "kernel" / "mine").exists()


def test_a_failed_bind_leaves_nothing_open(tmp_path: Path) -> None:
    before = open_fds()
    with pytest.raises(FileNotFoundError):
        listen(tmp_path / "missing" / "s")
    assert open_fds() == before
