"""The proxy itself: one listener a session, and what comes of each connection to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from . import requests, tls
from .dial import Dialer, World
from .names import BadName, Target, canonical
from .requests import Refusal, Request
from .rules import Rules
from .streams import Budget, Peer, adopt

LARGEST_HEAD = 32 << 10
PIECE = 32 << 10
MOST_TOLD = 500
# When no connection can be accepted, for want of descriptors most likely.
PAUSE_S = 1.0
BROKEN = (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, tls.NotTLS)

# Session, target as text, whether it was allowed, why not, and how many verdicts before this one went untold.
Verdict = Callable[[str, str, bool, str, int], None]


class Outlet:
    """One session's way out: whoever connects to `listener` is that session."""

    def __init__(self, name: str, rules: Rules, world: World, verdict: Verdict) -> None:
        self.name = name
        self.bounds = world.bounds
        self.moved = 0
        self._dialer = Dialer(rules, world)
        self._verdict = verdict
        self._connections: set[asyncio.Task[None]] = set()
        self._arrivals = Budget(self.bounds.per_second)
        self._tales = Budget(self.bounds.told_per_second)
        self._untold = 0
        # Refusals too take a moment; more than these wait, unaccepted, in a queue that is their own session's.
        self._room = asyncio.Semaphore(2 * self.bounds.connections)
        self._accepting: asyncio.Task[None] | None = None

    def open(self, listener: socket.socket) -> None:
        """The listener is closed with the outlet."""
        listener.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(listener))

    def close(self) -> None:
        for task in (self._accepting, *self._connections):
            if task is not None:
                task.cancel()
        if self._untold:
            self._verdict(self.name, "", False, "it asked too often for all to be told", self._untold)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                await self._room.acquire()
                await self._arrivals.turn()
                try:
                    connection, _ = await loop.sock_accept(listener)
                except OSError:
                    self._room.release()
                    await asyncio.sleep(PAUSE_S)
                    continue
                task = asyncio.create_task(self._serve(connection))
                self._connections.add(task)
                task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        self._room.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._tell("", False, f"the proxy failed: {error!r}"[:MOST_TOLD])

    async def _serve(self, connection: socket.socket) -> None:
        # Either end goes away, or is too slow, or sends what it may not: there is nobody to tell.
        with contextlib.suppress(*BROKEN):
            client = await adopt(connection)
            try:
                async with asyncio.timeout(self.bounds.lifetime_s):
                    await self._answer(client)
            finally:
                await client.close(self.bounds.close_s)

    async def _answer(self, client: Peer) -> None:
        shown = ""
        try:
            # Read in any case: what is closed with something unread takes the answer with it.
            head, rest = await _read_head(client.reader, self.bounds.head_s)
            self._admit()
            request = requests.parse(head)
            shown = str(request.target)
            if request.is_tunnel and rest:
                raise Refusal(400, "bytes came before the tunnel was there")
            server = await self._dialer.dial(request.target, request.is_tunnel)
        except Refusal as refused:
            self._tell(shown, False, refused.why)
            client.writer.write(requests.refusal(refused.status, refused.why))
            return
        self._tell(shown, True, "")
        try:
            if request.is_tunnel:
                await self._tunnel(request.target, client, server)
            else:
                await self._relay(request, rest, client, server)
        finally:
            await server.close(self.bounds.close_s)

    def _admit(self) -> None:
        """Raises Refusal."""
        if len(self._connections) > self.bounds.connections:
            raise Refusal(503, f"this session has {self.bounds.connections} connections already")
        if self.moved > self.bounds.bytes:
            raise Refusal(403, f"this session has moved the {self.bounds.bytes} bytes that it may")

    def _tell(self, target: str, allowed: bool, why: str) -> None:
        if self._tales.take():
            self._untold += 1
        else:
            untold, self._untold = self._untold, 0
            self._verdict(self.name, target, allowed, why, untold)

    async def _tunnel(self, target: Target, client: Peer, server: Peer) -> None:
        client.writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        first, name = await _read_hello(client.reader, self.bounds.head_s)
        if not _agrees(target, name):
            self._tell(str(target), False, f"its TLS asks for {name!r}")
            return
        server.writer.write(first)
        async with asyncio.timeout(self.bounds.idle_s) as clock:
            out = asyncio.create_task(self._pump(client.reader, server.writer, clock))
            back = asyncio.create_task(self._pump(server.reader, client.writer, clock))
            try:
                await asyncio.gather(out, back)
            finally:
                out.cancel()
                back.cancel()

    async def _relay(self, request: Request, rest: bytes, client: Peer, server: Peer) -> None:
        """One request and its response. What else the client sends is not looked at."""
        head = request.head if self._dialer.upstream(request.target) is None else requests.for_proxy(request)
        async with asyncio.timeout(self.bounds.idle_s) as clock:
            server.writer.write(head + rest[: request.body])
            await self._pump(client.reader, server.writer, clock, max(0, request.body - len(rest)))
            answer = await server.reader.readuntil(b"\r\n\r\n")
            while requests.is_interim(answer):
                answer = await server.reader.readuntil(b"\r\n\r\n")
            client.writer.write(requests.response_head(answer.removesuffix(b"\r\n\r\n")))
            await self._pump(server.reader, client.writer, clock)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, clock: asyncio.Timeout, most: int | None = None
    ) -> None:
        """Until the source ends, or `most` bytes have passed. `clock` runs out when neither way anything moves."""
        loop = asyncio.get_running_loop()
        while most is None or most > 0:
            data = await source.read(PIECE if most is None else min(PIECE, most))
            if not data:
                break
            most = most if most is None else most - len(data)
            self.moved += len(data)
            if self.moved > self.bounds.bytes:
                raise TimeoutError("the session has moved all the bytes that it may")
            sink.write(data)
            await sink.drain()
            if not clock.expired():
                clock.reschedule(loop.time() + self.bounds.idle_s)
        if most is None:
            with contextlib.suppress(OSError, RuntimeError):
                sink.write_eof()


def _agrees(target: Target, name: str | None) -> bool:
    if name is None:
        # There are no names for addresses in TLS.
        return target.is_address
    try:
        return canonical(name) == target.host
    except BadName:
        return False


async def _read_head(reader: asyncio.StreamReader, timeout_s: float) -> tuple[bytes, bytes]:
    """The head, and what came with it. Raises Refusal."""
    data = b""
    try:
        async with asyncio.timeout(timeout_s):
            while b"\r\n\r\n" not in data:
                if len(data) > LARGEST_HEAD:
                    raise Refusal(431, f"the request's head is larger than {LARGEST_HEAD} bytes")
                piece = await reader.read(LARGEST_HEAD)
                if not piece:
                    raise asyncio.IncompleteReadError(data, None)
                data += piece
    except TimeoutError:
        raise Refusal(408, f"no whole request came within {timeout_s:g} seconds") from None
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


async def _read_hello(reader: asyncio.StreamReader, timeout_s: float) -> tuple[bytes, str | None]:
    """All that came up to the end of the ClientHello, and the name in it. Raises NotTLS, TimeoutError."""
    data = b""
    async with asyncio.timeout(timeout_s):
        while (body := tls.hello(data)) is None:
            piece = await reader.read(PIECE)
            if not piece or len(data) > 2 * tls.LARGEST_HELLO:
                raise tls.NotTLS("no ClientHello")
            data += piece
    return data, tls.server_name(body)
