"""Counting what processes and folders hold, on real ones; and who is told when it is too much."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kernelgw.sandbox import watchdog
from kernelgw.sandbox.watchdog import NOTHING, Usage, Watchdog, Watched, family, memory, sockets, temporary, usage
from tests.live import proc

MB = 1 << 20
NEAR = 6 * MB


@contextmanager
def python(code: str, *before: str) -> Iterator[int]:
    """A process that has done what it should, and then waits until nobody wants it any more."""
    code += "\nprint('up', flush=True)\ninput()\n"
    with subprocess.Popen(
        [*before, sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        try:
            yield process.pid
        finally:
            process.communicate(b"\n")


FORK = """
import os, sys, mmap
def child(action):
    read, write = os.pipe()
    if os.fork() == 0:
        action()
        os.write(write, b'.')
        try: input()
        finally: os._exit(0)
    os.read(read, 1)
"""


def test_memory_that_is_touched_counts_and_that_which_is_only_reserved_does_not() -> None:
    with (
        python("pass") as small,
        python(f"import mmap; block = mmap.mmap(-1, 512 * {MB}, flags=mmap.MAP_PRIVATE)") as big,
    ):
        assert abs(memory((big,)) - memory((small,))) < NEAR
    with python(f"block = bytearray(100 * {MB})") as full:
        assert 100 * MB <= memory((full,)) < 120 * MB


def test_pages_that_forks_share_count_once() -> None:
    code = f"{FORK}\nblock = bytearray(100 * {MB})\nfor _ in range(4): child(lambda: None)"
    with python(code) as parent:
        assert len(family((parent,))) == 5
        assert 100 * MB <= memory((parent,)) < 100 * MB + 5 * NEAR


def test_pages_that_a_fork_has_written_count_again() -> None:
    code = f"""{FORK}
block = bytearray(50 * {MB})
def write():
    for at in range(0, len(block), 4096): block[at] = 1
child(write); child(write)
"""
    with python(code) as parent:
        assert 150 * MB <= memory((parent,)) < 150 * MB + 3 * NEAR


def test_memory_made_to_be_shared_counts_once() -> None:
    code = f"""{FORK}
block = mmap.mmap(-1, 60 * {MB})
block.write(b'x' * (60 * {MB}))
def read(): return sum(block[at] for at in range(0, len(block), 4096))
child(read); child(read)
"""
    with python(code) as parent:
        assert 60 * MB <= memory((parent,)) < 60 * MB + 3 * NEAR + 10 * MB


def test_a_process_that_cannot_be_looked_into_counts_as_what_it_has_more_than_its_fork_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As another user's processes are to a gateway that is not root; /proc shows it their status alone."""
    with python(f"block = bytearray(40 * {MB})") as server, python(f"block = bytearray(100 * {MB})") as kernel:
        for pid in (server, kernel):
            (tmp_path / str(pid)).mkdir()
            (tmp_path / str(pid) / "status").write_bytes(Path(f"/proc/{pid}/status").read_bytes())
        monkeypatch.setattr(watchdog, "PROC", tmp_path)
        assert 59 * MB < memory((kernel,), server) < 61 * MB
        assert memory((server,), server) == 0


def test_grandchildren_belong_to_the_family_and_strangers_do_not() -> None:
    code = f"{FORK}\ndef again(): child(lambda: None)\nchild(again)"
    with python(code) as parent, python("pass") as stranger:
        found = family((parent, 0))
        assert len(found) == 3
        assert stranger not in found
        assert family(()) == set()


def test_who_has_ended_counts_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert memory((process.pid,), process.pid, process.pid) == 0


def test_temporary_files_count_also_when_their_names_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process's own /dev/shm, which others use too: what matters is how much more it is."""
    monkeypatch.setattr(watchdog, "TEMPORARY", ("dev/shm", "no-such-folder"))
    before = temporary(os.getpid())
    with tempfile.TemporaryFile(dir="/dev/shm") as file:
        file.write(bytes(30 * MB))
        file.flush()
        assert 29 * MB < temporary(os.getpid()) - before < 40 * MB
        assert memory((), holder=os.getpid()) >= temporary(os.getpid()) - NEAR


ALONE = ("unshare", "--user", "--map-root-user", "--net")
SOCKETS = """
import socket
def fill(socket):
    socket.setblocking(False)
    try:
        while True: socket.send(bytes(65536))
    except BlockingIOError: pass
kept = []
"""


