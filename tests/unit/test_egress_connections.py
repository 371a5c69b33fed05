"""What is said on a connection to the proxy, on real sockets: it cannot mean two things to two readers."""

from __future__ import annotations

import asyncio

import pytest

from tests.tls import client_hello

from .egress import HERE, PRIVATE, House, Read, Way, connect, echo, get, tunnel


@pytest.mark.prop("NE13")
async def test_the_name_in_tls_must_be_the_one_asked_for(house: House) -> None:
    server = await house.canary(echo)
    target = f"allowed.test:{server.port}"
    way = house.outlet(target, private=PRIVATE)
    for name in ("other.test", "sub.allowed.test", "allowed.test.evil.test", None):
        assert await tunnel(way, target, name) == b""
    assert {bytes(each) for each in server.seen} == {b""}
    assert [why for *_, good, why, _ in house.verdicts if not good] == [
        *("its TLS asks for 'other.test'", "its TLS asks for 'sub.allowed.test'"),
        *("its TLS asks for 'allowed.test.evil.test'", "its TLS asks for None"),
    ]
    for name in ("allowed.test", "ALLOWED.TEST"):
        assert (await tunnel(way, target, name, b"and more")).endswith(b"and more")
        assert server.seen[-1].endswith(b"and more")


@pytest.mark.prop("NE13")
@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\x16\3\1\0\0", b"CONNECT other.test:443 HTTP/1.1"]
)
async def test_what_is_not_tls_goes_nowhere(house: House, said: bytes) -> None:
    server = await house.canary(echo)
    target = f"allowed.test:{server.port}"
    head, reader, writer = await house.outlet(target, private=PRIVATE).connect(target)
    assert head.startswith(b"HTTP/1.1 200 ")
    writer.write(said)
    assert await reader.read() == b""
    writer.close()
    assert server.said == [b""]


@pytest.mark.prop("NE13")
async def test_an_address_has_no_name_in_tls(house: House) -> None:
    server = await house.canary(echo)
    target = f"{HERE}:{server.port}"
    way = house.outlet(trusted=[target])
    assert await tunnel(way, target, None)
    assert await tunnel(way, target, "allowed.test") == b""


@pytest.mark.prop("NE12")
async def test_a_second_request_is_not_looked_at(house: House) -> None:
    allowed, other = await house.canary(), await house.canary()
    way = house.outlet(f"allowed.test:{allowed.port}", private=PRIVATE)
    first, second = get(f"http://allowed.test:{allowed.port}/"), get(f"http://other.test:{other.port}/")
    answer = await way.ask(first + second)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in answer
    assert (len(allowed.seen), len(other.seen)) == (1, 0)
    # Alone it would have been answered, with a refusal.
    assert await way.status(second) == 403


@pytest.mark.prop("NE12")
async def test_bytes_before_the_tunnel_are_refused(house: House) -> None:
    server = await house.canary(echo)
    target = f"allowed.test:{server.port}"
    way = house.outlet(target, private=PRIVATE)
    for more in (client_hello("allowed.test"), connect("other.test:443"), b"\r\n"):
        assert await way.status(connect(target) + more) == 400
    assert not server.seen


@pytest.mark.prop("NE12")
async def test_a_tunnel_is_only_a_tunnel(house: House) -> None:
    """A second CONNECT on it goes to the server as what it is there: bytes."""
    server, other = await house.canary(echo), await house.canary(echo)
    target = f"allowed.test:{server.port}"
    way = house.outlet(target, private=PRIVATE)
    more = connect(f"other.test:{other.port}")
    assert (await tunnel(way, target, "allowed.test", more)).endswith(more)
    assert (len(server.seen), len(other.seen)) == (1, 0)


@pytest.mark.prop("NE12")
async def test_a_program_that_relays_gets_no_further(house: House) -> None:
    server = await house.canary()
    way = house.outlet(f"allowed.test:{server.port}", private=PRIVATE)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await way.ask(await reader.readuntil(b"\r\n\r\n")))
        writer.close()

    between = await asyncio.start_server(relay, HERE, 0)
    relayed = Way(between.sockets[0].getsockname()[1])
    urls = [get(f"http://{host}:{server.port}/") for host in ("allowed.test", "other.test", "sub.allowed.test")]
    assert [await relayed.status(url) for url in urls] == [await way.status(url) for url in urls] == [200, 403, 403]
    between.close()


async def test_a_body_arrives_whole_and_nothing_after_it(house: House) -> None:
    async def take(read: Read, writer: asyncio.StreamWriter) -> None:
        got = b""
        while len(got) < 300_000:
            got += await read()
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        writer.write(b"HTTP/1.1 201 Created\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\ndone")

    server = await house.canary(take)
    way = house.outlet(f"allowed.test:{server.port}", private=PRIVATE)
    head = (
        f"POST http://allowed.test:{server.port}/up HTTP/1.1\r\nContent-Length: 300000\r\nExpect: 100-continue\r\n\r\n"
    )
    answer = await way.ask(head.encode() + b"x" * 300_000 + get("http://other.test/"))
    assert answer == b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone"
    sent, _, body = server.said[0].partition(b"\r\n\r\n")
    assert body == b"x" * 300_000
    assert b"xpect" not in sent


@pytest.mark.parametrize("answer", [b"", b"nonsense", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n"])
async def test_a_server_that_does_not_speak_http(house: House, answer: bytes) -> None:
    async def handler(read: Read, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    server = await house.canary(handler)
    way = house.outlet(f"allowed.test:{server.port}", private=PRIVATE)
    assert await way.ask(get(f"http://allowed.test:{server.port}/")) == b""
    assert len(server.seen) == 1


@pytest.mark.prop("NE14")
async def test_a_redirect_is_another_request(house: House) -> None:
    forbidden = await house.canary()
    location = f"http://other.test:{forbidden.port}/secret"

    async def elsewhere(read: Read, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())

    server = await house.canary(elsewhere)
    way = house.outlet(f"allowed.test:{server.port}", private=[*PRIVATE, ("other.test", "127.0.0.1/32")])
    answer = await way.ask(get(f"http://allowed.test:{server.port}/"))
    assert f"Location: {location}".encode() in answer
    assert await way.status(get(location)) == 403
    assert not forbidden.seen
