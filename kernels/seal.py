"""What a forked child does between the fork and its first line of user code.

Two stages, because a pid namespace takes only children: `enter` runs in a middle process that joins the
sandbox and forks once more; `seal` runs in the process that stays. Order matters; each step says why.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
from dataclasses import dataclass, field
from typing import Any

from . import linux

IDENTITY_FILES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")


@dataclass(frozen=True)
class Seal:
    """How a child is closed in. `pid` is the sandbox holder's host pid; None means no sandbox at all."""

    pid: int | None = None
    namespaces: dict[str, int] = field(default_factory=dict)
    uid: int | None = None
    gid: int | None = None
    cwd: str = "/"
    umask: int = 0o077
    limits: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Seal:
        known = {name: data[name] for name in ("uid", "gid", "cwd", "umask", "limits") if name in data}
        return cls(**known)


def enter(seal: Seal) -> None:
    """Joins the sandbox's namespaces as the session's own uid. Needs a single-threaded caller."""
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    if seal.uid is not None and os.geteuid() == 0:
        # Impossible after joining: setgroups is denied inside, and no other id is mapped.
        os.setgroups([])
        os.setresgid(seal.gid or seal.uid, seal.gid or seal.uid, seal.gid or seal.uid)
        os.setresuid(seal.uid, seal.uid, seal.uid)
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
    if seal.pid is not None:
        holder = os.pidfd_open(seal.pid)
        _same_namespaces(seal)
        linux.setns(holder, linux.ALL_NAMESPACES)
        os.close(holder)


def _same_namespaces(seal: Seal) -> None:
    # The holder's pid may have been reused since bubblewrap named it; the inodes cannot lie.
    for name, inode in seal.namespaces.items():
        found = os.stat(f"/proc/{seal.pid}/ns/{name}").st_ino
        if found != inode:
            raise PermissionError(f"namespace {name} of process {seal.pid} is not the sandbox's")


def seal(spec: Seal, keep: list[int]) -> list[int]:
    """Closes this process in and returns `keep` renumbered from 3 upwards, in order.

    Afterwards fds 0, 1, 2 are /dev/null, everything else not kept is closed, no capability and no way to
    gain one is left. Raises OSError when a step fails; the caller must then exit without running anything.
    """
    os.setsid()
    fds = _only(keep)
    os.chdir(spec.cwd)
    os.umask(spec.umask)
    _default_signals()
    for name, value in spec.limits.items():
        number = getattr(resource, f"RLIMIT_{name.upper()}")
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value))
    if spec.pid is not None:
        linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_CLEAR_ALL)
        linux.drop_bounding_set(linux.last_capability())
        linux.clear_capabilities()
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    if spec.pid is not None:
        _audit()
    return fds


def _only(keep: list[int]) -> list[int]:
    # Moved out of the way first, so that renumbering cannot overwrite one that is still to be moved.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 1000) for fd in keep]
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    wanted = list(range(3, 3 + len(high)))
    for source, target in zip(high, wanted, strict=True):
        os.dup2(source, target, inheritable=False)
    # Not by listing /proc/self/fd: a process that is not dumpable may not read it.
    os.closerange(3 + len(high), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    return wanted


def _default_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _audit() -> None:
    with open("/proc/self/status") as file:
        status = dict(line.split(":\t", 1) for line in file if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        if int(status[name], 16) != 0:
            raise PermissionError(f"{name} is not empty after sealing")
    if status["NoNewPrivs"].strip() != "1":
        raise PermissionError("no_new_privs is not set after sealing")