def test_sockets_count_as_what_their_buffers_have_room_for_wherever_they_are() -> None:
    few = f"{SOCKETS}\nkept = [socket.socketpair() for _ in range({watchdog.FREE_SOCKETS // 2})]"
    with python(few, *ALONE) as holder:
        assert sockets(holder) == 0
    many = f"""{few}
kept += [socket.socketpair() for _ in range(100)]
sent = socket.socketpair()
socket.send_fds(kept[0][0], [b'x'], [each.fileno() for each in sent])
for each in sent: each.close()
for pair in kept: fill(pair[0])
"""
    with python(many, *ALONE) as holder:
        assert sockets(holder) == 202 * int(Path("/proc/sys/net/core/wmem_default").read_text())
        assert memory((), holder=holder) >= sockets(holder)


def test_what_tcp_has_queued_counts_once_there_is_much() -> None:
    serve = f"""{SOCKETS}
import subprocess
subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
server = socket.create_server(('127.0.0.1', 0))
"""
    talk = f"""{serve}
for _ in range(12):
    kept.append(socket.create_connection(server.getsockname()))
    kept.append(server.accept()[0])
    fill(kept[-1])
"""
    with python(talk, *ALONE) as holder, python(serve, *ALONE) as other:
        assert sockets(holder) > watchdog.QUIET_TCP_BYTES
        assert sockets(other) == 0


# Files -----------------------------------------------------------------------------------------------------------


def write(path: Path, size: int) -> None:
    path.write_bytes(os.urandom(size))


def test_what_is_on_disk_counts(tmp_path: Path) -> None:
    assert usage(tmp_path) == NOTHING
    (tmp_path / "a" / "b").mkdir(parents=True)
    write(tmp_path / "one", 3 * MB)
    write(tmp_path / "a" / "b" / "two", 2 * MB)
    found = usage(tmp_path)
    assert found.files == 4
    assert 5 * MB <= found.size < 5 * MB + 64 * 1024


def test_holes_do_not_count(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert usage(tmp_path).size < MB


def test_a_file_with_several_names_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "one", 2 * MB)
    for number in range(10):
        (tmp_path / f"name{number}").hardlink_to(tmp_path / "one")
    found = usage(tmp_path)
    assert found.files == 11
    assert found.size < 3 * MB


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    write(outside / "big", 5 * MB)
    (inside / "folder").symlink_to(outside)
    (inside / "file").symlink_to(outside / "big")
    (inside / "itself").symlink_to(inside)
    (inside / "nowhere").symlink_to("/no/such/thing")
    found = usage(inside)
    assert found.files == 4
    assert found.size < MB


def test_empty_files_count_as_files(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / str(number)).touch()
    found = usage(tmp_path)
    assert found.files == 2000
    assert found.exceeds(2000 * watchdog.FILE_BYTES - 1)
    assert not found.exceeds(2000 * watchdog.FILE_BYTES)


def nested(top: Path, name: str, depth: int) -> None:
    """Made step by step, as code that hides files would. In the last one is a file."""
    place = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=place)
        inner = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    file = os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=place)
    os.write(file, os.urandom(2 * MB))
    os.close(file)
    os.close(place)


def test_what_lies_deeper_than_a_path_can_say_counts(tmp_path: Path) -> None:
    nested(tmp_path, "d" * 200, 25)
    found = usage(tmp_path)
    subprocess.run(["rm", "-rf", str(tmp_path / ("d" * 200))], check=True)
    assert found.files == 26
    assert 2 * MB <= found.size < 3 * MB


def test_folders_in_more_folders_than_anybody_needs_are_too_much(tmp_path: Path) -> None:
    before = proc.open_fds(os.getpid())
    nested(tmp_path, "d", watchdog.DEEPEST + 1)
    assert usage(tmp_path).exceeds(1 << 50)
    assert 2 * MB <= usage(tmp_path / "d").size < 4 * MB
    assert proc.open_fds(os.getpid()) == before


