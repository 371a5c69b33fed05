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

ROOT = Path(__file__).parents[2]
MACHINE = os.uname().machine
# socket(2) says EINVAL to it before it looks for a protocol, whatever families this kernel was built with.
NO_SUCH_TYPE = 15
CLONE_SIGHAND = 0x800
UMASK = {"x86_64": 95, "aarch64": 166}[MACHINE]
MSEAL = 462
KERNEL = tuple(int(part) for part in os.uname().release.split(".")[:2])
NAMESPACES = {
    "NS": 0x20000,
    "CGROUP": 0x2000000,
    "UTS": 0x4000000,
    "IPC": 0x8000000,
    "USER": 0x10000000,
    "PID": 0x20000000,
    "NET": 0x40000000,
}

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


def has_all_capabilities() -> bool:
    status = Path("/proc/self/status").read_text()
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return effective + 1 == 2 << int(Path("/proc/sys/kernel/cap_last_cap").read_text())


# name of the call, errno under the filter, arguments with which it does nothing and fails otherwise without one.
Probe = tuple[str, int, tuple[int, ...]]

FOR_ALL: dict[str, Probe] = {
    "unshare": ("unshare", errno.EPERM, (1,)),
    "setns": ("setns", errno.EPERM, (-1, 0)),
    "mount": ("mount", errno.EPERM, (0, 0, 0, 0, 0)),
    "umount": ("umount2", errno.EPERM, (0, 0)),
    "chroot": ("chroot", errno.EPERM, (0,)),
    "ptrace": ("ptrace", errno.EPERM, (2, 0, 0, 0)),
    "process_vm_readv": ("process_vm_readv", errno.EPERM, (1, 0, 0, 0, 0, 1)),
    "process_vm_writev": ("process_vm_writev", errno.EPERM, (1, 0, 0, 0, 0, 1)),
    "pidfd_getfd": ("pidfd_getfd", errno.EPERM, (-1, 0, 0)),
    "kcmp": ("kcmp", errno.EPERM, (0, 0, 0, 0, 0)),
    "process_madvise": ("process_madvise", errno.EPERM, (-1, 0, 0, 0, 1)),
    "userfaultfd": ("userfaultfd", errno.EPERM, (0xFF,)),
    "perf_event_open": ("perf_event_open", errno.EPERM, (0, 0, 0, 0, -1)),
    "keyctl": ("keyctl", errno.EPERM, (999,)),
    "add_key": ("add_key", errno.EPERM, (0, 0, 0, 0, 0)),
    "request_key": ("request_key", errno.EPERM, (0, 0, 0, 0)),
    "memfd_secret": ("memfd_secret", errno.EPERM, (0xFF,)),
    "name_to_handle_at": ("name_to_handle_at", errno.EPERM, (-1, 0, 0, 0, -1)),
    "personality": ("personality", errno.EPERM, (0x0040000,)),
    "clone3": ("clone3", errno.ENOSYS, (0, 0)),
    "io_uring_setup": ("io_uring_setup", errno.ENOSYS, (0, 0)),
    "tiocsti": ("ioctl", errno.EPERM, (-1, 0x5412, 0)),
    "tiocsti-high": ("ioctl", errno.EPERM, (-1, 0x5412 | 1 << 32, 0)),
    "tioclinux": ("ioctl", errno.EPERM, (-1, 0x541C, 0)),
    "tiocsetd": ("ioctl", errno.EPERM, (-1, 0x5423, 0)),
    "character-device": ("mknodat", errno.EPERM, (-100, 0, 0o020600, 0x103)),
    "block-device": ("mknodat", errno.EPERM, (-100, 0, 0o060600, 0x103)),
    **{f"clone-{name}": ("clone", errno.EPERM, (flag | CLONE_SIGHAND, 0)) for name, flag in NAMESPACES.items()},
    **{
        f"socket-{family}": ("socket", errno.EAFNOSUPPORT, (family, NO_SUCH_TYPE, 0))
        for family in [0, *range(3, 10), *range(11, 16), *range(17, 46), 38 | 1 << 32]
    },
    "netlink-netfilter": ("socket", errno.EAFNOSUPPORT, (16, NO_SUCH_TYPE, 12)),
    "sctp": ("socket", errno.EAFNOSUPPORT, (2, 1, 132)),
    "socketpair": ("socketpair", errno.EAFNOSUPPORT, (38, NO_SUCH_TYPE, 0, 0)),
}
# Without capabilities the kernel itself says EPERM to these, so that only root can tell the filter from it.
FOR_ROOT: dict[str, Probe] = {
    "pivot_root": ("pivot_root", errno.EPERM, (0, 0)),
    "bpf": ("bpf", errno.EPERM, (999, 0, 0)),
    "open_by_handle_at": ("open_by_handle_at", errno.EPERM, (-1, 0, 0)),
    "fanotify_init": ("fanotify_init", errno.EPERM, (0xFFFFFFFF, 0)),
    "init_module": ("init_module", errno.EPERM, (0, 0, 0)),
    "finit_module": ("finit_module", errno.EPERM, (-1, 0, 0xFF)),
    "delete_module": ("delete_module", errno.EPERM, (0, 0)),
    "kexec_load": ("kexec_load", errno.EPERM, (0, 0, 0, 0xFFFF)),
    "reboot": ("reboot", errno.EPERM, (0, 0, 0, 0)),
    "swapon": ("swapon", errno.EPERM, (0, 0)),
    "swapoff": ("swapoff", errno.EPERM, (0,)),
    "acct": ("acct", errno.EPERM, (1,)),
    "quotactl": ("quotactl", errno.EPERM, (0xFFFF, 0, 0, 0)),
    "syslog": ("syslog", errno.EPERM, (99, 0, 0)),
    "settimeofday": ("settimeofday", errno.EPERM, (1, 0)),
    "clock_settime": ("clock_settime", errno.EPERM, (99, 0)),
    "adjtimex": ("adjtimex", errno.EPERM, (0,)),
    "sethostname": ("sethostname", errno.EPERM, (0, -1)),
    "setdomainname": ("setdomainname", errno.EPERM, (0, -1)),
}
ONLY_X86: dict[str, Probe] = {"modify_ldt": ("modify_ldt", errno.EPERM, (0, 0, 0))}
PROBES = FOR_ALL | (FOR_ROOT if has_all_capabilities() else {}) | (ONLY_X86 if MACHINE == "x86_64" else {})

