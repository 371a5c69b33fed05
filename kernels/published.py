"""What a kernel says in plain Jupyter: to whoever listens at that moment, and nothing is kept for those who come later.

Stands where `retained.py` does for a gateway.
"""

from __future__ import annotations

from typing import Any

import zmq
from jupyter_client.session import Session

# Whoever is behind holds the writer back for so long; who does not read at all then misses messages, as with ipykernel.
LATE_MS = 2_000
SUBSCRIBED = b"\x01"


class Published:
    """In front of the iopub socket. Used by the thread that owns it."""

    full = False
    confirmed = True
    listening = True
    leave_s = 1

    def __init__(self, socket: Any, session: Session) -> None:
        self._socket = socket
        self._session = session
        self._late = False
        # Each who comes is told so, also when another has subscribed to the same before.
        socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        socket.setsockopt(zmq.SNDTIMEO, LATE_MS)

    @property
    def fd(self) -> int:
        return int(self._socket.get(zmq.FD))

    def send(self, parts: list[Any]) -> None:
        if self._sent(parts, zmq.NOBLOCK):
            self._late = False
        elif self._late or not self._sent(parts, 0):
            self._late = True
            self._send_without_those_who_are_late(parts)

    def _sent(self, parts: list[Any], flags: int) -> bool:
        try:
            self._socket.send_multipart(parts, flags)
        except zmq.Again:
            return False
        return True

    def _send_without_those_who_are_late(self, parts: list[Any]) -> None:
        self._socket.setsockopt(zmq.XPUB_NODROP, 0)
        self._socket.send_multipart(parts)
        self._socket.setsockopt(zmq.XPUB_NODROP, 1)

    def hear(self) -> bool:
        """Who has subscribed. libzmq takes it in only when its socket is touched. Never makes room."""
        while self._socket.get(zmq.EVENTS) & zmq.POLLIN:
            self._heard(self._socket.recv())
        return False

    def _heard(self, message: bytes) -> None:
        """Answered by the message that tells that from now on nothing is missed (JEP 65)."""
        kind, topic = message[:1], message[1:]
        if kind == SUBSCRIBED:
            content = {"subscription": topic.decode(errors="replace")}
            welcome = self._session.msg("iopub_welcome", content)
            self.send([topic, *self._session.serialize(welcome)])

    def close(self) -> None:
        self._socket.close(linger=1000 * self.leave_s)
