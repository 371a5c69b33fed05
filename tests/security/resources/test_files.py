"""Descriptors, files of all kinds and what is written."""

from __future__ import annotations

import pytest

from tests.live import proc
from tests.live.client import House, Session

from ..conftest import World
from ..remains import stored
from .limits import LIMITS, MB, ended_for_memory, inside, outside

# Gateways start and stop in here, several at a time when the whole suite runs.
pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


KINDS = {
    "files": "open('/dev/null')",
    "pipes": "os.pipe()",
    "sockets": "socket.socketpair()",
    "tcp": "socket.socket()",
    "epoll": "select.epoll()",
    "events": "os.eventfd(0)",
    "inotify": "inotify()",
}
EXHAUST = """
import ctypes, json, os, select, socket
def inotify():
    fd = ctypes.CDLL(None, use_errno=True).inotify_init()
    if fd < 0: raise OSError(ctypes.get_errno(), 'inotify_init')
    return os.fdopen(fd)
def exhaust(most, make):
    held = []
    try:
        while len(held) < most: held.append(make())
        return len(held), 0, held
    except OSError as error:
        return len(held), error.errno, held
"""


RELEASE = """
for each in held:
    for one in each if isinstance(each, tuple) else (each,):
        os.close(one) if isinstance(one, int) else one.close()
"""


@pytest.mark.prop("RS05")
@pytest.mark.parametrize("kind", KINDS)
def test_descriptors_end_at_the_limit(world: World, session: Session, neighbour: Session, kind: str) -> None:
    code = f"{EXHAUST}\ncount, error, held = exhaust({{}}, lambda: {KINDS[kind]})\nprint(json.dumps([count, error]))"
    few = LIMITS["open_files"] // 4
    assert outside(code.format(few)) == [few, 0]
    # With all of them still open there, the neighbour has its own.
    count, error = inside(session, code.format(5000))
    assert count <= LIMITS["open_files"]
    assert error == 24
    if kind != "inotify" or world.configuration.is_root:
        assert inside(neighbour, code.format(few)) == [few, 0]
    assert "open_files" in session.run("more = [open('/dev/null') for _ in range(4)]")["error"]["hint"]
    session.run(RELEASE)
    assert session.value("open('/dev/null').close(); print('again')") == "again\n"


MANY = """
import ctypes, fcntl, json, os, signal
libc = ctypes.CDLL(None, use_errno=True)
def capacity():
    read, write = os.pipe()
    size = fcntl.fcntl(write, 1032)
    os.close(read); os.close(write)
    return size
def instance():
    fd = libc.inotify_init()
    if fd >= 0: os.close(fd)
    return fd >= 0
def take(children):
    for _ in range(children):
        read, write = os.pipe()
        if os.fork() == 0:
            held = []
            try:
                for _ in range(8): held.append(libc.inotify_init())
                while True: held.append(os.pipe())
            except OSError: pass
            os.write(write, b'.')
            signal.pause()
        os.read(read, 1)
        os.close(read); os.close(write)
"""


@pytest.mark.prop("RS05")
def test_what_the_kernel_counts_by_user_is_each_session_s_own(
    world: World, session: Session, neighbour: Session
) -> None:
    """Pages in pipes and inotify instances. Only root can give each session a user of its own."""
    ask = "print(json.dumps([capacity(), instance()]))"
    assert inside(session, f"{MANY}\n{ask}") == [65536, True]
    session.value("take(30)")
    size, another = inside(session, ask)
    assert size < 65536
    assert not another
    if world.configuration.is_root:
        assert inside(neighbour, f"{MANY}\n{ask}") == [65536, True]


# Files -----------------------------------------------------------------------------------------------------------

FILL = """
import json, os, sys
def fill(folder, most):
    written = number = 0
    while written < most:
        number += 1
        try:
            with open(f'{folder}/fill{number}', 'wb', buffering=0) as file:
                for _ in range(128):
                    written += file.write(bytes(65536))
        except OSError as error:
            return written, error.errno
    return written, 0
"""


@pytest.mark.prop("FS05")
@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm", "/home/user", "/workspace"])
def test_a_folder_is_full_at_its_limit(world: World, session: Session, neighbour: Session, folder: str) -> None:
    size = {"/tmp": LIMITS["tmp_bytes"], "/workspace": LIMITS["workspace_bytes"]}.get(folder, 64 * MB)
    data = world.gateway.data_dir
    session.run("1")
    before = stored(data)
    if folder == "/workspace" and not world.configuration.is_root:
        fill_a_directory(session)
    else:
        written, error = inside(session, f"{FILL}\nprint(json.dumps(fill({folder!r}, {4 * size})))")
        assert error == 28
        assert abs(written - size) <= MB
        assert "full" in session.run(f"open('{folder}/more', 'wb').write(bytes({2 * MB}))")["error"]["hint"]
        session.value(
            f"import glob; [os.remove(path) for path in glob.glob('{folder}/*[0-9]') if os.path.isfile(path)]"
        )
        session.run(f"import os; os.remove('{folder}/more')")
        assert session.value(f"print(open('{folder}/more', 'wb').write(bytes({MB})))") == f"{MB}\n"
    assert stored(data) - before <= size + 4 * MB
    session.delete()
    proc.wait_until(lambda: stored(data) <= before + MB, 10, lambda: (before, stored(data)))


