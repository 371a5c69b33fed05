"""The filter of this machine in real processes. Each refusal is compared with the same call without the filter."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.security.calls import ALIKE_WITHOUT, LET_THROUGH, MACHINE, PROBES, numbered

ROOT = Path(__file__).parents[2]
UMASK = {"x86_64": 95, "aarch64": 166}[MACHINE]
MSEAL = 462
KERNEL = tuple(int(part) for part in os.uname().release.split(".")[:2])

PRELUDE = """
import ctypes, errno, json, os, subprocess, sys, threading
from kernelgw.sandbox.seccomp import program
from kernels import linux, seccomp
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(*[ctypes.c_long(value) for value in (number, *arguments)])
    return ctypes.get_errno() if result == -1 else 0
def refused(what):
    try:
        what()
    except OSError as error:
        return error.errno
    return 0
def status(name):
    with open('/proc/self/status') as file:
        return next(line.split()[1] for line in file if line.startswith(name + ':'))
def say(**facts):
    print(json.dumps(facts))
linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
"""
LOADED = "seccomp.load(program())\n"


def run(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PRELUDE + code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)


def facts(code: str) -> dict[str, Any]:
    result = run(code)
    assert result.returncode == 0, result
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def answers(setup: str) -> dict[str, int]:
    """The errno of every probe, in one process."""
    calls = numbered(PROBES | LET_THROUGH)
    return facts(setup + f"say(**{{key: call(*values) for key, values in {calls!r}.items()}})")


@pytest.fixture(scope="module")
def filtered() -> dict[str, int]:
    return answers(LOADED)


@pytest.fixture(scope="module")
def free() -> dict[str, int]:
    return answers("")


@pytest.mark.parametrize("probe", PROBES)
def test_refused(probe: str, filtered: dict[str, int], free: dict[str, int]) -> None:
    wanted = PROBES[probe].errno
    assert errno.errorcode[filtered[probe]] == errno.errorcode[wanted]
    assert free[probe] != wanted or probe in ALIKE_WITHOUT, "without the filter it fails alike: this shows nothing"


@pytest.mark.parametrize("probe", LET_THROUGH)
def test_let_through(probe: str, filtered: dict[str, int], free: dict[str, int]) -> None:
    assert filtered[probe] == free[probe] == LET_THROUGH[probe].errno


@pytest.mark.parametrize("profile", ["default", "strict", "uncounted"])
def test_unknown_numbers_are_not_implemented(profile: str) -> None:
    # A number that the kernel knows and the profile does not would show as something else when free.
    code = (
        f"seccomp.load(program({profile!r}))\nsay(mode=status('Seccomp'), errnos=[call(n) for n in range(1000, 1010)])"
    )
    assert facts(code) == {"mode": "2", "errnos": [errno.ENOSYS] * 10}


def test_strict_has_no_sysv_memory_and_default_has() -> None:
    code = """
from multiprocessing import shared_memory
libc.shmget.restype = ctypes.c_int
seccomp.load(program({!r}))
made = libc.shmget(0, ctypes.c_size_t(4096), 0o1600)
error = 0 if made >= 0 else ctypes.get_errno()
if made >= 0: libc.shmctl(made, 0, None)
block = shared_memory.SharedMemory(create=True, size=10)
block.close(); block.unlink()
say(error=error)
"""
    assert facts(code.format("default")) == {"error": 0}
    assert facts(code.format("strict")) == {"error": errno.ENOSYS}


def test_where_nothing_counts_buffers_they_keep_the_size_that_they_have() -> None:
    code = """
import socket
seccomp.load(program({!r}))
one, other = socket.socketpair()
one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
asked = [one.getsockopt(socket.SOL_SOCKET, name) for name in (socket.SO_SNDBUF, socket.SO_RCVBUF, socket.SO_KEEPALIVE)]
kept = [other.getsockopt(socket.SOL_SOCKET, name) for name in (socket.SO_SNDBUF, socket.SO_RCVBUF)]
say(asked=asked, kept=kept)
"""
    free, held = facts(code.format("default")), facts(code.format("uncounted"))
    assert free["asked"] == [16384, 16384, 1]
    assert held["asked"] == [*held["kept"], 1]


FOREIGN = {
    # i386's getpid, by its own door: mov eax, 20; int 0x80; ret. And x32's, which has bit 30 set.
    "i386": """
import mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex('b814000000cd80c3'))
foreign = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
""",
    "x32": "foreign = lambda: call(0x40000000 | 39)\n",
}


@pytest.mark.parametrize("kind", FOREIGN if MACHINE == "x86_64" else [])
def test_foreign_architectures_end_the_process(kind: str) -> None:
    free = run(FOREIGN[kind] + "foreign(); say()")
    assert free.returncode != -signal.SIGSYS, free
    # In a thread, so that it is seen to end the whole process.
    threaded = "thread = threading.Thread(target=foreign); thread.start(); thread.join(); say()"
    result = run(FOREIGN[kind] + LOADED + threaded)
    assert result.returncode == -signal.SIGSYS
    assert result.stdout == ""


def test_it_stays_and_a_second_filter_only_narrows() -> None:
    code = """
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7fff0000, 0x50000
def one(operation, operand, true=0, false=0):
    return operation.to_bytes(2, 'little') + bytes((true, false)) + operand.to_bytes(4, 'little')
all_allowed = one(0x06, SECCOMP_RET_ALLOW)
no_umask = one(0x20, 0) + one(0x15, UMASK, 0, 1) + one(0x06, SECCOMP_RET_ERRNO | errno.EACCES) + all_allowed
seccomp.load(program())
off = refused(lambda: linux.prctl(22, 0))
seccomp.load(all_allowed)
unshare = refused(lambda: linux.unshare(1))
before = call(UMASK, 0o77)
seccomp.load(no_umask)
after = call(UMASK, 0o77)
say(off=off, unshare=unshare, before=before, after=after, nnp=refused(lambda: linux.prctl(38, 0)))
"""
    assert facts(code.replace("UMASK", str(UMASK))) == {
        "off": errno.EINVAL,
        "unshare": errno.EPERM,
        "before": 0,
        "after": errno.EACCES,
        "nnp": errno.EINVAL,
    }


def test_programs_that_are_started_have_it_too() -> None:
    code = """
ask = ['grep', 'Seccomp:', '/proc/self/status']
before = subprocess.run(ask, capture_output=True, text=True).stdout.split()
seccomp.load(program())
after = subprocess.run(ask, capture_output=True, text=True).stdout.split()
unshare = subprocess.run(['unshare', '--user', 'true'], capture_output=True, text=True).stderr
say(before=before[1], after=after[1], unshare=unshare)
"""
    found = facts(code)
    assert (found["before"], found["after"]) == ("0", "2")
    assert "not permitted" in found["unshare"]


def test_threads_that_are_there_have_it_too() -> None:
    code = """
go, answer = threading.Event(), []
def wait():
    go.wait()
    answer.append(refused(lambda: linux.unshare(1)))
thread = threading.Thread(target=wait)
thread.start()
seccomp.load(program())
go.set()
thread.join()
say(answer=answer)
"""
    assert facts(code) == {"answer": [errno.EPERM]}


def test_a_thread_with_a_filter_of_its_own_is_an_error() -> None:
    code = """
own, done = threading.Event(), threading.Event()
def alone():
    allow_all = seccomp._Program(1, bytes.fromhex('060000000000ff7f'))
    linux.prctl(22, 2, ctypes.addressof(allow_all))
    own.set()
    done.wait()
thread = threading.Thread(target=alone)
thread.start()
own.wait()
code = refused(lambda: seccomp.load(program()))
done.set()
thread.join()
say(code=code, mode=status('Seccomp'))
"""
    assert facts(code) == {"code": errno.EBUSY, "mode": "0"}


def test_what_is_no_program_is_an_error() -> None:
    code = """
broken = [b'', b'1234567', b'garbage!', bytes.fromhex('060000000000ff7f') * 4097]
say(codes=[refused(lambda: seccomp.load(each)) for each in broken], mode=status('Seccomp'))
"""
    assert facts(code) == {"codes": [errno.EINVAL] * 4, "mode": "0"}
