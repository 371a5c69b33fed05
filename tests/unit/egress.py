"""An outlet on real sockets, and servers that know what they were sent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from kernelgw.egress.dial import Bounds, World
from kernelgw.egress.names import Target
from kernelgw.egress.proxy import Outlet
from kernelgw.egress.rules import Rules, Trust
from tests.tls import client_hello

Read = Callable[[], Awaitable[bytes]]
Handler = Callable[[Read, asyncio.StreamWriter], Awaitable[None]]
HERE = "127.0.0.1"
# The one name that may lead there.
PRIVATE = [("allowed.test", "127.0.0.1/32")]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
TIMEOUT_S = 20


@dataclass
class Canary:
    """A server: `seen` has the bytes of each connection that reached it."""

    port: int = 0
    seen: list[bytearray] = field(default_factory=list)
    server: asyncio.Server | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def said(self) -> list[bytes]:
        return [bytes(each) for each in self.seen]


async def http(read: Read, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


async def echo(read: Read, writer: asyncio.StreamWriter) -> None:
    while data := await read():
        writer.write(data)
        await writer.drain()


async def canary(handler: Handler = http, host: str = "127.0.0.1", port: int = 0) -> Canary:
    """Keeps the head of what it is sent, then lets `handler` go on, then closes. The caller closes `server`."""
    found = Canary()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept = bytearray()
        found.seen.append(kept)
        task = asyncio.current_task()
        assert task is not None
        found.tasks.append(task)
        found.writers.append(writer)

        async def read() -> bytes:
            data = await reader.read(65536)
            kept.extend(data)
            return data

        try:
            if handler is not echo:
                kept += await reader.readuntil(b"\r\n\r\n")
            await handler(read, writer)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    found.server = await asyncio.start_server(serve, host, port)
    found.port = found.server.sockets[0].getsockname()[1]
    return found


Told = tuple[str, str, bool, str, int]


@dataclass
class House:
    """What names lead to, and all that a test has opened."""

    names: dict[str, Sequence[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    verdicts: list[Told] = field(default_factory=list)
    outlets: list[Outlet] = field(default_factory=list)
    canaries: list[Canary] = field(default_factory=list)

    async def canary(self, handler: Handler = http, host: str = "127.0.0.1", port: int = 0) -> Canary:
        found = await canary(handler, host, port)
        self.canaries.append(found)
        return found

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.names[host]

    def outlet(
        self,
        *allow: str,
        trusted: Sequence[str] = (),
        private: Sequence[tuple[str, str]] = (),
        bounds: Bounds | None = None,
        rules: Rules | None = None,
        resolve: Callable[[str, int], Awaitable[Sequence[str]]] | None = None,
        name: str = "chat",
        **world: object,
    ) -> Way:
        """`private`: names, with the networks that they may lead to."""
        made = World(
            [Trust(*each) for each in private],
            bounds=bounds or Bounds(),
            resolve=resolve or self.resolve,
            **{"own_addresses": frozenset, **world},  # type: ignore[arg-type]
        )
        outlet = Outlet(name, rules or Rules.parse(allow, trusted), made, lambda *told: self.verdicts.append(told))
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        outlet.open(listener)
        self.outlets.append(outlet)
        return Way(port)

    async def close(self) -> None:
        """Whatever was cancelled ends before the loop does."""
        tasks: list[asyncio.Task[None]] = []
        for outlet in self.outlets:
            tasks += [*outlet._connections, *([outlet._accepting] if outlet._accepting else [])]
            outlet.close()
        for each in self.canaries:
            assert each.server is not None
            each.server.close()
            for writer in each.writers:
                writer.transport.abort()
            tasks += each.tasks
        if tasks:
            await asyncio.wait(tasks, timeout=TIMEOUT_S)


@dataclass
class Way:
    """A client of an outlet."""

    port: int

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, said: bytes) -> bytes:
        """All that is answered, up to the end of the connection."""
        reader, writer = await self.open()
        try:
            writer.write(said)
            async with asyncio.timeout(TIMEOUT_S):
                return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    async def status(self, said: bytes) -> int:
        answer = await self.ask(said)
        return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0

    async def connect(self, target: Target | str) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
        """The head of the answer, and the streams behind it."""
        reader, writer = await self.open()
        writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        async with asyncio.timeout(TIMEOUT_S):
            return await reader.readuntil(b"\r\n\r\n"), reader, writer


def get(url: str) -> bytes:
    return f"GET {url} HTTP/1.1\r\nHost: {url.removeprefix('http://').partition('/')[0]}\r\n\r\n".encode()


def connect(target: str) -> bytes:
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()


async def eventually(condition: Callable[[], Awaitable[object]]) -> None:
    """Polls: for what no event tells of."""
    async with asyncio.timeout(TIMEOUT_S):
        for _ in range(TIMEOUT_S * 100):
            if await condition():
                return
            await asyncio.sleep(0.01)


async def connections(house: House, count: int) -> None:
    async def reached() -> bool:
        return len(house.outlets[0]._connections) == count

    await eventually(reached)


async def tunnel(way: Way, target: str, name: str | None, more: bytes = b"") -> bytes:
    """What a server that echoes sends back of a TLS greeting; nothing when the proxy closed instead."""
    head, reader, writer = await way.connect(target)
    assert head.startswith(b"HTTP/1.1 200 "), head
    said = client_hello(name) + more
    writer.write(said)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await reader.readexactly(len(said))
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return b""
    finally:
        writer.close()
