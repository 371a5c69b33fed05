"""The first process in a gVisor sandbox: closes itself in, starts the kernel, reaps, and tells how the kernel ended.

fd 0 has what it is told, as JSON; fd 1 is where it tells the end; fd 2 is the crash log. The session's code has another
uid, so it can neither end this process nor speak for it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import threading
import traceback
from typing import Any, NoReturn

from . import drivers, linux, seccomp
from .preload import prepare
from .seal import PROXY_ADDRESS, audit, only

REPORT_FD, LOG_FD = 1, 2
PIECE = 1 << 16
USER, NOBODY = 1000, 65534
# Of those that gVisor knows; it does not tell.
LAST_CAPABILITY = 37


def main() -> NoReturn:
    with open(0, "rb", closefd=False) as file:
        boot = json.load(file)
    try:
        os.umask(boot["umask"])
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        seccomp.load(base64.b64decode(boot["filter"]))
        if boot["egress"] and os.fork() == 0:
            _become(NOBODY)
            _relay(f"{boot['sockets']}/egress")
        kernel = os.fork()
        if kernel == 0:
            _become_kernel(boot)
    except BaseException:
        os.write(LOG_FD, traceback.format_exc().encode())
        os._exit(drivers.FAILED)
    _watch(kernel)


def _become(uid: int) -> None:
    """Raises PermissionError when anything is left to gain."""
    linux.drop_bounding_set(LAST_CAPABILITY)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    linux.clear_capabilities()
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    audit()


def _become_kernel(boot: dict[str, Any]) -> NoReturn:
    os.setsid()
    fds = only([LOG_FD])
    _become(USER)
    prepare((), boot["env"])
    drivers.run(boot, [*(f"{boot['sockets']}/{channel}" for channel in boot["channels"]), *fds])


def _watch(kernel: int) -> NoReturn:
    """When this process ends, everything in the sandbox does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        pid, status = os.wait()
        if pid == kernel:
            code = os.waitstatus_to_exitcode(status)
            os.write(REPORT_FD, json.dumps({"code": max(code, 0), "signal": max(-code, 0)}).encode())
            os._exit(0)


def _relay(path: str) -> NoReturn:
    """Brings what connects to the proxy's address, which is in here, to the proxy, which is outside."""
    only([])
    listener = socket.create_server(PROXY_ADDRESS, backlog=128)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_carry_both, args=(client, path), daemon=True).start()


def _carry_both(client: socket.socket, path: str) -> None:
    with client, socket.socket(socket.AF_UNIX) as proxy, contextlib.suppress(OSError):
        proxy.connect(path)
        back = threading.Thread(target=_carry, args=(proxy, client), daemon=True)
        back.start()
        _carry(client, proxy)
        back.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
