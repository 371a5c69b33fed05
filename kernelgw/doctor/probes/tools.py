"""What the probes share. Runs inside a session, on its Python and the standard library alone."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
NAMES = (
    *("setns", "mount", "umount2", "pivot_root", "chroot", "ptrace", "process_vm_readv", "process_vm_writev"),
    *("pidfd_getfd", "io_uring_setup", "bpf", "perf_event_open", "userfaultfd", "kexec_load", "init_module"),
    *("finit_module", "reboot", "swapon", "acct", "quotactl", "open_tree", "move_mount", "fsopen", "clone3", "keyctl"),
    *("add_key", "name_to_handle_at", "open_by_handle_at", "kcmp", "fanotify_init", "mount_setattr", "personality"),
    *(
        "mknodat",
        "unshare",
        "capset",
        "syslog",
        "sethostname",
        "setdomainname",
        "clock_settime",
        "settimeofday",
        "adjtimex",
    ),
)
TABLES = MappingProxyType(
    {
        "x86_64": (
            *(308, 165, 166, 155, 161, 101, 310, 311, 438, 425, 321, 298, 323, 246, 175, 313, 169, 167, 163, 179, 428),
            *(429, 430, 435, 250, 248, 303, 304, 312, 300, 442, 135, 259, 272, 126, 103, 170, 171, 227, 164, 159),
        ),
        "aarch64": (
            *(268, 40, 39, 41, 51, 117, 270, 271, 438, 425, 280, 241, 282, 104, 105, 273, 142, 224, 89, 60, 428, 429),
            *(430, 435, 219, 217, 264, 265, 272, 262, 442, 92, 33, 97, 91, 116, 161, 162, 112, 170, 171),
        ),
    }
)
NUMBERS = MappingProxyType(dict(zip(NAMES, TABLES[os.uname().machine], strict=True)))
REFUSED = frozenset({errno.EPERM, errno.ENOSYS, errno.EACCES, errno.ENOSPC})
UNKNOWN = 9999
NAMESPACES = MappingProxyType(
    {"user": 0x10000000, "mnt": 0x00020000, "pid": 0x20000000, "net": 0x40000000, "uts": 0x04000000}
)
Expected = dict[str, Any]
Probe = Callable[[Expected], str | None]


def call(name: str | int, *arguments: Any) -> int:
    """The errno of a system call, 0 when it was let through."""
    number = NUMBERS[name] if isinstance(name, str) else name
    ctypes.set_errno(0)
    values = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return ctypes.get_errno() if LIBC.syscall(ctypes.c_long(number), *values) < 0 else 0


def refused(name: str, *arguments: Any) -> str | None:
    code = call(name, *arguments)
    return None if code in REFUSED else f"{name}: {os.strerror(code) if code else 'went through'}"


def first(*complaints: str | None) -> str | None:
    return next((each for each in complaints if each), None)


def in_child(function: Callable[[], str]) -> tuple[str, int]:
    """What a forked child's `function` returns, or how it ended."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, str(function() or "").encode()[:4000])
        finally:
            LIBC._exit(0)
    os.close(write)
    text = b""
    while piece := os.read(read, 4096):
        text += piece
    os.close(read)
    _, status = os.waitpid(pid, 0)
    return text.decode(), os.waitstatus_to_exitcode(status)


def writable(path: str) -> int:
    name = os.path.join(path, ".kernelgw-probe")
    try:
        with open(name, "w") as file:
            file.write("x")
    except OSError as error:
        return error.errno or -1
    os.unlink(name)
    return 0


def in_gvisor() -> bool:
    """Whether its kernel answers in place of the host's, which has no such file and lets nobody make one."""
    return os.path.exists("/proc/sentry-meminfo")


def entries(path: str) -> list[str]:
    """None where they may not be looked at."""
    try:
        return os.listdir(path)
    except OSError:
        return []


def empty(path: str) -> bool:
    """An ordinary file without content, or a directory without entries."""
    found = os.lstat(path)
    return (stat.S_ISREG(found.st_mode) and found.st_size == 0) or (stat.S_ISDIR(found.st_mode) and not entries(path))


def lines(path: str) -> list[str]:
    with open(path) as file:
        return file.readlines()


def status() -> dict[str, str]:
    found = dict(line.rstrip("\n").split(":\t", 1) for line in lines("/proc/self/status") if ":\t" in line)
    # gVisor has no ambient set, and tells of the other only when asked.
    found.setdefault("CapAmb", "0")
    found.setdefault("NoNewPrivs", str(LIBC.prctl(39, 0, 0, 0, 0)))
    return found
