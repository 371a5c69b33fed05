"""One session uses up all that it can get: it ends at its limits, is told so, and the others notice nothing.

In each way of running a gateway that forks its kernels: how they start makes no difference to what they may use. Where
something holds only in some of these, the test says in which.
"""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.live import proc
from tests.live.client import JSON, House, Session, problem, text
from tests.live.gateway import Gateway

from . import matrix
from .conftest import World
from .remains import Remains, groups_of, remains, settled, stored

# Gateways start and stop in here, several at a time when the whole suite runs.
pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

MB = 1 << 20
GRACE_S = 1.0
LIMITS = {
    "memory_bytes": 512 * MB,
    "processes": 48,
    "open_files": 128,
    "file_bytes": 24 * MB,
    "workspace_bytes": 32 * MB,
    "tmp_bytes": 16 * MB,
}
FORKING = [each for each in matrix.configurations() if each.start == "fork"]


@pytest.fixture(scope="module", params=FORKING, ids=str)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with matrix.gateway(request.param, grace_s=GRACE_S) as gateway:
        gateway.remember_baseline()
        yield World(request.param, gateway)


@pytest.fixture(autouse=True)
def patience(house: House) -> None:
    house.client.timeout = httpx.Timeout(100)


@pytest.fixture
def session(house: House) -> Session:
    return house.session(limits=LIMITS)


@pytest.fixture
def neighbour(house: House) -> Iterator[Session]:
    """Has a variable before; afterwards it still has it, others can start, and the gateway answers."""
    neighbour = house.session()
    neighbour.run("kept = 41")
    yield neighbour
    assert neighbour.value("print(kept + 1)", timeout_s=30) == "42\n"
    assert house.session().value("print('new')", timeout_s=30) == "new\n"
    assert house.client.get("/healthz").status_code == 200


def outside(code: str) -> Any:
    """What the code prints as JSON where nothing limits it."""
    command = [sys.executable, "-c", code]
    return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=50, check=True).stdout)


def inside(session: Session, code: str) -> Any:
    return json.loads(session.value(code, timeout_s=50))


# Memory ----------------------------------------------------------------------------------------------------------

BOMBS = {
    "bytes": f"blocks = []\nwhile True: blocks.append(b'x' * (16 * {MB}))",
    "numpy": f"import numpy\nblocks = []\nwhile True: blocks.append(numpy.ones(16 * {MB}, 'u1'))",
    "one-array": "import numpy\nblock = numpy.ones(1 << 33, 'u1')",
    "shared": f"import mmap\nblock = mmap.mmap(-1, 2048 * {MB})\nwhile True: block.write(b'x' * {MB})",
    "children": f"""
import os, signal
for _ in range(8):
    if os.fork() == 0:
        block = b'x' * (150 * {MB})
        signal.pause()
pid, status = os.wait()
raise MemoryError(f'a child was ended by signal {{status}}')
""",
    # Each of them below its own limit, and together with the memory of the kernel above that.
    "temporary-files": f"""
block = b'x' * (300 * {MB})
for path in ('/dev/shm/a', '/dev/shm/b', '/home/user/a', '/home/user/b'):
    open(path, 'wb').write(b'x' * (20 * {MB}))
more = b'x' * (150 * {MB})
import signal; signal.pause()
""",
    "sockets": f"""
import os, signal, socket
def fill():
    kept = []
    try:
        while True:
            pair = socket.socketpair()
            kept += pair
            for each in pair:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, {MB})
                each.setblocking(False)
                try:
                    while True: each.send(bytes(65536))
                except BlockingIOError:
                    pass
    except OSError:
        signal.pause()
for _ in range(40):
    if os.fork() == 0:
        fill()
pid, status = os.wait()
raise MemoryError(f'a child was ended by signal {{status}}')
""",
    "nameless-files": f"""
import os
fds = []
while True:
    fds.append(os.memfd_create('x'))
    os.write(fds[-1], b'x' * (16 * {MB}))
""",
}


def ended_for_memory(execution: JSON) -> bool:
    error = execution["error"]
    if execution["status"] == "killed":
        return "out of memory" in error["value"] and "less data" in error["hint"] and execution["state_lost"]
    return execution["status"] == "failed" and error["name"] == "MemoryError" and "memory" in error["hint"]


