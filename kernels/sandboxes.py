"""Sandboxes as the fork server holds them: a bubblewrap process and the holder that it keeps alive inside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .stage import Stage

# The line it prints is the proof that every mount is in place, since bubblewrap names its pid before it has finished.
# Its SIGCHLD is ignored so that orphans inside are reaped by the kernel itself; by `env`, since dash's own `trap` does
# not ignore that one.
HOLDER = ("/bin/sh", "-c", "echo up; exec /usr/bin/env --ignore-signal=CHLD /bin/sleep infinity >/dev/null 2>&1")

# Enters the session's cgroups and becomes what follows: bubblewrap must be in there before it makes a namespace.
BUILDER = """
IFS='
'
for file in $1; do echo 0 >"$file" || exit 1; done
shift
unset IFS PWD OLDPWD
exec "$@"
"""


@dataclass
class Sandbox:
    """One set of namespaces. `pid` and `namespaces` are known as soon as it has them, before it is up.

    `early` and `waiting`: what is to be done then, and once it is up.
    """

    id: str
    process: subprocess.Popen[bytes]
    info_fd: int
    ready_fd: int
    pid: int | None = None
    namespaces: dict[str, int] = field(default_factory=dict)
    early: list[Callable[[], None]] = field(default_factory=list)
    waiting: list[Callable[[], None]] = field(default_factory=list)
    up: bool = False
    # A pidfd of its first process: readable once all inside has ended.
    holder: int = -1

    def read_ready(self) -> bool:
        """Called when the holder spoke or died. True when the sandbox is up; raises ChildProcessError if not."""
        line = os.read(self.ready_fd, 4096)
        os.close(self.ready_fd)
        self.ready_fd = -1
        if not line.startswith(b"up"):
            raise ChildProcessError(self._complaint())
        self.identify()
        if self.pid is None:
            raise ChildProcessError("bubblewrap did not tell its namespaces")
        self.up = True
        return True

    def identify(self) -> None:
        """Called when bubblewrap has told its namespaces, or died. Raises ValueError, KeyError when it did not tell."""
        if self.info_fd < 0:
            return
        try:
            info = json.loads(_read_all(self.info_fd))
        finally:
            self._close_info()
        self.pid = int(info["child-pid"])
        self.holder = os.pidfd_open(self.pid)
        self.namespaces = {name: int(info[key]) for name, key in _NAMESPACE_KEYS.items() if key in info}

    def _complaint(self) -> str:
        stderr = self.process.stderr
        if stderr is None:
            return "bubblewrap ended"
        self.process.kill()
        text = stderr.read(4000).decode(errors="replace").strip()
        return text or "bubblewrap ended without a word"

    def _close_info(self) -> None:
        if self.info_fd >= 0:
            os.close(self.info_fd)
            self.info_fd = -1

    def kill(self) -> None:
        """Ends everything inside: the kernel kills a pid namespace with its first process."""
        for fd in (self.ready_fd, self.info_fd):
            if fd >= 0:
                os.close(fd)
        self.ready_fd = self.info_fd = -1
        # The group, because a child that bubblewrap has only just made does not yet die with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kills it and collects bubblewrap, whose parent this process is."""
        self.kill()
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


_NAMESPACE_KEYS = MappingProxyType(
    {
        "mnt": "mnt-namespace",
        "pid": "pid-namespace",
        "net": "net-namespace",
        "ipc": "ipc-namespace",
        "uts": "uts-namespace",
        "cgroup": "cgroup-namespace",
    }
)


def build(sandbox_id: str, request: dict[str, Any], stage: Stage) -> Sandbox:
    """Starts bubblewrap with the given arguments; returns at once, the sandbox comes up later.

    `args` and `finish` are bubblewrap's own options; between them come `binds`, each [mode, source, target],
    mode being ro, rw, or image: a file system in a file. `groups`: files to enter cgroups by.
    `files`: [content, target], read-only. The arguments go through a memory file and the environment is empty,
    since both stay readable inside as /proc/1/cmdline and /proc/1/environ.
    """
    # First everything that a request without its fields can fail at, then what would have to be closed again.
    uid: int | None = request.get("uid")
    gid: int | None = request.get("gid") or uid
    binds = []
    for mode, source, target in request["binds"]:
        binds += ["--ro-bind" if mode == "ro" else "--bind", stage.source(mode, source, uid, gid), target]
    before, finish = ([str(option) for option in request[name]] for name in ("args", "finish"))
    groups = request.get("groups", ())
    builder = ["/bin/sh", "-c", BUILDER, "sh", "\n".join(groups)] if groups else []
    command = [*builder, *_as_user(uid, gid), str(request["bwrap"])]
    files = [(_memory_file([text], end=b""), target) for text, target in request.get("files", ())]
    binds += [part for fd, target in files for part in ("--ro-bind-data", str(fd), target)]
    info_read, info_write = os.pipe2(os.O_CLOEXEC)
    ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
    args = _memory_file([*before, *binds, *finish, "--info-fd", str(info_write)])
    try:
        process = subprocess.Popen(
            [*command, "--args", str(args), "--", *HOLDER],
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=ready_write,
            stderr=subprocess.PIPE,
            pass_fds=(info_write, args, *(fd for fd, _ in files)),
            process_group=0,
        )
    except BaseException:
        os.close(info_read)
        os.close(ready_read)
        raise
    finally:
        for fd in (info_write, ready_write, args, *(fd for fd, _ in files)):
            os.close(fd)
    return Sandbox(sandbox_id, process, info_read, ready_read)


def _as_user(uid: int | None, gid: int | None) -> Sequence[str]:
    # Through a helper rather than in the child of fork: setting ids there costs vfork, that is, a copy of
    # this process's page tables for every sandbox. By `chroot`, to where it is anyway, since setpriv(1) first asks
    # for all that there is of capabilities, which takes twice as long.
    if uid is None or os.geteuid() != 0:
        return ()
    return ("/usr/sbin/chroot", f"--userspec=+{uid}:+{gid or uid}", "--groups=", "/")


def _memory_file(args: Sequence[str], end: bytes = b"\0") -> int:
    fd = os.memfd_create("args", os.MFD_CLOEXEC)
    os.write(fd, b"".join(os.fsencode(arg) + end for arg in args))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _read_all(fd: int) -> bytes:
    pieces = []
    while piece := os.read(fd, 4096):
        pieces.append(piece)
    return b"".join(pieces)
