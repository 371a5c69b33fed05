"""Connections as the proxy holds them: a pair of streams, read with a limit, closed for good."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import NamedTuple

# What a reader holds back at most is twice this; a response's head must fit into it.
LIMIT = 32 << 10


class Peer(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def close(self, timeout_s: float) -> None:
        """Sends what is left, and waits for that; but not for ever for somebody who does not read it."""
        self.writer.close()
        try:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self.writer.wait_closed()
        finally:
            self.writer.transport.abort()


async def adopt(connection: socket.socket) -> Peer:
    """An accepted one. Closes it when it has already ended, and raises OSError."""
    try:
        connection.setblocking(False)
        return Peer(*await asyncio.open_connection(sock=connection, limit=LIMIT))
    except BaseException:
        connection.close()
        raise


async def connect(host: str, port: int) -> Peer:
    """Raises OSError."""
    return Peer(*await asyncio.open_connection(host, port, limit=LIMIT))


class Budget:
    """So many a second."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._second = 0.0
        self._used = 0

    def take(self) -> float:
        """0 when there is one left, else how many seconds to wait for the next."""
        now = asyncio.get_running_loop().time()
        if now - self._second >= 1:
            self._second, self._used = now, 0
        if self._used >= self._per_second:
            return self._second + 1 - now
        self._used += 1
        return 0.0

    async def turn(self) -> None:
        """Waits for one, and takes it. For a single waiter."""
        if wait := self.take():
            await asyncio.sleep(wait)
            self.take()
