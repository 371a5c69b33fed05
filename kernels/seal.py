"""What a forked child does between the fork and its first line of user code, or before it execs a program.

In stages, because a pid namespace takes only children: `prepare` and `enter` run in a middle process that joins
the sandbox, once it is there, and forks once more; `seal` runs in the process that stays. Order matters; each step
says why.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import os
import resource
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import landlock, linux, seccomp

# Where a session's programs find the way out, when it has one.
PROXY_ADDRESS = ("127.0.0.1", 3128)
# When the whole machine runs short of memory, sessions go before anything else.
OOM_SCORE = "500"
# How an id of outside looks inside, when it is not the session's.
UNMAPPED = "65534"
# In a forked kernel as in any Python, where a broken pipe and a file that is too large are exceptions.
PYTHON_IGNORES = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
UNCHANGEABLE = frozenset({signal.SIGKILL, signal.SIGSTOP})
FIELDS = ("uid", "gid", "cwd", "umask", "limits", "groups", "writable", "nice", "further")


@dataclass(frozen=True)
class Seal:
    """How a child is closed in. `pid` is the sandbox holder's host pid; None means no sandbox at all.

    `groups`: files of the session's cgroups to enter by. `filter`: seccomp program; empty for none.
    `further`: another, in base64.
    `writable`: where Landlock lets it write; empty for no such fence. `limits`: rlimits by name.
    """

    pid: int | None = None
    namespaces: dict[str, int] = field(default_factory=dict)
    uid: int | None = None
    gid: int | None = None
    cwd: str = "/"
    umask: int = 0o077
    limits: dict[str, int] = field(default_factory=dict)
    groups: Sequence[str] = ()
    filter: bytes = b""
    writable: Sequence[str] = ()
    nice: int = 0
    further: str = ""

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Seal:
        return cls(**{name: data[name] for name in FIELDS if name in data})


def prepare(seal: Seal, sandboxed: bool) -> None:
    """Joins the session's cgroups and becomes its uid: all that can be done before there is a sandbox."""
    default_signals()
    linux.plain_personality()
    for path in seal.groups:
        # First of all: memory charged before stays with whoever had it then.
        with open(path, "w") as file:
            file.write("0")
    if sandboxed:
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write(OOM_SCORE)
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    if seal.uid is not None and os.geteuid() == 0:
        # Impossible after joining: setgroups is denied inside, and no other id is mapped.
        os.setgroups([])
        os.setresgid(seal.gid or seal.uid, seal.gid or seal.uid, seal.gid or seal.uid)
        os.setresuid(seal.uid, seal.uid, seal.uid)
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
    if sandboxed:
        # Changing ids forgets it, so only here. Whoever is half sealed does not outlive the fork server.
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)


def enter(seal: Seal, egress: int | None = None, inside: int = -1) -> None:
    """Joins the sandbox's namespaces. `egress`: a socket over which a listener made inside goes out to the proxy.

    Needs a single-threaded caller; `inside`: a pidfd of the holder, of one that was born in
    its pid namespace, where pids are other numbers.
    """
    if seal.pid is None:
        return
    holder = os.pidfd_open(seal.pid) if inside < 0 else inside
    _same_namespaces(seal)
    linux.setns(holder, linux.ALL_NAMESPACES if inside < 0 else linux.ALL_NAMESPACES & ~linux.CLONE_NEWPID)
    os.close(holder)
    if egress is not None:
        _open_egress(egress)


def _same_namespaces(seal: Seal) -> None:
    # The holder's pid may have been reused since bubblewrap named it; the inodes cannot lie.
    for name, inode in seal.namespaces.items():
        found = os.stat(f"/proc/{seal.pid}/ns/{name}").st_ino
        if found != inode:
            raise PermissionError(f"namespace {name} of process {seal.pid} is not the sandbox's")


def _open_egress(handed: int) -> None:
    """The listener belongs to this network namespace wherever it is held: whoever connects is of this session."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(PROXY_ADDRESS)
        listener.listen(128)
        with socket.socket(fileno=os.dup(handed)) as out:
            socket.send_fds(out, [b"listener"], [listener.fileno()])


def only(keep: list[int]) -> list[int]:
    """`keep` renumbered from 3 upwards, in order; 0, 1 and 2 are /dev/null, and nothing else is open."""
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


def seal(spec: Seal, fds: list[int]) -> None:
    """Closes this process in, which holds `fds` and nothing else: no capability and no way to gain one is left.

    Raises OSError when a step fails; the caller must then exit without running anything.
    """
    os.setsid()
    os.chdir(spec.cwd)
    os.umask(spec.umask)
    if spec.nice:
        os.nice(spec.nice)
    if spec.pid is not None:
        linux.join_session_keyring()
    _limit(spec.limits)
    if spec.pid is not None:
        linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_CLEAR_ALL)
        linux.drop_bounding_set(linux.last_capability())
        linux.prctl(linux.PR_SET_SECUREBITS, linux.SECUREBITS)
        linux.clear_capabilities()
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    if spec.pid is not None:
        if spec.writable:
            landlock.restrict(spec.writable)
        if spec.filter:
            seccomp.load(spec.filter)
        if spec.further:
            seccomp.load(base64.b64decode(spec.further))
        _audit(spec, fds)


def default_signals(ignored: frozenset[signal.Signals] = PYTHON_IGNORES) -> None:
    """Whatever the gateway was started with: handlers and ignored signals are inherited."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - UNCHANGEABLE:
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        number = getattr(resource, f"RLIMIT_{name.upper()}")
        hard = resource.getrlimit(number)[1]
        if name == "data":
            # On top of what it has from the fork server, and shares with it.
            value += _data_bytes()
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value))


def _data_bytes() -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmData:"))


def audit() -> None:
    """Looks whether nothing can be gained in a sandbox that was made by others. Raises PermissionError."""
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    # gVisor has no ambient set, and tells of no_new_privs only when asked.
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd"):
        _require(int(status[name], 16) == 0, f"{name} is not empty")
    _require(linux.no_new_privs(), "no_new_privs is not set")
    _require(status["Seccomp"] == "2", "no system call filter is in force")
    _require(0 not in os.getresuid() + os.getresgid(), "it is root")
    _require(not _can_unshare(), "a new user namespace can be made")


def _audit(spec: Seal, fds: list[int]) -> None:
    """Believes nothing of the above; looks. Raises PermissionError."""
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        _require(int(status[name], 16) == 0, f"{name} is not empty")
    _require(status["NoNewPrivs"] == "1", "no_new_privs is not set")
    _require(not spec.filter or status["Seccomp"] == "2", "no system call filter is in force")
    # Without root they cannot be dropped, but none of them means anything in here.
    foreign = set(status["Groups"].split()) - {UNMAPPED, str(os.getegid())}
    _require(not foreign, "supplementary groups are left")
    for name, inode in spec.namespaces.items():
        # The pid namespace of the children is the joined one; this process was born in it.
        _require(os.stat(f"/proc/self/ns/{name}").st_ino == inode, f"namespace {name} is not the sandbox's")
    for fd in range(3 + len(fds), 64):
        _require(not _is_open(fd), f"fd {fd} is open")
    _require(not _can_unshare(), "a new user namespace can be made")


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        raise PermissionError(f"{complaint} after sealing")


def _is_open(fd: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_GETFD)
    except OSError as error:
        return error.errno != errno.EBADF
    return True


def _can_unshare() -> bool:
    try:
        linux.unshare(linux.CLONE_NEWUSER)
    except OSError:
        return False
    return True