@pytest.mark.prop("RS01")
@pytest.mark.parametrize("bomb", BOMBS)
def test_memory_ends_at_the_limit_with_the_reason(
    world: World, session: Session, neighbour: Session, bomb: str
) -> None:
    assert session.value(f"block = b'x' * (250 * {MB}); print(len(block)); del block") == f"{250 * MB}\n"
    execution = session.run(BOMBS[bomb], timeout_s=40)
    if bomb == "nameless-files" and world.configuration.cgroups == "none":
        # Nobody could count them, so there are none.
        assert execution["error"]["name"] == "OSError"
        assert "not implemented" in execution["error"]["value"]
    else:
        assert ended_for_memory(execution), (execution["status"], execution["error"])
        assert bomb != "children" or execution["status"] == "killed" or "signal 9" in execution["error"]["value"]
    again = session.run("print('again')")
    if again["status"] == "killed":
        # What an exception left in variables was still too much for the watchdog.
        assert world.configuration.cgroups == "none"
        assert ended_for_memory(again)
        again = session.run("print('again')")
    assert text(again) == "again\n"


@pytest.mark.prop("RS01")
def test_a_program_that_takes_all_memory_is_told_of(session: Session, neighbour: Session) -> None:
    """It is ended, or its session's kernel is; the cell that started it hears of it either way."""
    program = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', {!r}], check=True, capture_output=True)"
    assert session.run(program.format(f"len(b'x' * (250 * {MB}))"))["status"] == "completed"
    execution = session.run(program.format(BOMBS["bytes"]), timeout_s=40)
    error = execution["error"]
    if execution["status"] == "failed" and error["name"] == "CalledProcessError":
        assert "SIGKILL" in error["value"] or "status 1" in error["value"]
        assert "SIGKILL" not in error["value"] or "memory" in error["hint"]
    else:
        assert ended_for_memory(execution), (execution["status"], execution["error"])
    assert session.value("print('again')") == "again\n"


@pytest.mark.prop("RS07")
def test_what_temporary_files_hold_comes_back_with_a_fresh_kernel(world: World, session: Session) -> None:
    """With what it held, the fresh kernel could not have what it takes here."""
    fill = f"""
import os
for path in ('/tmp/a', '/dev/shm/a', '/dev/shm/b', '/dev/shm/c', '/home/user/a', '/home/user/b', '/home/user/c'):
    try: open(path, 'wb').write(b'x' * (20 * {MB}))
    except OSError: pass
"""
    used = f"""
import os, json
facts = [os.statvfs(path) for path in ('/tmp', '/dev/shm', '/home/user')]
print(sum((each.f_blocks - each.f_bfree) * each.f_frsize for each in facts) // {MB})
"""
    assert int(session.value(used)) <= 1
    before = groups_of(world.gateway.data_dir).memory()
    session.run(fill)
    assert int(session.value(used)) > 100
    if world.configuration.cgroups != "none":
        assert groups_of(world.gateway.data_dir).memory() > before + 100 * MB
    session.restart()
    assert int(session.value(used)) <= 1
    assert session.value(f"block = b'x' * (300 * {MB}); print(len(block) // {MB})") == "300\n"
    session.value("del block")
    if world.configuration.cgroups != "none":
        groups = groups_of(world.gateway.data_dir)
        proc.wait_until(lambda: groups.memory() < before + 100 * MB, 10, lambda: (before, groups.memory()))


# Processes -------------------------------------------------------------------------------------------------------

FORKS = """
import json, os, signal
children = []
try:
    while len(children) < 2000:
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
    found = 0
except OSError as error:
    found = error.errno
print(json.dumps([len(children), found]))
"""
CLEAR = """
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""
THREADS = """
import threading
over, threads = threading.Event(), []
while len(threads) < 2000:
    threads.append(threading.Thread(target=over.wait, daemon=True))
    threads[-1].start()