def fill_a_directory(session: Session) -> None:
    """Only watched: within a second or so its kernel is ended. The next one may delete what is there, not add to it."""
    execution = session.run(f"{FILL}\nimport time\nfill('/workspace', 5 * 8 * {MB})\ntime.sleep(40)")
    assert execution["status"] == "killed"
    assert "files grew past their limit" in execution["error"]["value"]
    assert "workspace_bytes" in execution["error"]["hint"]
    code = "import os\nfor name in os.listdir('.'): os.remove(name)\nprint(len(os.listdir('.')))"
    assert session.value(code) == "0\n"


LITTER = """
import json, os, time
made, error = 0, 0
os.mkdir('{0}/litter')
try:
    while made < {1}:
        open(f'{0}/litter/{{made}}', 'x').close()
        made += 1
except OSError as failure:
    error = failure.errno
print(json.dumps([made, error]))
{2}
"""


@pytest.mark.prop("FS06")
def test_empty_files_are_bounded_in_the_workspace(world: World, session: Session, neighbour: Session) -> None:
    room = LIMITS["workspace_bytes"] // (16 << 10)
    assert inside(session, LITTER.format("/workspace", room // 4, "")) == [room // 4, 0]
    session.run("import shutil; shutil.rmtree('/workspace/litter')")
    if world.configuration.is_root:
        made, error = inside(session, LITTER.format("/workspace", 50 * room, ""))
        assert error == 28
        assert room // 2 < made < 2 * room
    else:
        execution = session.run(LITTER.format("/workspace", 2 * room, "time.sleep(40)"))
        assert execution["status"] == "killed"
        assert "files grew past their limit" in execution["error"]["value"]


@pytest.mark.prop("FS06")
def test_empty_files_in_memory_count_as_memory(house: House, neighbour: Session) -> None:
    session = house.session(limits={**LIMITS, "memory_bytes": 144 * MB})
    assert inside(session, LITTER.format("/tmp", 5000, "")) == [5000, 0]
    execution = session.run(LITTER.format("/dev/shm", 2_000_000, "time.sleep(40)"), timeout_s=50)
    assert ended_for_memory(execution), (execution["status"], execution["error"])


@pytest.mark.prop("RS06")
@pytest.mark.parametrize(
    "code",
    [
        f"with open('/workspace/x', 'wb') as file:\n    for _ in range(25): file.write(bytes({MB}))",
        "open('/workspace/x', 'wb').truncate(1 << 40)",
        "import os; fd = os.open('/workspace/x', os.O_RDWR | os.O_CREAT); os.pwrite(fd, b'x', 1 << 40)",
        f"import os; fd = os.open('/workspace/x', os.O_RDWR | os.O_CREAT); os.posix_fallocate(fd, 0, 25 * {MB})",
        f"open('/dev/shm/x', 'wb').write(bytes(25 * {MB}))",
    ],
    ids=["written", "sparse", "far", "reserved", "in-memory"],
)
def test_files_end_at_their_limit_with_a_hint(session: Session, code: str) -> None:
    for path in ("/workspace", "/dev/shm"):
        assert session.value(f"print(open('{path}/small', 'wb').write(bytes(20 * {MB})))") == f"{20 * MB}\n"
        session.run(f"import os; os.remove('{path}/small')")
    execution = session.run(code)
    assert execution["error"]["name"] == "OSError", execution
    assert "File too large" in execution["error"]["value"]
    assert "file_bytes" in execution["error"]["hint"]
    assert session.value("print('on')") == "on\n"


@pytest.mark.prop("RS06")
def test_a_flood_of_output_is_cut_and_fills_no_file_of_the_host(world: World, house: House, neighbour: Session) -> None:
    session = house.session(limits={**LIMITS, "output_bytes": MB})
    session.run("1")
    before = stored(world.gateway.data_dir / "run")
    execution = session.run(
        f"""
import os, sys
for _ in range(64):
    print('x' * {MB})
    os.write(1, b'y' * {MB}); os.write(2, b'z' * {MB})
""",
        timeout_s=50,
    )
    assert execution["status"] == "completed"
    kept = sum(len(output.get("text", "")) for output in execution["outputs"])
    assert MB // 2 < kept < 2 * MB
    assert any("left out" in output.get("text", "") for output in execution["outputs"])
    assert stored(world.gateway.data_dir / "run") - before < MB
