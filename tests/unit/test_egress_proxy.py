"""The proxy on real sockets: what is refused never reaches anybody, and what is allowed does."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from kernelgw.egress.dial import Bounds
from kernelgw.egress.names import Target
from kernelgw.egress.rules import Rules
from tests.tls import client_hello

from .egress import TIMEOUT_S, House, Read, Way, connect, echo, get

HERE = "127.0.0.1"
PRIVATE = [("allowed.test", "127.0.0.1/32")]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House({"allowed.test": [HERE], "other.test": [HERE]})
    yield house
    await house.close()


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


# whom it lets through


@pytest.mark.prop("NE07")
async def test_listed_hosts_and_nobody_else(house: House) -> None:
    server = await house.canary()
    some = house.outlet(f"allowed.test:{server.port}", private=PRIVATE)
    nobody = house.outlet(private=PRIVATE)
    allowed, other = get(f"http://allowed.test:{server.port}/"), get(f"http://other.test:{server.port}/")
    assert (await some.ask(allowed)).endswith(b"\r\n\r\nhi")
    assert len(server.seen) == 1
    assert await some.status(other) == 403
    assert await nobody.status(allowed) == 403
    assert await nobody.status(connect(f"allowed.test:{server.port}")) == 403
    assert len(server.seen) == 1
    assert house.asked == ["allowed.test"]
    assert [(target.partition(":")[0], good) for _, target, good, _, _ in house.verdicts] == [
        ("allowed.test", True),
        ("other.test", False),
        ("allowed.test", False),
        ("allowed.test", False),
    ]


@pytest.mark.prop("NE08")
async def test_ways_to_write_a_host(house: House) -> None:
    server = await house.canary(echo)
    port = server.port
    way = house.outlet(f"allowed.test:{port}", private=PRIVATE)
    for same in ("ALLOWED.test", "allowed.test.", "Allowed.Test."):
        assert await tunnel(way, f"{same}:{port}", "allowed.test")
    reached = len(server.seen)
    assert reached == 3
    refused = {
        403: [
            *(
                "xallowed.test",
                "allowed.test.evil.test",
                "evil-allowed.test",
                "sub.allowed.test",
                "test",
                "llowed.test",
            ),
            *("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "xn--allowed.test"),
        ],
        400: [
            *("user@allowed.test", "allowed.test@other.test", "allowed%2etest", "allowed.test%00.other.test"),
            *("allowed.test\0", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "allowed..test", ".allowed.test"),
            *("allowed.test\t", "allowed.test\\.other.test", "allowed.test#", "*.test", "", "[fe80::1%25lo]"),
        ],
    }
    for status, hosts in refused.items():
        for host in hosts:
            assert await way.status(connect(f"{host}:{port}")) == status, host
            assert await way.status(get(f"http://{host}:{port}/")) == status, host
    for tricks in (f"{port}0", f"0{port}", f"{port}:443", f"443:{port}", f"+{port}", "", "https", f"{port}/"):
        assert await way.status(connect(f"allowed.test:{tricks}")) in (400, 403), tricks
    assert len(server.seen) == reached


@pytest.mark.prop("NE07")
async def test_full_is_not_everything(house: House) -> None:
    server = await house.canary()
    house.names |= {"private.test": ["10.0.0.1"]}
    way = house.outlet(rules=Rules.full(), private=PRIVATE)
    for target in (f"allowed.test:{server.port}", "allowed.test:22", "93.184.216.34:443", "[2606:4700::1111]:443"):
        assert await way.status(connect(target)) == 403
    for target in ("other.test:443", "private.test:443", "other.test:80"):
        assert "may not be reached" in (await way.ask(connect(target))).decode()
    assert house.asked == ["other.test", "private.test", "other.test"]


# where names lead

LEADS_NOWHERE = [
    *("127.0.0.1", "127.0.0.2", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%lo"),
    *(
        "fd00:ec2::254",
        "fd20:ce::254",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
    ),
]


@pytest.mark.prop("NE09")
@pytest.mark.parametrize("address", LEADS_NOWHERE)
async def test_an_allowed_name_that_leads_inside(house: House, address: str) -> None:
    server = await house.canary()
    target = f"http://inside.test:{server.port}/"
    house.names["inside.test"] = [address]
    assert await house.outlet(f"inside.test:{server.port}").status(get(target)) == 403
    assert await house.outlet(f"{HERE}:{server.port}", "[::1]:80").status(get(f"http://{HERE}:{server.port}/")) == 403
    assert not server.seen
    # The very same is reached once the operator says that this name may lead here.
    house.names["inside.test"] = [HERE]
    way = house.outlet(f"inside.test:{server.port}", private=[("inside.test", "127.0.0.0/8")])
    assert await way.status(get(target)) == 200
    assert len(server.seen) == 1


@pytest.mark.prop("NE09")
async def test_this_machine_s_own_addresses(house: House) -> None:
    server = await house.canary()
    house.names["self.test"] = ["93.184.216.34"]
    own = frozenset({ipaddress.ip_address("93.184.216.34")})
    way = house.outlet(f"self.test:{server.port}", own_addresses=lambda: own)
    assert "this machine itself" in (await way.ask(get(f"http://self.test:{server.port}/"))).decode()


@pytest.mark.prop("NE09")
@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254"])
async def test_metadata_is_reached_by_nobody_s_word(house: House, address: str) -> None:
    house.names["mirror.test"] = [address]
    way = house.outlet(trusted=["mirror.test"], private=[("mirror.test", "0.0.0.0/0"), ("mirror.test", "::/0")])
    assert await way.status(connect("mirror.test:443")) == 403


@pytest.mark.prop("NE09")
async def test_hosts_of_the_operator_may_lead_inside(house: House) -> None:
    server = await house.canary()
    house.names["mirror.test"] = [HERE]
    assert (
        await house.outlet(trusted=[f"mirror.test:{server.port}"]).status(get(f"http://mirror.test:{server.port}/"))
        == 200
    )
    # An exception is for its own networks and its own name.
    narrow = house.outlet(f"mirror.test:{server.port}", private=[("mirror.test", "10.0.0.0/8"), *PRIVATE])
    assert await narrow.status(get(f"http://mirror.test:{server.port}/")) == 403
    assert len(server.seen) == 1


@pytest.mark.prop("NE10")
async def test_a_name_whose_answer_changes(house: House) -> None:
    """Only what was looked at is dialled: the second answer is never asked for."""
    good = await house.canary()
    bad = await house.canary(host="127.0.0.2", port=good.port)
    answers = iter([[HERE], ["127.0.0.2"], [HERE]])

    async def changing(host: str, port: int) -> Sequence[str]:
        house.asked.append(host)
        return next(answers)

    way = house.outlet(f"allowed.test:{good.port}", private=PRIVATE, resolve=changing)
    url = get(f"http://allowed.test:{good.port}/")
    assert [await way.status(url) for _ in range(3)] == [200, 403, 200]
    assert house.asked == ["allowed.test"] * 3
    assert (len(good.seen), len(bad.seen)) == (2, 0)
    # The other one was there all the time.
    both = house.outlet(f"x.test:{good.port}", private=[("x.test", "127.0.0.0/8")])
    house.names["x.test"] = ["127.0.0.2"]
    assert await both.status(get(f"http://x.test:{good.port}/")) == 200
    assert len(bad.seen) == 1


@pytest.mark.prop("NE10")
async def test_of_several_answers_only_the_allowed_are_dialled(house: House) -> None:
    good = await house.canary()
    bad = await house.canary(host="127.0.0.2", port=good.port)
    house.names["allowed.test"] = ["127.0.0.2", "169.254.169.254", HERE]
    way = house.outlet(f"allowed.test:{good.port}", private=PRIVATE)
    assert await way.status(get(f"http://allowed.test:{good.port}/")) == 200
    assert (len(good.seen), len(bad.seen)) == (1, 0)


async def test_names_that_are_not_known_and_hosts_that_do_not_answer(house: House) -> None:
    with socket.create_server((HERE, 0)) as closed:
        port = closed.getsockname()[1]
    way = house.outlet(f"allowed.test:{port}", "nowhere.test", "empty.test", private=PRIVATE)
    house.names["empty.test"] = []
    assert b" 502 " in await way.ask(connect("nowhere.test:443"))
    assert b"does not answer" in await way.ask(connect(f"allowed.test:{port}"))
    assert b"has no address" in await way.ask(connect("empty.test:443"))


@pytest.mark.prop("NE11")
async def test_the_gateway_itself(house: House) -> None:
    gateway, neighbour = await house.canary(), await house.canary()
    house.names["api.test"] = [HERE]
    rules = [f"{host}:{each.port}" for host in ("allowed.test", "api.test") for each in (gateway, neighbour)]
    way = house.outlet(
        trusted=rules,
        private=[*PRIVATE, ("api.test", "127.0.0.0/8")],
        own_ports=frozenset({gateway.port}),
        own_names=frozenset({"api.test"}),
    )
    assert await way.status(get(f"http://allowed.test:{neighbour.port}/")) == 200
    for address in (HERE, "127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"):
        house.names["allowed.test"] = [address]
        assert await way.status(get(f"http://allowed.test:{gateway.port}/")) == 403
    assert await way.status(get(f"http://api.test:{neighbour.port}/")) == 403
    assert await way.status(connect(f"API.test.:{neighbour.port}")) == 403
    assert (len(gateway.seen), len(neighbour.seen)) == (0, 1)


# what is said on a connection


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


# sessions by themselves


@pytest.mark.prop("NE15")
async def test_each_listener_is_its_own_session_s(house: House) -> None:
    server = await house.canary()
    mine = house.outlet(f"allowed.test:{server.port}", private=PRIVATE, name="mine")
    theirs = house.outlet(f"other.test:{server.port}", private=[("other.test", "127.0.0.1/32")], name="theirs")
    for host, mine_gets, theirs_get in (("allowed.test", 200, 403), ("other.test", 403, 200)):
        url = get(f"http://{host}:{server.port}/")
        assert (await mine.status(url), await theirs.status(url)) == (mine_gets, theirs_get)
    assert [(name, target.partition(":")[0], good) for name, target, good, _, _ in house.verdicts] == [
        *(("mine", "allowed.test", True), ("theirs", "allowed.test", False)),
        *(("mine", "other.test", False), ("theirs", "other.test", True)),
    ]


async def test_a_closed_outlet_is_gone_with_all_its_connections(house: House) -> None:
    server = await house.canary(echo)
    target = f"allowed.test:{server.port}"
    way = house.outlet(target, private=PRIVATE)
    _, reader, writer = await way.connect(target)
    writer.write(hello := client_hello("allowed.test"))
    assert await reader.readexactly(len(hello)) == hello
    house.outlets[0].close()
    assert await reader.read() == b""
    writer.close()

    async def refused() -> bool:
        try:
            _, late = await way.open()
        except ConnectionRefusedError:
            return True
        late.close()
        return False

    await eventually(refused)


async def test_a_fault_of_ours_is_told_and_ends_one_connection(house: House) -> None:
    async def faulty(host: str, port: int) -> Sequence[str]:
        if host == "faulty.test":
            raise RuntimeError("a fault")
        return [HERE]

    server = await house.canary()
    way = house.outlet("faulty.test", f"allowed.test:{server.port}", private=PRIVATE, resolve=faulty)
    assert await way.ask(connect("faulty.test:443")) == b""
    assert await way.status(get(f"http://allowed.test:{server.port}/")) == 200
    assert [why for *_, good, why, _ in house.verdicts if not good] == ["the proxy failed: RuntimeError('a fault')"]


# through another proxy


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


# bounds


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
