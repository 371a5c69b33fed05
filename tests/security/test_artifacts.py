"""What a session puts in its workspace is read by the gateway, which is not led astray by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.client import JSON, House, Session

pytestmark = [pytest.mark.live, pytest.mark.in_gvisor]

HOST_FILE = "/etc/passwd"
# Says to the gateway that these files have changed, whether they have or not.
FORGE = """
def forge(*paths):
    kernel = get_ipython().kernel
    files = [{'path': path, 'change': 'created', 'size': 10} for path in paths]
    content = {'files': files, 'more': 0, 'whole': True}
    kernel.session.send(kernel.iopub_socket, 'files_changed', content, kernel.get_parent())
"""
ODD = """
import contextlib, fcntl, os, signal, socket, threading
open('honest.txt', 'w').write('honest')
os.symlink('/etc/passwd', 'link')
os.symlink('/etc', 'folder-link')
os.symlink('/proc/self/environ', 'magic-link')
os.symlink('honest.txt', 'inner-link')
os.mkfifo('fifo')
with contextlib.suppress(OSError): socket.socket(socket.AF_UNIX).bind('socket')
open('first-name', 'w').write('two names'); os.link('first-name', 'second-name')
open('sparse', 'w').truncate(1 << 30)
signal.signal(signal.SIGIO, signal.SIG_IGN)  # by which its holder is told that somebody opens it
leased = open('leased', 'w'); leased.write('x'); leased.flush()
with contextlib.suppress(OSError): fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)
"""
NOT_KEPT = frozenset({"link", "folder-link", "magic-link", "inner-link", "fifo", "first-name", "second-name", "sparse"})


def by_path(execution: JSON) -> dict[str, JSON]:
    return {entry["path"]: entry for entry in execution["files"]}


def contents(session: Session) -> dict[str, bytes]:
    """Of all that is kept, by name."""
    listed = session.client.get(f"{session.path}/artifacts").json()["artifacts"]
    return {each["name"]: session.client.get(each["url"]).raise_for_status().content for each in listed}


@pytest.mark.prop("GA05")
def test_whatever_is_no_file_is_not_read_and_holds_nothing_up(house: House) -> None:
    session = house.session()
    made = session.run(ODD)
    assert made["status"] == "completed", made
    files = by_path(made)
    assert files["honest.txt"]["artifact"]
    for path in NOT_KEPT:
        assert files[path]["artifact"] is None, path
        assert files[path]["reason"], path
    kept = contents(session)
    assert kept.pop("honest.txt") == b"honest"
    # Where it can be had, the lease was kept from holding the gateway up, and where it cannot this is a file.
    assert kept.keys() <= {"leased"}


@pytest.mark.prop("GA05")
def test_no_name_leads_out(house: House, tmp_path: Path) -> None:
    session = house.session()
    session.value(FORGE + ODD)
    outside = tmp_path / "outside"
    outside.write_text("outside")
    names = (
        *(
            "../etc/passwd",
            "../../../../../../../../etc/passwd",
            HOST_FILE,
            str(outside),
            "folder-link/passwd",
            "./link",
        ),
        *("..", ".", "", "a\0b", "deep/../../x", "folder-link/../../etc/passwd", "link/", "/", "//etc/passwd"),
        *("/proc/self/environ", "magic-link/x", "x" * 5000, "a/" * 300 + "b", "honest.txt/x", "\ud800", "fifo", "link"),
    )
    for name in names:
        before = contents(session)
        made = session.run(f"forge({name!r}, 'honest.txt')")
        assert made["status"] == "completed", (name, made["error"])
        # The other one of the same message is read, so that would have been too.
        assert by_path(made)["honest.txt"]["artifact"], name
        assert [
            entry["artifact"] for path, entry in by_path(made).items() if path != "honest.txt" and entry["artifact"]
        ] == []
        assert contents(session) == before


@pytest.mark.prop("GA05")
def test_nor_does_a_folder_that_becomes_a_link_while_it_is_read(house: House) -> None:
    session = house.session()
    swap = """
import os, threading, time
os.mkdir('real'); open('real/passwd', 'w').write('inside'); os.symlink('/etc', 'link')
stop = threading.Event()
def swap():
    while not stop.is_set():
        for source in ('real', 'link'):
            os.rename(source, 'place'); time.sleep(0.001); os.rename('place', source)
threading.Thread(target=swap, daemon=True).start()
"""
    session.value(FORGE + swap)
    seen = set()
    for _ in range(40):
        entry = by_path(session.run("forge('place/passwd')")).get("place/passwd")
        assert entry is not None
        seen.add(session.client.get(entry["artifact"]["url"]).content if entry["artifact"] else entry["reason"])
    session.run("stop.set()")
    # It was met as the folder that it is at times, and then read.
    assert b"inside" in seen
    assert seen - {b"inside"} == {each for each in seen if isinstance(each, str)}
    assert not any(b"root:" in content for content in contents(session).values())
    assert Path(HOST_FILE).read_bytes().startswith(b"root:")


@pytest.mark.prop("GA05")
def test_a_file_that_grows_all_the_time_has_an_end(house: House) -> None:
    session = house.session()
    grow = """
import threading
stop, begun = threading.Event(), threading.Event()
def grow():
    with open('grows', 'wb', buffering=0) as file:
        while not stop.is_set() and file.tell() < 1 << 30:
            file.write(bytes(1 << 16)); begun.set()
threading.Thread(target=grow, daemon=True).start()
begun.wait()
"""
    made = session.run(grow)
    entry = by_path(made)["grows"]
    assert made["status"] == "completed"
    assert entry["reason"] or entry["artifact"]["size"] <= 64 << 20
    session.run("stop.set()")
