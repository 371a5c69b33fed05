"""Memory, whatever it is taken by, ends at the limit with that as the reason."""

from __future__ import annotations

import os
import signal

import pytest

from tests.live import proc
from tests.live.client import Session, text

from ..conftest import World
from ..remains import groups_of
from .limits import MB, ended_for_memory, inside, outside

# Gateways start and stop in here, several at a time when the whole suite runs.
pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


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
        if execution["status"] == "killed" and world.configuration.cgroups != "none":
            assert "It may have 512 MiB, and used" in execution["error"]["value"]
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


def test_a_signal_that_nobody_sent_is_not_called_out_of_memory(session: Session) -> None:
    """The control of all that say so above."""
    with session.stream("print('up', flush=True)\nimport signal; signal.pause()") as stream:
        stream.until_text("up")
        os.kill(session.look()["kernel"]["pid"], signal.SIGKILL)
        end = stream.until("execution.completed").data
    assert end["status"] == "killed"
    assert "memory" not in end["error"]["value"]
