"""Forking and following kernels: from the request to the exit, keyed by the kernel's id and never by pid."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from . import drivers, linux
from .channel import close_all
from .sandboxes import Sandbox
from .seal import Seal, enter, only, prepare, seal

Tell = Callable[[dict[str, Any]], None]


class Boot(BaseException):
    """Raised in the sealed child, all the way out of the fork server's stack, with what it is to become."""

    def __init__(self, boot: dict[str, Any], fds: list[int]) -> None:
        self.boot = boot
        self.fds = fds

    def become(self) -> NoReturn:
        if "exec" in self.boot:
            drivers.execute(self.boot, self.fds)
        drivers.run(self.boot, self.fds)


@dataclass
class Kernel:
    """One forked kernel. `pid` is 0 until the sealed process has reported."""

    id: str
    sandbox: str | None
    spec: Seal
    boot_fd: int
    fds: list[int]
    binds: list[list[str]]
    egress: bool = False
    pid: int = 0
    middle: int = 0
    status_fd: int = -1
    go_fd: int = -1
    report: bytes = b""
    # For a later gateway.
    kept: list[int] = field(default_factory=list)

    def stop_waiting(self) -> None:
        if self.go_fd >= 0:
            os.close(self.go_fd)
            self.go_fd = -1

    def close_fds(self) -> None:
        fds, self.fds = self.fds, []
        close_all(fds)
        if self.boot_fd >= 0:
            os.close(self.boot_fd)
            self.boot_fd = -1


class Children:
    """All kernels of this server. Everything that happens to one is told as an event."""

    def __init__(self, selector: selectors.BaseSelector, tell: Tell) -> None:
        self.selector = selector
        self.tell = tell
        self.kernels: dict[str, Kernel] = {}
        # The system call filter of everything that is sealed; given once, at hello.
        self.filter = b""
        self._wake, self._woken = socket.socketpair()
        self._own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def watch_signals(self) -> None:
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self.selector.register(self._woken, selectors.EVENT_READ, self._drain)

    def _drain(self, _: Any) -> None:
        try:
            while self._woken.recv(4096):
                pass
        except BlockingIOError:
            pass

    def expect(self, request: dict[str, Any], fds: list[int]) -> Kernel:
        """Takes a kernel into the books before it is forked, with copies of `fds`. Raises ValueError when the
        id is taken, KeyError or TypeError when the request is not whole."""
        name = str(request["id"])
        if name in self.kernels:
            raise ValueError(f"kernel {name} exists")
        spec, binds = Seal.parse(request["seal"]), [list(bind) for bind in request.get("binds", ())]
        egress = bool(request.get("egress"))
        if len(fds) < 1 + egress:
            raise ValueError("a kernel needs what it is to become, and egress a socket")
        boot_fd, *owned = (os.dup(fd) for fd in fds)
        kernel = self.kernels[name] = Kernel(name, request.get("sandbox"), spec, boot_fd, owned, binds, egress)
        return kernel

    def fork(self, kernel: Kernel, holder: int | None = None) -> None:
        """Forks now; a kernel for a sandbox then waits for `go`, so that both come up at once. Raises Boot in the
        child. `holder`: a pid in whose pid namespace it is to be born, which only root can do."""
        read, write = os.pipe2(os.O_CLOEXEC)
        wait, go = os.pipe2(os.O_CLOEXEC) if kernel.sandbox is not None else (-1, -1)
        kernel.go_fd = go
        inside = -1
        try:
            inside = -1 if holder is None else os.pidfd_open(holder)
            middle = os.fork() if holder is None else self._fork(inside)
        except OSError as error:
            close_all([fd for fd in (read, write, wait, inside) if fd >= 0])
            self._failed(kernel, f"fork: {error}")
            return
        if middle == 0:
            # Whoever waits is told by the end of its pipe too, which must be nobody's but the fork server's.
            for other in self.kernels.values():
                other.stop_waiting()
            _middle(kernel, self.filter, wait, write, inside)
        if inside >= 0:
            os.close(inside)
            kernel.pid = middle
        os.close(write)
        if wait >= 0:
            os.close(wait)
        kernel.close_fds()
        kernel.middle = middle
        kernel.status_fd = read
        self.selector.register(read, selectors.EVENT_READ, lambda _: self._reported(kernel))

    def _fork(self, inside: int) -> int:
        """os.fork, with a child that is born in the pid namespace of `inside`. Raises OSError."""
        linux.setns(inside, linux.CLONE_NEWPID)
        try:
            pid = os.fork()
        except OSError:
            linux.setns(self._own_pids, linux.CLONE_NEWPID)
            raise
        if pid:
            linux.setns(self._own_pids, linux.CLONE_NEWPID)
        return pid

    def go(self, kernel: Kernel, box: Sandbox) -> None:
        """The sandbox is up."""
        if kernel.go_fd >= 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(kernel.go_fd, json.dumps({"pid": box.pid, "namespaces": box.namespaces}).encode())
            kernel.stop_waiting()

    def _reported(self, kernel: Kernel) -> None:
        piece = os.read(kernel.status_fd, 65536)
        kernel.report += piece
        if piece:
            return
        self.selector.unregister(kernel.status_fd)
        os.close(kernel.status_fd)
        kernel.status_fd = -1
        facts: dict[str, Any] = {}
        for line in kernel.report.splitlines():
            facts.update(json.loads(line))
        kernel.pid = facts.get("pid", kernel.pid)
        if facts.get("sealed"):
            self.tell({"event": "spawned", "id": kernel.id, "pid": kernel.pid})
        else:
            self._failed(kernel, facts.get("error", "the child ended before it was sealed"))

    def _failed(self, kernel: Kernel, why: str) -> None:
        kernel.stop_waiting()
        if self.kernels.pop(kernel.id, None) is None:
            return
        kernel.close_fds()
        close_all(kernel.kept)
        if kernel.pid:
            _kill(kernel.pid, signal.SIGKILL)
        self.tell({"event": "spawn_failed", "id": kernel.id, "message": why})

    def ended(self, pid: int, status: int, usage: Any) -> None:
        """A child was collected: tell, if it is a kernel of ours."""
        kernel = next((k for k in self.kernels.values() if k.pid == pid), None)
        if kernel is None:
            # Its exit may be seen before its own report: read that first.
            waiting = [k for k in self.kernels.values() if k.status_fd >= 0]
            for candidate in waiting:
                self._drain_report(candidate)
            kernel = next((k for k in self.kernels.values() if k.pid == pid), None)
        if kernel is not None and kernel.status_fd >= 0:
            # What it has to say of its failure comes first; its pid may be somebody else's by now.
            kernel.pid = 0
            self._drain_report(kernel)
        if kernel is None or kernel.id not in self.kernels:
            return
        del self.kernels[kernel.id]
        close_all(kernel.kept)
        code = os.waitstatus_to_exitcode(status)
        self.tell(
            {
                "event": "exit",
                "id": kernel.id,
                "pid": pid,
                "code": code if code >= 0 else None,
                "signal": -code if code < 0 else None,
                "core": os.WCOREDUMP(status),
                "cpu_s": usage.ru_utime + usage.ru_stime,
                "peak_kb": usage.ru_maxrss,
            }
        )

    def _drain_report(self, kernel: Kernel) -> None:
        os.set_blocking(kernel.status_fd, False)
        while kernel.status_fd >= 0:
            try:
                self._reported(kernel)
            except BlockingIOError:
                return

    def signal(self, kernel_id: str, number: int, group: bool) -> bool:
        kernel = self.kernels.get(kernel_id)
        if kernel is None or not kernel.pid:
            return False
        return _kill(kernel.pid, number, group)

    def abandon(self, sandbox_id: str, why: str) -> None:
        """Kernels whose sandbox is gone before they were forked will never report; say so."""
        for kernel in list(self.kernels.values()):
            if kernel.sandbox == sandbox_id and (kernel.go_fd >= 0 or not kernel.middle):
                self._failed(kernel, why)

    def kill_all(self) -> None:
        for kernel in self.kernels.values():
            if kernel.pid:
                _kill(kernel.pid, signal.SIGKILL)


