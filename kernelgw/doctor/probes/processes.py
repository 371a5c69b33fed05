"""What a session's processes are, and what they may do to themselves and others. Runs inside a session."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import pty
import resource
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

from . import tools

# How much of a secret is searched for at once, and how much memory.
HEAD, PIECE = 6, 1 << 20
GIVEN_BY_GVISOR = "HOME=/"


def nothing_may_be_done_as_root(expected: tools.Expected) -> str | None:
    found = tools.status()
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        if int(found[name], 16):
            return f"{name} is {found[name]}"
    if found["NoNewPrivs"] != "1" or found["Seccomp"] != "2":
        return f"NoNewPrivs {found['NoNewPrivs']}, Seccomp {found['Seccomp']}"
    return None


def one_id_and_no_other(expected: tools.Expected) -> str | None:
    ids = set(os.getresuid()) | set(os.getresgid())
    with open("/proc/self/uid_map") as file:
        rows = [line.split() for line in file]
    # What gVisor shows of ids is its own; there is nothing in it to be mapped to.
    one = len(rows) == 1 and (rows[0][2] == "1" or tools.in_gvisor())
    if 0 in ids or len(ids) != 1 or not one:
        return f"ids {ids}, map {rows}"
    return None


def only_own_processes(expected: tools.Expected) -> str | None:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    if os.getppid() not in (0, 1) or len(pids) > 200 or max(pids) > 100_000:
        return f"{len(pids)} processes, parent {os.getppid()}"
    return None


def ids_cannot_be_changed(expected: tools.Expected) -> str | None:
    changes: list[tuple[Any, Any]] = [(os.setuid, 0), (os.setgid, 0), (os.seteuid, 0), (os.setgroups, [0])]
    for function, value in changes:
        try:
            function(value)
        except OSError:
            continue
        return f"{function.__name__} went through"
    data = struct.pack("=6I", *[0xFFFFFFFF] * 6)
    header = struct.pack("=Ii", 0x20080522, 0)
    return tools.refused("capset", header, data)


def no_new_namespaces(expected: tools.Expected) -> str | None:
    def try_all() -> str:
        for name, flag in tools.NAMESPACES.items():
            if tools.LIBC.unshare(flag) == 0:
                return f"unshare {name}"
        return "" if tools.call("clone3", None, 0) in (errno.ENOSYS, errno.EPERM) else "clone3"

    return tools.in_child(try_all)[0]


def no_other_namespaces(expected: tools.Expected) -> str | None:
    for name, flag in tools.NAMESPACES.items():
        for pid in ("1", "self"):
            try:
                fd = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
            except OSError:
                continue
            code = tools.call("setns", fd, flag)
            os.close(fd)
            if code not in tools.REFUSED:
                return f"setns {name} of {pid}: {code}"
    return None


def processes_cannot_be_looked_into(expected: tools.Expected) -> str | None:
    child = subprocess.Popen(["/bin/sleep", "60"])
    try:
        attached = tools.refused("ptrace", 16, child.pid, 0, 0)
    finally:
        child.kill()
        child.wait()
    return tools.first(
        attached,
        tools.refused("process_vm_readv", os.getpid(), None, 0, None, 0, 0),
        tools.refused("process_vm_writev", os.getpid(), None, 0, None, 0, 0),
        tools.refused("pidfd_getfd", 0, 0, 0),
    )


def the_kernel_hides_from_what_it_starts(expected: tools.Expected) -> str | None:
    # gVisor shows the environment that a process was started with, which is that of pid 1: nobody's.
    names = "mem" if tools.in_gvisor() else "environ mem"
    script = f"for f in {names}; do head -c 1 /proc/{os.getpid()}/$f >/dev/null 2>&1 && echo $f; done"
    return subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True).stdout.strip()


def no_secret_in_any_environment(expected: tools.Expected) -> str | None:
    for pid in ("self", "1", *(name for name in os.listdir("/proc") if name.isdigit())):
        for name in ("environ", "cmdline"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    text = file.read().decode(errors="replace")
            except OSError:
                continue
            for secret in expected.get("secrets", ()):
                if secret in text:
                    return f"{secret!r} in {name} of {pid}"
            if pid == "1" and name == "environ" and text.strip("\0") not in ("", GIVEN_BY_GVISOR):
                return f"pid 1 has an environment: {text[:80]!r}"
    return None


def pid_1_cannot_be_killed(expected: tools.Expected) -> str | None:
    try:
        os.kill(1, signal.SIGKILL)
    except OSError:
        return None
    time.sleep(0.001)
    return None if os.path.exists("/proc/1") else "gone"


def memory_holds_no_secret(expected: tools.Expected) -> str | None:
    """`backwards`: what must not be found, written so that to ask for it does not put it there."""
    for text in expected.get("backwards", ()):
        for line in tools.lines("/proc/self/maps"):
            span, rights, _, _, inode, *name = line.split()
            if rights == "rw-p" and inode == "0" and _within(span, text):
                return f"found in {name[0] if name else 'memory of no name'}"
    return None


def _within(span: str, backwards: str) -> bool:
    """Looked for by its first letters; the rest is compared one by one, so that it never stands here in one piece."""
    start, end = (int(part, 16) for part in span.split("-"))
    first = backwards[-HEAD:][::-1].encode()
    for begin in range(start, end, PIECE):
        piece = ctypes.string_at(begin, min(PIECE + len(backwards), end - begin))
        at = piece.find(first)
        while at >= 0:
            if all(
                piece[at + place : at + place + 1] == letter.encode()
                for place, letter in enumerate(reversed(backwards))
            ):
                return True
            at = piece.find(first, at + 1)
    return False


def no_higher_rank(expected: tools.Expected) -> str | None:
    def try_all() -> str:
        before = int(tools.lines("/proc/self/oom_score_adj")[0])
        raises: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
            "nice": (os.setpriority, (os.PRIO_PROCESS, 0, -5)),
            "real time": (os.sched_setscheduler, (0, os.SCHED_FIFO, os.sched_param(1))),
            "core files": (resource.setrlimit, (resource.RLIMIT_CORE, (1 << 30, 1 << 30))),
            "oom score": (_write, ("/proc/self/oom_score_adj", str(before - 100))),
        }
        if tools.in_gvisor():
            # A number that its kernel keeps and nobody reads.
            del raises["nice"]
        for name, (action, values) in raises.items():
            try:
                action(*values)
            except (OSError, ValueError):
                continue
            return name
        return ""

    return tools.in_child(try_all)[0]


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def nothing_can_be_typed(expected: tools.Expected) -> str | None:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        pass
    else:
        return "there is a terminal"

    def type_something() -> str:
        os.setsid()
        _, name = pty.openpty()
        fcntl.ioctl(name, 0x540E, 0)
        try:
            fcntl.ioctl(name, 0x5412, b"x")
        except OSError:
            return ""
        return "TIOCSTI went through"

    return tools.in_child(type_something)[0]


def no_keyrings(expected: tools.Expected) -> str | None:
    return tools.first(
        tools.refused("keyctl", 0, -3, 0), tools.refused("add_key", b"user", b"kernelgw-probe", b"x", 1, -2)
    )


def a_crash_leaves_nothing(expected: tools.Expected) -> str | None:
    if resource.getrlimit(resource.RLIMIT_CORE) != (1, 1):
        return f"the limit on core files is {resource.getrlimit(resource.RLIMIT_CORE)}"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["/bin/sh", "-c", "kill -SEGV $$"], cwd=folder, check=False)
        return ", ".join(os.listdir(folder))


PROBES = (
    ("PR01", nothing_may_be_done_as_root),
    ("PR02", one_id_and_no_other),
    ("PR03", only_own_processes),
    ("PR04", ids_cannot_be_changed),
    ("PR05", no_new_namespaces),
    ("PR06", no_other_namespaces),
    ("PR07", processes_cannot_be_looked_into),
    ("PR08", the_kernel_hides_from_what_it_starts),
    ("PR09", no_secret_in_any_environment),
    ("PR10", memory_holds_no_secret),
    ("PR11", pid_1_cannot_be_killed),
    ("PR12", no_higher_rank),
    ("PR13", nothing_can_be_typed),
    ("PR14", no_keyrings),
    ("PR17", a_crash_leaves_nothing),
)
