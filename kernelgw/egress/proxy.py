"""The proxy itself: one listener a session, and what comes of each connection to it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from . import requests, tls
from .addresses import IPAddress, forbidden, is_metadata, of_this_host
from .names import BadName, Target, canonical
from .requests import Refusal, Request
from .rules import Rules, Trust

LARGEST_HEAD = 32 << 10
LARGEST_RESPONSE_HEAD = 64 << 10
HEAD_TIMEOUT_S = 10.0
RESOLVE_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 300.0
LIFETIME_S = 3600.0
MOST_CONNECTIONS = 64
MOST_BYTES = 20 << 30
PIECE = 64 << 10

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
# Session, target as text, whether it was allowed, why not.
Verdict = Callable[[str, str, bool, str], None]


async def resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


@dataclass
class World:
    """What holds for all sessions. `own_ports`: the gateway's, which nobody reaches by any name."""

    trusts: Sequence[Trust] = ()
    own_ports: frozenset[int] = frozenset()
    upstream: Target | None = None
    resolve: Resolve = resolve
    own_addresses: Callable[[], frozenset[IPAddress]] = of_this_host


@dataclass
class Outlet:
    """One session's way out: whoever connects to `listener` is that session."""

    name: str
    rules: Rules
    world: World
    verdict: Verdict
    connections: set[asyncio.Task[None]] = field(default_factory=set)
    moved: int = 0
    _server: asyncio.Server | None = None

    async def open(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=LARGEST_RESPONSE_HEAD)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self.connections:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        try:
            async with asyncio.timeout(LIFETIME_S):
                await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, tls.NotTLS):
            # Either end went away, or was too slow, or sent what it may not: there is nobody to tell.
            return
        finally:
            self.connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown = ""
        try:
            if len(self.connections) > MOST_CONNECTIONS:
                raise Refusal(503, f"this session has {MOST_CONNECTIONS} connections already")
            head, rest = await _read_head(reader)
            request = requests.parse(head)
            shown = str(request.target)
            if request.is_tunnel and rest:
                raise Refusal(400, "bytes came before the tunnel was there")
            server = await self._dial(request.target, request.is_tunnel)
        except Refusal as refused:
            self.verdict(self.name, shown, False, refused.why)
            writer.write(requests.refusal(refused.status, refused.why))
            await writer.drain()
            return
        try:
            if request.is_tunnel:
                await self._tunnel(request.target, reader, writer, *server)
            else:
                await self._relay(request, rest, reader, writer, *server)
        finally:
            server[1].close()

    async def _dial(self, target: Target, tunnel: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the very address that was looked at. Raises Refusal."""
        if not self.rules.permits(target):
            raise Refusal(403, f"{target} is not among the hosts that this session may reach")
        if self.world.upstream is not None:
            return await _through(self.world.upstream, target, tunnel)
        addresses = await self._addresses(target)
        self.verdict(self.name, str(target), True, "")
        for address in addresses:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    return await asyncio.open_connection(address, target.port, limit=LARGEST_RESPONSE_HEAD)
        raise Refusal(502, f"{target} does not answer")

    async def _addresses(self, target: Target) -> list[str]:
        """Resolved once, and only those that may be dialled. Raises Refusal."""
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                found = [target.host] if target.is_address else await self.world.resolve(target.host, target.port)
        except (OSError, TimeoutError, UnicodeError):
            raise Refusal(502, f"the name {target.host} is not known") from None
        own = self.world.own_addresses()
        complaint = "it has no address"
        usable = []
        for text in found:
            complaint = self._refused(target, ipaddress.ip_address(text.partition("%")[0]), own) or ""
            if not complaint:
                usable.append(text)
        if not usable:
            raise Refusal(403, f"{target.host} may not be reached: {complaint}")
        return usable

    def _refused(self, target: Target, address: IPAddress, own: frozenset[IPAddress]) -> str | None:
        why = forbidden(address, own)
        here = address in own or address.is_loopback or address.is_unspecified
        if why is None or is_metadata(address) or (here and target.port in self.world.own_ports):
            return why
        return None if self.rules.trusts(target) or self._excepted(target, address) else why

    def _excepted(self, target: Target, address: IPAddress) -> bool:
        return any(
            trust.host == target.host and address in ipaddress.ip_network(trust.network) for trust in self.world.trusts
        )

    async def _tunnel(
        self,
        target: Target,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        first = await _read_hello(reader)
        body = tls.hello(first)
        name = tls.server_name(body) if body is not None else None
        if not _agrees(target, name):
            self.verdict(self.name, str(target), False, f"its TLS asks for {name!r}")
            return
        server_writer.write(first)
        await self._pump_both(reader, writer, server_reader, server_writer)

    async def _pump_both(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        out = asyncio.create_task(self._pump(reader, server_writer))
        back = asyncio.create_task(self._pump(server_reader, writer))
        try:
            await asyncio.gather(out, back)
        finally:
            out.cancel()
            back.cancel()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, most: int | None = None) -> None:
        """Until the source ends, or `most` bytes have passed. Raises TimeoutError when nothing moves."""
        while most is None or most > 0:
            async with asyncio.timeout(IDLE_TIMEOUT_S):
                data = await source.read(PIECE if most is None else min(PIECE, most))
                if not data:
                    break
                most = most if most is None else most - len(data)
                self.moved += len(data)
                if self.moved > MOST_BYTES:
                    raise TimeoutError("the session has moved all the bytes that it may")
                sink.write(data)
                await sink.drain()
        if most is None:
            with contextlib.suppress(OSError, RuntimeError):
                sink.write_eof()

    async def _relay(
        self,
        request: Request,
        rest: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        """One request and its response. What else the client sends is not looked at."""
        head = request.head
        if self.world.upstream is not None:
            method, path, version = head.split(b" ", 2)
            head = b" ".join([method, f"http://{request.target}".encode() + path, version])
        server_writer.write(head + rest[: request.body])
        await self._pump(reader, server_writer, max(0, request.body - len(rest)))
        async with asyncio.timeout(IDLE_TIMEOUT_S):
            answer = await server_reader.readuntil(b"\r\n\r\n")
        writer.write(requests.response_head(answer.removesuffix(b"\r\n\r\n")))
        await self._pump(server_reader, writer)
        await writer.drain()


def _agrees(target: Target, name: str | None) -> bool:
    if name is None:
        # There are no names for addresses in TLS.
        return target.is_address
    try:
        return canonical(name) == target.host
    except BadName:
        return False


async def _read_head(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The head, and what came with it. Raises Refusal."""
    data = b""
    try:
        async with asyncio.timeout(HEAD_TIMEOUT_S):
            while b"\r\n\r\n" not in data:
                if len(data) > LARGEST_HEAD:
                    raise Refusal(431, f"the request's head is larger than {LARGEST_HEAD} bytes")
                piece = await reader.read(LARGEST_HEAD)
                if not piece:
                    raise asyncio.IncompleteReadError(data, None)
                data += piece
    except TimeoutError:
        raise Refusal(408, f"no whole request came within {HEAD_TIMEOUT_S:.0f} seconds") from None
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


async def _read_hello(reader: asyncio.StreamReader) -> bytes:
    """All that came up to the end of the ClientHello. Raises NotTLS, TimeoutError."""
    data = b""
    async with asyncio.timeout(HEAD_TIMEOUT_S):
        while tls.hello(data) is None:
            piece = await reader.read(PIECE)
            if not piece or len(data) > 2 * tls.LARGEST_HELLO:
                raise tls.NotTLS("no ClientHello")
            data += piece
    return data


async def _through(upstream: Target, target: Target, tunnel: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """By another proxy, which then does the looking at addresses. Raises Refusal."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(upstream.host, upstream.port, limit=LARGEST_RESPONSE_HEAD)
            if tunnel:
                writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
                answer = await reader.readuntil(b"\r\n\r\n")
                if answer.split(b" ", 2)[1:2] != [b"200"]:
                    writer.close()
                    raise Refusal(502, f"the network's own proxy refuses {target}")
            return reader, writer
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise Refusal(502, "the network's own proxy does not answer") from None