def _kill(pid: int, number: int, group: bool = False) -> bool:
    try:
        if group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _middle(kernel: Kernel, filter: bytes, wait: int, status: int, inside: int) -> NoReturn:
    """Joins the sandbox. `inside`: a pidfd of it when born in its pid namespace; others fork the process that stays,
    since that namespace takes only children, and leave."""
    fds, spec = kernel.fds[:-1] if kernel.egress else kernel.fds, kernel.spec
    try:
        prepare(spec, wait >= 0)
        if wait >= 0:
            spec = replace(spec, filter=filter, **_await_sandbox(wait))
        enter(spec, kernel.fds[-1] if kernel.egress else None, inside)
        if spec.pid is None:
            _report(status, {"pid": os.getpid()})
            linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        elif inside < 0 and (pid := os.fork()):
            _report(status, {"pid": pid})
            os._exit(0)
        # Read here and no sooner: it has what only this session may know, and whatever the fork server has ever held
        # every later kernel inherits.
        boot = drivers.read_boot(kernel.boot_fd, kernel.binds)
        if drivers.is_kernel(boot):
            fds = [*fds, kernel.boot_fd]
        *kept, status = only([*fds, status])
        seal(spec, [*kept, status])
        _report(status, {"sealed": True})
        os.close(status)
    except BaseException as error:
        try:
            last = traceback.extract_tb(error.__traceback__)[-1]
            _report(status, {"error": f"{type(error).__name__}: {error} ({last.name})"})
        finally:
            os._exit(70)
    raise Boot(boot, kept)


def _await_sandbox(fd: int) -> dict[str, Any]:
    told = b""
    while piece := os.read(fd, 4096):
        told += piece
    if not told:
        raise ChildProcessError("the sandbox did not come up")
    return dict(json.loads(told))


def _report(fd: int, fact: dict[str, Any]) -> None:
    os.write(fd, json.dumps(fact).encode() + b"\n")
