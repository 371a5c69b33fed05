"""The proxy on real sockets: what is refused never reaches anybody, and what is allowed does."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

import pytest

from kernelgw.egress.rules import Rules
from tests.tls import client_hello

from .egress import HERE, PRIVATE, House, connect, echo, eventually, get, tunnel


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
