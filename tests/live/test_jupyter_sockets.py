"""What the gateway's end of a connection is set to, looked at from outside."""

from __future__ import annotations

import ctypes
import os
import socket
from typing import Any

import pytest

from .client import House, Session
from .jupyter import attached, kernel_of

pytestmark = pytest.mark.live
PIDFD_GETFD = 438


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look at the descriptors of a process that hides them")
def test_no_answer_waits_for_the_one_before_to_be_acknowledged(house: House, session: Session) -> None:
    session.run("1")
    with attached(house.gateway, kernel_of(session)) as lab:
        lab.run("1")
        mine = lab.connection.socket.getsockname()
        settings = [found for found in options(house.gateway.pid) if found[0] == mine]
    assert settings == [(mine, True)]


def options(pid: int) -> list[tuple[Any, bool]]:
    """Of all TCP connections of a process: whom they are with, and whether TCP_NODELAY is on."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    found = []
    for fd in map(int, os.listdir(f"/proc/{pid}/fd")):  # noqa: PTH208
        copy = libc.syscall(PIDFD_GETFD, process, fd, 0)
        if copy < 0:
            continue
        try:
            with socket.socket(fileno=os.dup(copy)) as each:
                if each.family == socket.AF_INET and each.type == socket.SOCK_STREAM:
                    found.append((each.getpeername(), bool(each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))))
        except OSError:
            # No socket, or one that listens.
            continue
        finally:
            os.close(copy)
    os.close(process)
    return found
