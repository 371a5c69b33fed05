"""One client at a session: what is on its way to it, bounded, and as fast as it takes it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator

from .framing import BadFrame, Incoming, Parts, pack_legacy, pack_v1, unpack_legacy, unpack_v1

# Waiting for a client. One that is further behind is disconnected, comes back and is given what it missed from the log.
MOST_UNSENT = 16 << 20
MOST_MESSAGES = 50_000
# What a message takes beside its bytes.
OVERHEAD = 400
# Names that one connection asks under: Lab's own server lets all its pages ask through one.
MOST_NAMES = 64
TOO_SLOW = (1013, "too far behind")
Told = tuple[str, Parts]


class Attached:
    """`v1`: which of the two framings it speaks. `session_id`: what it calls itself. `buffers`: whether it can be given
    binary buffers."""

    def __init__(self, session_id: str, v1: bool, buffers: bool = True) -> None:
        self.session_id = session_id
        self.names: OrderedDict[str, None] = OrderedDict({session_id: None})
        # Jupyter's own server leaves connections open of which it has lost sight; nobody ever says anything by them.
        self.spoke = False
        self.closing: tuple[int, str] | None = None
        self.missed: Iterator[Told] = iter(())
        self._v1 = v1
        self._buffers = buffers
        self._waiting: deque[Told] = deque()
        self._size = 0
        self._something = asyncio.Event()
        self._closed = asyncio.Event()

    def goes_by(self, name: str) -> None:
        """It asks under this name, so answers to it are for this client."""
        self.spoke = True
        self.names[name] = None
        self.names.move_to_end(name)
        while len(self.names) > MOST_NAMES:
            self.names.popitem(last=False)

    def tell(self, channel: str, parts: Parts) -> None:
        if self.closing is not None:
            return
        # One is always taken, however large.
        if self._waiting and (self._size > MOST_UNSENT or len(self._waiting) >= MOST_MESSAGES):
            self.close(*TOO_SLOW)
            return
        self._waiting.append((channel, parts))
        self._size += _size(parts)
        self._something.set()

    def close(self, code: int, reason: str) -> None:
        """The connection ends, and what waits is not sent."""
        if self.closing is None:
            self.closing = (code, reason)
            self._waiting.clear()
            self.missed = iter(())
            self._something.set()
            self._closed.set()

    async def closed(self) -> None:
        """Returns once it is to be closed, also while a `send` waits."""
        await self._closed.wait()

    async def write(self, send: Callable[[bytes | str], Awaitable[None]]) -> None:
        """First what it missed, then whatever comes, until it is to be closed. `send` waits until there is room."""
        for channel, parts in self.missed:
            await self._send(send, channel, parts)
        while self.closing is None:
            while self._waiting:
                channel, parts = self._waiting.popleft()
                self._size -= _size(parts)
                await self._send(send, channel, parts)
            self._something.clear()
            if self.closing is None:
                await self._something.wait()

    async def _send(self, send: Callable[[bytes | str], Awaitable[None]], channel: str, parts: Parts) -> None:
        parts = parts if self._buffers else parts[:4]
        try:
            frame = pack_v1(channel, parts) if self._v1 else pack_legacy(channel, parts)
        except BadFrame:
            # Nothing that a client of the older protocol could be told.
            return
        await send(frame)

    def read(self, frame: bytes | str) -> Incoming:
        """Raises BadFrame."""
        return unpack_v1(frame) if self._v1 else unpack_legacy(frame)


def _size(parts: Parts) -> int:
    return sum(map(len, parts)) + OVERHEAD