"""


@pytest.mark.prop("RS02")
def test_forks_end_at_the_limit(session: Session, neighbour: Session) -> None:
    # Outside, with as much as a session may make and twice that.
    assert outside(FORKS.replace("2000", "96") + CLEAR) == [96, 0]
    made, error = inside(session, FORKS)
    assert LIMITS["processes"] // 2 < made <= LIMITS["processes"]
    assert error == 11
    # While they are all there, others start: the fixture tries. Then it goes on too.
    session.value(CLEAR)
    assert session.value("import subprocess; print(subprocess.getoutput('echo well'))") == "well\n"


@pytest.mark.prop("RS02")
def test_threads_end_at_the_limit_with_a_hint(session: Session, neighbour: Session) -> None:
    execution = session.run(THREADS)
    assert execution["error"]["name"] == "RuntimeError"
    assert "limit on processes and threads" in execution["error"]["hint"]
    made = int(session.value("print(len(threads) - 1); over.set()"))
    assert LIMITS["processes"] // 2 < made <= LIMITS["processes"]


@pytest.mark.prop("RS02")
def test_a_shell_s_fork_bomb_stays_within_and_is_ended_with_its_session(session: Session, neighbour: Session) -> None:
    with session.stream("import subprocess\nsubprocess.run(['bash', '-c', ':(){ :|:& };: ; wait'])") as stream:
        stream.until("execution.started")
        pid = session.look()["kernel"]["pid"]
        proc.wait_until(lambda: len(proc.neighbours(pid)) > LIMITS["processes"] // 2, 20, lambda: proc.neighbours(pid))
        counts = [len(proc.neighbours(pid)) for _ in range(50)]
        assert max(counts) <= LIMITS["processes"] + 2
        assert neighbour.value("print(kept)") == "41\n"
        session.restart()
        stream.until("execution.completed")
    assert session.value("print('again')") == "again\n"


ZOMBIES = """
import json, os
made, error = 0, 0
try:
    while made < 2000:
        if os.fork() == 0: os._exit(0)
        made += 1
except OSError as failure:
    error = failure.errno
print(json.dumps([made, error]))
"""
ORPHANS = """
import json, os
made, error = 0, 0
try:
    while made < 120:
        child = os.fork()
        if child == 0:
            os.fork()
            os._exit(0)
        os.waitpid(child, 0)
        made += 1
except OSError as failure:
    error = failure.errno
print(json.dumps([made, error]))
"""


@pytest.mark.prop("RS10")
def test_zombies_are_bounded_and_orphans_reaped(session: Session, neighbour: Session) -> None:
    # A hundred and more that nobody waits for come and go; their slots come back.
    assert inside(session, ORPHANS) == [120, 0]
    made, error = inside(session, ZOMBIES)
    assert LIMITS["processes"] // 2 < made <= LIMITS["processes"]
    assert error == 11
    assert outside(ZOMBIES.replace("2000", "96")) == [96, 0]


# Processor time --------------------------------------------------------------------------------------------------

BUSY = """
import os, resource, time
children = []
for _ in range({loops}):
    child = os.fork()
    if child == 0:
        end = time.monotonic() + {seconds}
        while time.monotonic() < end: pass
        os._exit(0)
    children.append(child)
for child in children: os.waitpid(child, 0)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime)
"""
PERIOD_S, QUOTA = 0.1, 0.25


@pytest.mark.prop("RS03")
def test_cores_are_held_to_the_quota(world: World, house: House) -> None:
    """By the group's own count: of periods, in each of which it may have its part, and of those in which it wanted
    more."""
    if world.configuration.cgroups == "none":
        # Nothing would hold it, so nobody is told that it is held.
        asked = house.client.put("/v1/sessions/quota", json={"limits": {"cpus": QUOTA}})
        assert "cpus cannot be held here" in problem(asked, 400, "bad_request")["message"]
        return
    free, held = house.session(limits=LIMITS), house.session(limits={**LIMITS, "cpus": QUOTA})
    for session in (free, held):
        session.run("1")
    before, unlimited = groups_of(world.gateway.data_dir).cpu(held), groups_of(world.gateway.data_dir).cpu(free)
    used = float(held.value(BUSY.format(loops=4, seconds=1.5), timeout_s=50))
    after = groups_of(world.gateway.data_dir).cpu(held)
    periods = after["nr_periods"] - before["nr_periods"]
    assert after["nr_throttled"] > before["nr_throttled"]
    assert used <= (periods + 2) * PERIOD_S * QUOTA * 1.1
    # The same without a quota is never held back.
    assert float(free.value(BUSY.format(loops=4, seconds=0.5), timeout_s=50)) > 0
    assert groups_of(world.gateway.data_dir).cpu(free).get("nr_throttled", 0) == unlimited.get("nr_throttled", 0) == 0


@pytest.mark.prop("RS03")
def test_busy_loops_leave_neighbours_their_part(session: Session, neighbour: Session) -> None:
    with session.stream(BUSY.format(loops=8, seconds=300)) as stream:
        stream.until("execution.started")
        for number in range(20):
            assert neighbour.value(f"print(kept + {number})") == f"{41 + number}\n"
        session.restart()
        stream.until("execution.completed", status="killed")


STUBBORN = """
import signal, subprocess
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGXCPU, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
child = subprocess.Popen(['sleep', '1000'], start_new_session=True)
print('deaf', flush=True)
while True:
    try:
        while True: pass
    except BaseException:
        pass
