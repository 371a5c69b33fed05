"""What one session may use up of the proxy; and another proxy behind it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import pytest

from kernelgw.egress.dial import Bounds
from kernelgw.egress.names import Target
from tests.tls import client_hello

from .egress import HERE, PRIVATE, House, Read, Way, connect, connections, echo, get, tunnel


async def proxied(house: House) -> tuple[Way, list[bytes]]:
    """A way out through a proxy of this network; it says yes to all but one, and then echoes."""

    async def handler(read: Read, writer: asyncio.StreamWriter) -> None:
        said = upstream.said[-1]
        if said.startswith(b"CONNECT no.test:"):
            writer.write(b"HTTP/1.1 407 No\r\n\r\n")
        elif said.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 200 Yes\r\n\r\n")
            await echo(read, writer)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + said.split(b" ")[1])

    upstream = await house.canary(handler)
    house.names |= {"inside.test": ["10.0.0.1"], "public.test": ["93.184.216.34"]}
    allow = ["inside.test", "public.test", "unknown.test", "no.test", "169.254.169.254", "10.0.0.1", "mirror.test:1"]
    way = house.outlet(*allow, upstream=Target(HERE, upstream.port), private=[("mirror.test", "127.0.0.1/32")])
    return way, upstream.seen  # type: ignore[return-value]


async def test_through_another_proxy(house: House) -> None:
    way, seen = await proxied(house)
    for host in ("public.test", "unknown.test"):
        assert await tunnel(way, f"{host}:443", host)
        assert await tunnel(way, f"{host}:443", "other.test") == b""
        assert (await way.ask(get(f"http://{host}/a?b"))).endswith(f"http://{host}:80/a?b".encode())
    assert bytes(seen[0]).startswith(b"CONNECT public.test:443 HTTP/1.1\r\nHost: public.test:443\r\n\r\n")
    assert b"refuses no.test:443" in await way.ask(connect("no.test:443"))
    assert [good for _, target, good, _, _ in house.verdicts if target == "public.test:80"] == [True]


@pytest.mark.prop("NE09")
async def test_another_proxy_is_not_asked_for_what_is_refused_anyway(house: House) -> None:
    way, seen = await proxied(house)
    for target in ("inside.test:443", "169.254.169.254:80", "10.0.0.1:443", "other.test:443"):
        assert await way.status(connect(target)) == 403, target
    # Names that may be private are this network's own, and not its proxy's.
    house.names["mirror.test"] = [HERE]
    assert b"mirror.test:1 does not answer" in await way.ask(connect("mirror.test:1"))
    assert not seen
    assert await tunnel(way, "public.test:443", "public.test")
    assert len(seen) == 1


async def test_a_proxy_that_is_not_there(house: House) -> None:
    with socket.create_server((HERE, 0)) as closed:
        port = closed.getsockname()[1]
    way = house.outlet("allowed.test", upstream=Target(HERE, port))
    house.names["allowed.test"] = ["93.184.216.34"]
    assert b"own proxy does not answer" in await way.ask(connect("allowed.test:443"))


@pytest.mark.prop("NE16")
async def test_connections_are_counted(house: House) -> None:
    server = await house.canary(echo)
    target = f"allowed.test:{server.port}"
    way = house.outlet(target, private=PRIVATE, bounds=Bounds(connections=2))
    neighbour = house.outlet(target, private=PRIVATE, name="neighbour")
    held = [await way.connect(target) for _ in range(2)]
    assert {head[:12] for head, _, _ in held} == {b"HTTP/1.1 200"}
    for _ in range(10):
        assert await way.status(connect(target)) == 503
    assert await tunnel(neighbour, target, "allowed.test")
    held[0][2].close()
    await connections(house, 1)
    assert await tunnel(way, target, "allowed.test")
    held[1][2].close()


@pytest.mark.prop("NE16")
async def test_bytes_are_counted(house: House) -> None:
    server = await house.canary(echo)
    target = f"allowed.test:{server.port}"
    way = house.outlet(target, private=PRIVATE, bounds=Bounds(bytes=100_000))
    assert await tunnel(way, target, "allowed.test", b"x" * 10_000)
    assert await tunnel(way, target, "allowed.test", b"x" * 200_000) == b""
    assert b"has moved the 100000 bytes" in await way.ask(connect(target))


@pytest.mark.prop("NE16")
async def test_slow_clients_are_not_waited_for(house: House) -> None:
    server = await house.canary(echo)
    target = f"allowed.test:{server.port}"
    way = house.outlet(target, private=PRIVATE, bounds=Bounds(head_s=0.2, idle_s=0.2))
    assert await way.status(b"CONNECT allow") == 408
    _, reader, writer = await way.connect(target)
    writer.write(client_hello("allowed.test")[:50])
    assert await reader.read() == b""
    writer.close()
    _, reader, writer = await way.connect(target)
    writer.write(hello := client_hello("allowed.test"))
    assert await reader.read() == hello
    writer.close()
    assert await way.status(b"GET http://allowed.test/ HTTP/1.1\r\nX: " + b"a" * 100_000) == 431


@pytest.mark.prop("NE16")
async def test_a_connection_has_a_longest_time(house: House) -> None:
    server = await house.canary(echo)
    target = f"allowed.test:{server.port}"
    _, reader, writer = await house.outlet(target, private=PRIVATE, bounds=Bounds(lifetime_s=0.2)).connect(target)
    assert await reader.read() == b""
    writer.close()


async def test_a_download_may_take_longer_than_the_idle_time(house: House) -> None:
    """Though all that time nothing goes the other way."""
    pieces = 8

    async def trickle(read: Read, writer: asyncio.StreamWriter) -> None:
        await read()
        for _ in range(pieces):
            writer.write(b"x")
            await asyncio.sleep(0.4)

    server = await house.canary(trickle)
    url = f"http://allowed.test:{server.port}/"
    way = house.outlet(f"allowed.test:{server.port}", private=PRIVATE, bounds=Bounds(idle_s=2.5))
    head, reader, writer = await way.connect(f"allowed.test:{server.port}")
    assert head, url
    writer.write(client_hello("allowed.test") + b"\r\n\r\n" * 2)
    assert await reader.read() == b"x" * pieces
    writer.close()


@pytest.mark.prop("NE16")
async def test_what_nobody_reads_is_not_kept(house: House) -> None:
    async def much(read: Read, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 50_000_000)
        await writer.drain()

    server = await house.canary(much)
    way = house.outlet(f"allowed.test:{server.port}", private=PRIVATE, bounds=Bounds(idle_s=0.3, close_s=0.3))
    held = []
    for _ in range(3):
        _, writer = await way.open()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(get(f"http://allowed.test:{server.port}/"))
        held.append(writer)
    await connections(house, 3)
    await connections(house, 0)
    assert len(server.seen) == 3
    for writer in held:
        writer.transport.abort()


@pytest.mark.prop("NE16")
async def test_names_that_hang_hold_up_nobody_else(house: House) -> None:
    server = await house.canary()
    never = asyncio.Event()
    hanging = 0

    async def hang(host: str, port: int) -> Sequence[str]:
        nonlocal hanging
        if host == "allowed.test":
            return [HERE]
        hanging += 1
        await never.wait()
        return []

    bounds = Bounds(lookups=3, resolve_s=0.2)
    slow = house.outlet("*.hang.test", private=PRIVATE, bounds=bounds, resolve=hang)
    quick = house.outlet(f"allowed.test:{server.port}", private=PRIVATE, bounds=bounds, resolve=hang)
    answers = await asyncio.gather(*(slow.status(connect(f"n{number}.hang.test:443")) for number in range(10)))
    assert answers == [502] * 10
    # Given up on by all who asked, they still count, as the threads of real ones do.
    assert await slow.status(connect("late.hang.test:443")) == 502
    assert hanging == 3
    assert await quick.status(get(f"http://allowed.test:{server.port}/")) == 200
    never.set()


@pytest.mark.prop("NE16")
async def test_verdicts_are_told_so_many_a_second(house: House) -> None:
    way = house.outlet(bounds=Bounds(told_per_second=5))
    for _ in range(40):
        assert await way.status(connect("other.test:443")) == 403
    house.outlets[0].close()
    assert sum(1 + untold for *_, untold in house.verdicts) in (40, 41)
    assert len(house.verdicts) < 40
