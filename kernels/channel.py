"""The fork server's wire: one JSON object a SOCK_SEQPACKET datagram, file descriptors beside it."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

VERSION = 2
LARGEST_MESSAGE = 128 * 1024
MOST_FDS = 16


class Malformed(ValueError):
    """A datagram that is no request: bad JSON, not an object, cut short."""


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """One message and its fds, or None at the end of the stream. The caller owns the fds.

    Raises Malformed (the fds are closed then) and BlockingIOError.
    """
    data, fds, flags, _ = socket.recv_fds(sock, LARGEST_MESSAGE, MOST_FDS)
    if not data:
        close_all(fds)
        return None
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise Malformed("message too long or with too many file descriptors")
        message = json.loads(data)
        if not isinstance(message, dict):
            raise Malformed("a message is a JSON object")
    except (Malformed, ValueError, RecursionError) as error:
        close_all(fds)
        raise Malformed(str(error)) from None
    return message, fds


def send(sock: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    data = json.dumps(message, separators=(",", ":")).encode()
    if fds:
        socket.send_fds(sock, [data], fds)
    else:
        sock.send(data)


def close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