"""


@pytest.mark.prop("RS04")
def test_a_cell_that_ignores_every_signal_is_killed_at_its_deadline(session: Session, neighbour: Session) -> None:
    session.run("polite = 1")
    execution = session.run("while True: pass", timeout_s=1)
    assert (execution["status"], execution["state_lost"]) == ("timed_out", False)
    assert session.value("print(polite)") == "1\n"
    pid = session.look()["kernel"]["pid"]
    with session.stream(STUBBORN, timeout_s=2) as stream:
        stream.until_text("deaf")
        everything = {each: proc.started_at(each) or "" for each in proc.neighbours(pid)}
        assert len(everything) >= 3
        end = stream.until("execution.completed").data
    assert (end["status"], end["state_lost"]) == ("timed_out", True)
    assert "ran past its deadline" in end["error"]["value"]
    assert "fresh kernel" in end["error"]["hint"]
    # Not before its grace was over.
    assert end["duration_s"] >= 2 + GRACE_S
    proc.wait_until(lambda: not proc.still_there(everything), 5, lambda: proc.still_there(everything))


# Descriptors -----------------------------------------------------------------------------------------------------

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


# Queues and the like ---------------------------------------------------------------------------------------------

QUEUES = """
import ctypes, json, os
rt = ctypes.CDLL('librt.so.1', use_errno=True)
def queue(name):
    fd = rt.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, None)
    error = 0 if fd >= 0 else ctypes.get_errno()
    if fd >= 0: rt.mq_unlink(name)
    return error
libc = ctypes.CDLL(None, use_errno=True)
def lock(size):
    block = ctypes.create_string_buffer(size)
    error = 0 if libc.mlock(block, ctypes.c_size_t(size)) == 0 else ctypes.get_errno()
    libc.munlock(block, ctypes.c_size_t(size))
    return error
print(json.dumps([queue(b'/kgw-probe'), lock(16 << 10), lock(1 << 20)]))
"""
SHARED = f"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
held = []
def segment(size):
    made = libc.shmget(0, ctypes.c_size_t(size), 0o1600)
    if made < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    at = libc.shmat(made, None, 0)
    ctypes.memset(at, 1, size)
    libc.shmdt(ctypes.c_void_p(at))
    held.append(made)
segment({MB})
print('one', flush=True)
while True: segment(64 * {MB})
"""


@pytest.mark.prop("RS08")
def test_queues_and_locked_memory_are_limited(session: Session) -> None:
    """No queue at all, and no more locked memory than a key takes."""
    assert outside(QUEUES) == [0, 0, 0]
    queue, few, many = inside(session, QUEUES)
    assert queue == 24
    assert few == 0
    assert many in (1, 12)


@pytest.mark.prop("RS08")
def test_memory_shared_by_name_counts_where_it_can_and_is_absent_elsewhere(
    world: World, session: Session, neighbour: Session
) -> None:
    execution = session.run(SHARED, timeout_s=40)
    if world.configuration.cgroups == "none":
        assert execution["error"]["name"] == "OSError"
        assert "not implemented" in execution["error"]["value"]
    else:
        assert "one\n" in "".join(output.get("text", "") for output in execution["outputs"])
        assert ended_for_memory(execution), (execution["status"], execution["error"])
    assert session.value("print('again')") == "again\n"


# Coming and going ------------------------------------------------------------------------------------------------