# The same kinds of call with arguments that the filter lets through: what the kernel says is all that is heard.
LET_THROUGH: dict[str, Probe] = {
    "ioctl": ("ioctl", errno.EBADF, (-1, 0x541B, 0)),
    "unix": ("socket", errno.EINVAL, (1, NO_SUCH_TYPE, 0)),
    "route": ("socket", errno.EINVAL, (16, NO_SUCH_TYPE, 0)),
    "tcp": ("socket", 0, (2, 1, 6)),
    "udp": ("socket", 0, (2, 2, 0)),
    "pair": ("socketpair", errno.EFAULT, (1, NO_SUCH_TYPE, 0, 0)),
    "process": ("clone", errno.EINVAL, (CLONE_SIGHAND, 0)),
    "which-personality": ("personality", 0, (0xFFFFFFFF,)),
    "fifo": ("mknodat", errno.EFAULT, (-100, 0, 0o010600, 0)),
}


@pytest.fixture(scope="module")
def numbers() -> dict[str, int]:
    names = {name for name, _, _ in (PROBES | LET_THROUGH).values()}
    code = (
        f"import json, seccomp; print(json.dumps({{n: seccomp.resolve_syscall(seccomp.Arch(), n) for n in {names}}}))"
    )
    out = subprocess.run(["/usr/bin/python3", "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    return {str(name): int(number) for name, number in json.loads(out).items()}


def answers(setup: str, numbers: dict[str, int]) -> dict[str, int]:
    """The errno of every probe, in one process."""
    calls = {key: (numbers[name], *arguments) for key, (name, _, arguments) in (PROBES | LET_THROUGH).items()}
    return facts(setup + f"say(**{{key: call(*values) for key, values in {calls!r}.items()}})")


@pytest.fixture(scope="module")
def filtered(numbers: dict[str, int]) -> dict[str, int]:
    return answers(LOADED, numbers)


@pytest.fixture(scope="module")
def free(numbers: dict[str, int]) -> dict[str, int]:
    return answers("", numbers)


@pytest.mark.parametrize("probe", PROBES)
def test_refused(probe: str, filtered: dict[str, int], free: dict[str, int]) -> None:
    wanted = PROBES[probe][1]
    assert errno.errorcode[filtered[probe]] == errno.errorcode[wanted]
    assert free[probe] != wanted, "without the filter it fails alike: this shows nothing"


@pytest.mark.parametrize("probe", LET_THROUGH)
def test_let_through(probe: str, filtered: dict[str, int], free: dict[str, int]) -> None:
    assert filtered[probe] == free[probe] == LET_THROUGH[probe][1]


@pytest.mark.parametrize("profile", ["default", "strict"])
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
