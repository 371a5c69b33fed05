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
NUMBERS = MappingProxyType(
    {
        "x86_64": {"setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "ptrace": 101}
        | {"process_vm_readv": 310, "process_vm_writev": 311, "pidfd_getfd": 438, "io_uring_setup": 425, "bpf": 321}
        | {"perf_event_open": 298, "userfaultfd": 323, "kexec_load": 246, "init_module": 175, "finit_module": 313}
        | {
            "reboot": 169,
            "swapon": 167,
            "acct": 163,
            "quotactl": 179,
            "open_tree": 428,
            "move_mount": 429,
            "fsopen": 430,
        }
        | {
            "clone3": 435,
            "keyctl": 250,
            "add_key": 248,
            "name_to_handle_at": 303,
            "open_by_handle_at": 304,
            "kcmp": 312,
        }
        | {"fanotify_init": 300, "mount_setattr": 442, "personality": 135, "mknod": 133, "capset": 126},
        "aarch64": {"setns": 268, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "ptrace": 117}
        | {"process_vm_readv": 270, "process_vm_writev": 271, "pidfd_getfd": 438, "io_uring_setup": 425, "bpf": 280}
        | {"perf_event_open": 241, "userfaultfd": 282, "kexec_load": 104, "init_module": 105, "finit_module": 273}
        | {"reboot": 142, "swapon": 224, "acct": 89, "quotactl": 60, "open_tree": 428, "move_mount": 429, "fsopen": 430}
        | {
            "clone3": 435,
            "keyctl": 219,
            "add_key": 217,
            "name_to_handle_at": 264,
            "open_by_handle_at": 265,
            "kcmp": 272,
        }
        | {"fanotify_init": 262, "mount_setattr": 442, "personality": 92, "mknod": 33, "capset": 91},
    }[os.uname().machine]
)
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
