"""What a kernel has said and nobody has yet confirmed: kept, so that a gateway that comes back misses nothing.

Every message has a number, in a frame of its own before it. The subscriber answers on the same socket: `\\x02` and a
number confirms all up to that one, `\\x03` and a number asks for all after it. Nothing is sent before it has asked.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import zmq

# Beyond it whoever writes is held back: with a gateway there, which confirms each megabyte; and without one.
MOST_ON_THEIR_WAY, MOST_BYTES = 8 << 20, 32 << 20
# For a gateway to take what is on its way when the kernel ends.
LEAVE_S = 10
SUBSCRIBED, GONE, CONFIRMED, RESUME = b"\x01", b"\x00", b"\x02", b"\x03"


class Retained:
    """In front of the iopub socket. Used by the thread that owns it."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._kept: deque[tuple[int, list[Any], int]] = deque()
        self._size = 0
        self._last = 0
        self.listening = False

    @property
    def fd(self) -> int:
        return int(self._socket.get(zmq.FD))

    @property
    def full(self) -> bool:
        return self._size > (MOST_ON_THEIR_WAY if self.listening else MOST_BYTES)

    @property
    def confirmed(self) -> bool:
        """Whether somebody has all of it."""
        return not self._kept

    def send(self, parts: list[Any]) -> None:
        self._last += 1
        # What is a view of something that code can change is kept as it is now.
        parts = [part if isinstance(part, bytes) else bytes(part) for part in parts]
        size = sum(map(len, parts))
        self._kept.append((self._last, parts, size))
        self._size += size
        if self.listening:
            self._socket.send_multipart([b"#%d" % self._last, *parts])

    def hear(self) -> bool:
        """What the subscriber says. libzmq also takes a subscription in, and sends the welcome, only when its socket is
        touched. True when there is room that there was not."""
        was_full = self.full
        while self._socket.get(zmq.EVENTS) & zmq.POLLIN:
            self._heard(self._socket.recv())
        return was_full and not self.full

    def _heard(self, message: bytes) -> None:
        kind, number = message[:1], message[1:]
        if kind in (SUBSCRIBED, GONE):
            self.listening = False
        elif kind in (CONFIRMED, RESUME) and number.isdigit():
            self._drop(int(number))
            if kind == RESUME:
                self.listening = True
                for each, parts, _ in self._kept:
                    self._socket.send_multipart([b"#%d" % each, *parts])

    def _drop(self, number: int) -> None:
        while self._kept and self._kept[0][0] <= number:
            self._size -= self._kept.popleft()[2]

    def close(self) -> None:
        self._socket.close(linger=1000 * LEAVE_S)