LIVELY = """
import subprocess, os
open('/workspace/file', 'w').write('x'); open('/tmp/file', 'w').write('x'); open('/dev/shm/file', 'w').write('x')
left = subprocess.Popen(['sleep', '1000'], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    os.execvp('sleep', ['sleep', '1000'])
print('lively')
"""


@pytest.mark.prop("RS09")
@pytest.mark.slow
def test_forty_sessions_leave_nothing(world: World) -> None:
    gateway = world.gateway

    def one(client: httpx.Client, number: int) -> None:
        session = Session(client, f"{uuid.uuid4().hex}.{number}")
        session.create(limits=LIMITS) if number % 2 else None
        assert session.value(LIVELY) == "lively\n"
        if number % 3 == 0:
            session.restart()
            assert session.value("print('again')") == "again\n"
        session.delete()

    with gateway.client() as client:
        one(client, 0)
    gateway.wait_ready()
    before = settled(gateway.pid, gateway.data_dir)
    with gateway.client() as client, ThreadPoolExecutor(4) as threads:
        list(threads.map(functools.partial(one, client), range(40)))
    gateway.wait_ready()
    proc.wait_until(lambda: not grown(gateway, before), 15, lambda: grown(gateway, before))


@pytest.mark.prop("RS09")
def test_sessions_that_are_ended_while_they_start_leave_nothing(world: World) -> None:
    """At once, when the start has begun, and when it is over."""
    gateway = world.gateway
    with gateway.client() as client:
        # The first of its size has a file system made, which is kept as a pattern.
        first = Session(client, uuid.uuid4().hex)
        first.create(limits=LIMITS)
        first.run("1")
        first.delete()
    gateway.wait_ready()
    before = settled(gateway.pid, gateway.data_dir)
    with gateway.client() as client:
        for number in range(12):
            session = Session(client, f"{uuid.uuid4().hex}.{number}")
            session.create(limits=LIMITS)
            with session.stream("print('never mind')") as stream:
                if number % 3 == 1:
                    proc.wait_until(functools.partial(has_begun, session), 10, "it does not start")
                elif number % 3 == 2:
                    stream.until("execution.started")
                session.delete()
                assert stream.until("execution.completed")
    gateway.wait_ready()
    proc.wait_until(lambda: not grown(gateway, before), 15, lambda: grown(gateway, before))


def has_begun(session: Session) -> bool:
    return bool(session.look()["state"] != "new")


def grown(gateway: Gateway, before: Remains) -> dict[str, int]:
    return remains(gateway.pid, gateway.data_dir).more_than(before)


@pytest.mark.prop("RS11")
@pytest.mark.parametrize("configuration", FORKING, ids=str)
def test_what_a_killed_gateway_leaves_is_found_and_cleared(configuration: matrix.Configuration) -> None:
    with matrix.gateway(configuration) as gateway:
        with gateway.client() as client:
            for name in ("one", "two"):
                session = Session(client, name)
                session.create(limits=LIMITS) if name == "one" else None
                assert session.value(LIVELY) == "lively\n"
        fresh = re.compile(r"[0-9a-f]{32}")
        workspaces = {path.name for path in (gateway.data_dir / "workspaces").iterdir() if fresh.fullmatch(path.name)}
        groups = set(groups_of(gateway.data_dir).names())
        left = gateway.kill()
        # All of it is really there, or its absence would mean nothing.
        assert len(proc.still_there(left)) >= 6
        gateway.start()
        proc.wait_until(lambda: not proc.still_there(left), 5, lambda: proc.still_there(left))
        assert not workspaces & {path.name for path in (gateway.data_dir / "workspaces").iterdir()}
        assert not groups & set(groups_of(gateway.data_dir).names())
        gateway.remember_baseline()
        assert settled(gateway.pid, gateway.data_dir).loops <= 1
        with gateway.client() as client:
            assert Session(client, "one").value("import os; print(os.listdir('/workspace'))") == "[]\n"
            Session(client, "one").delete()


def test_a_signal_that_nobody_sent_is_not_called_out_of_memory(session: Session) -> None:
    """The control of all that say so above."""
    with session.stream("print('up', flush=True)\nimport signal; signal.pause()") as stream:
        stream.until_text("up")
        os.kill(session.look()["kernel"]["pid"], signal.SIGKILL)
        end = stream.until("execution.completed").data
    assert end["status"] == "killed"
    assert "memory" not in end["error"]["value"]