@pytest.mark.prop("FS02")
@pytest.mark.parametrize("swaps", [False, True])
def test_a_link_that_takes_a_folder_s_place_meanwhile_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swaps: bool
) -> None:
    """The session acts when both folders have been found to be folders and one of them is about to be listed."""
    inside, outside, away = (tmp_path / name for name in ("inside", "outside", "away"))
    for folder in (inside, outside, away, inside / "a", inside / "b"):
        folder.mkdir()
    for name in ("a", "b"):
        write(inside / name / "small", MB)
    write(outside / "big", 9 * MB)
    really, listed = os.scandir, []

    def scandir(place: int | str) -> Iterator[os.DirEntry[str]]:
        listed.append(place)
        if swaps and len(listed) == 2:
            for name in ("a", "b"):
                (inside / name).rename(away / name)
                (inside / name).symlink_to(outside)
        return really(place)

    monkeypatch.setattr(os, "scandir", scandir)
    found = usage(inside)
    assert len(listed) == (2 if swaps else 3)
    assert MB * (1 if swaps else 2) <= found.size < 3 * MB


def test_counting_ends_when_it_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "file").touch()
    monkeypatch.setattr(watchdog, "FILES_BUDGET_S", 0.0)
    assert usage(tmp_path).files == 50
    monkeypatch.setattr(watchdog, "FILES_BUDGET_S", 60.0)
    assert usage(tmp_path).files == 100


def test_a_folder_that_is_gone_is_empty(tmp_path: Path) -> None:
    assert usage(tmp_path / "gone") == NOTHING


# Who is told -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "INTERVAL_S", 0.01)


def told(*, looks: int = 0, **facts: object) -> list[str]:
    """What somebody who is watched is told; after it, or after so many looks, the watch ends."""

    async def watch() -> list[str]:
        heard: list[str] = []
        over = asyncio.Event()

        def hear(why: str) -> None:
            heard.append(why)
            over.set()

        usual: dict[str, object] = {"roots": (), "shared": 0, "holder": 0, "memory_bytes": None}
        usual |= {"files": None, "files_bytes": 0, "over": hear}
        dog = Watchdog()
        dog.watch("one", Watched(**usual | facts))  # type: ignore[arg-type]
        quiet = Usage(0, 0)
        dog.watch("quiet", Watched((os.getpid(),), 0, 0, 1 << 50, None, 0, heard.append, quiet))
        try:
            if looks:
                await asyncio.sleep(looks * 4 * watchdog.INTERVAL_S)
            else:
                await asyncio.wait_for(over.wait(), 10)
                # Told once, however often it is looked at.
                await asyncio.sleep(10 * watchdog.INTERVAL_S)
        finally:
            await dog.stop()
        return heard

    return asyncio.run(watch())


def test_too_much_memory_is_told_once_and_to_nobody_else() -> None:
    with python(f"block = bytearray(50 * {MB})") as pid:
        assert told(roots=(pid,), memory_bytes=40 * MB) == ["out_of_memory"]
        assert told(roots=(pid,), memory_bytes=400 * MB, looks=3) == []
        assert told(roots=(pid,), memory_bytes=None, looks=3) == []


def test_too_many_files_are_told(tmp_path: Path) -> None:
    write(tmp_path / "one", 3 * MB)
    assert told(files=tmp_path, files_bytes=2 * MB) == ["workspace_full"]
    assert told(files=tmp_path, files_bytes=4 * MB, looks=3) == []


def test_what_was_there_before_may_stay_but_not_grow(tmp_path: Path) -> None:
    write(tmp_path / "one", 3 * MB)
    began = usage(tmp_path)
    assert told(files=tmp_path, files_bytes=2 * MB, began_with=began, looks=3) == []
    write(tmp_path / "two", MB)
    assert told(files=tmp_path, files_bytes=2 * MB, began_with=began) == ["workspace_full"]


def test_nobody_is_told_after_it_was_taken_off() -> None:
    async def watch() -> list[str]:
        heard: list[str] = []
        dog = Watchdog()
        dog.watch("one", Watched((os.getpid(),), 0, 0, 1, None, 0, heard.append))
        dog.unwatch("one")
        await asyncio.sleep(5 * watchdog.INTERVAL_S)
        # With nobody left it rests, and begins again with the next.
        dog.watch("two", Watched((os.getpid(),), 0, 0, 1, None, 0, heard.append))
        for _ in range(500):
            if heard:
                break
            await asyncio.sleep(watchdog.INTERVAL_S)
        await dog.stop()
        return heard

    assert asyncio.run(watch()) == ["out_of_memory"]
