"""Host names have one reading, or none."""

from __future__ import annotations

import socket

import pytest

from kernelgw.egress.names import BadName, Target, canonical, is_address, split

SAME = {
    "example.org": ["EXAMPLE.org", "example.org.", "Example.Org."],
    "localhost": ["LOCALHOST", "localhost."],
    "a.b-c.example": ["A.B-C.EXAMPLE"],
    "_dmarc.example.org": ["_DMARC.example.org"],
    "xn--bcher-kva.example": ["bücher.example", "BÜCHER.example.", "XN--BCHER-KVA.example", "bu\u0308cher.example"],
    "127.0.0.1": ["127.0.0.1.", "127。0。0。1"],
    "::1": ["[::1]", "0:0:0:0:0:0:0:1", "[0000::0001]"],
    "::ffff:7f00:1": ["::FFFF:7F00:1"],
    "2001:db8::a": ["[2001:DB8:0::A]"],
}
NOT_NAMES = [
    *("", ".", "..", "example..org", ".example.org", "example.org..", "-example.org", "example-.org"),
    *(
        "user@example.org",
        "user:pass@example.org",
        "example.org@evil.test",
        "exam%70le.org",
        "example.org%00.evil.test",
    ),
    *(
        "example.org\0.evil.test",
        "example.org\t",
        " example.org",
        "example.org ",
        "example.org\r\n",
        "example\u00a0.org",
    ),
    *("example.org/", "example.org\\evil.test", "example.org?x", "example.org#x", "*.example.org", "a,b", "a;b"),
    *("a" * 64, ".".join(["a" * 60] * 5), "example\u200b.org\u2028", "\ud800.example"),
    # Numbers that some libraries read as addresses.
    *("127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.01", "127.0.0.256"),
    *("1.2.3.4.5", "example.0x", "example.99", "127.0.0.1..", "0", "0x", "１２７.0.0.1"),
    *(
        "[127.0.0.1]",
        "[::1",
        "::1]",
        "[[::1]]",
        "[]",
        ":",
        "fe80::1%eth0",
        "[fe80::1%25eth0]",
        "1::2::3",
        "[example.org]",
    ),
    *("::127.0.0.01", "::ffff:127.1", "example.org:80:80"),
]


@pytest.mark.prop("NE08")
@pytest.mark.parametrize(
    ("wanted", "form"), [(wanted, form) for wanted, forms in SAME.items() for form in (wanted, *forms)]
)
def test_all_ways_to_write_a_host_are_one(wanted: str, form: str) -> None:
    assert canonical(form) == wanted
    assert canonical(canonical(form)) == wanted


@pytest.mark.prop("NE08")
@pytest.mark.parametrize("text", NOT_NAMES, ids=repr)
def test_what_others_may_read_otherwise_is_no_host(text: str) -> None:
    with pytest.raises(BadName):
        canonical(text)


@pytest.mark.prop("NE08")
@pytest.mark.parametrize("text", ["0", "127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
def test_the_numbers_are_addresses_to_the_c_library(text: str) -> None:
    """Why they are refused: this is what a resolver would have made of them."""
    found = socket.getaddrinfo(text, 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    assert found[0][4][0] in ("127.0.0.1", "0.0.0.0")


SPLIT = {
    "example.org:443": Target("example.org", 443),
    "EXAMPLE.ORG.:1": Target("example.org", 1),
    "example.org:65535": Target("example.org", 65535),
    "127.0.0.1:8000": Target("127.0.0.1", 8000),
    "[::1]:80": Target("::1", 80),
}
DEFAULTED = {"example.org": "example.org", "[::1]": "::1", "::1": "::1", "10.0.0.1": "10.0.0.1"}
NO_TARGETS = [
    *("example.org", "", ":443", "example.org:", "[::1]", "[::1]:", "[::1]443", "[::1:443", "::1:443", "::1"),
    *(
        "example.org:0",
        "example.org:65536",
        "example.org:99999",
        "example.org:443443",
        "example.org:-1",
        "example.org:+1",
    ),
    *(
        "example.org:080",
        "example.org: 80",
        "example.org:80 ",
        "example.org:8_0",
        "example.org:٤٤٣",
        "example.org:0x50",
    ),
    *("example.org:80:443", "user@example.org:443", "http://example.org:443", "example.org:443/", "example.org:https"),
]


@pytest.mark.parametrize("text", SPLIT)
def test_host_and_port(text: str) -> None:
    assert split(text) == SPLIT[text]
    assert split(text, 7) == SPLIT[text]
    assert split(str(SPLIT[text])) == SPLIT[text]


@pytest.mark.parametrize("text", DEFAULTED)
def test_without_a_port_there_is_a_default_or_none(text: str) -> None:
    assert split(text, 443) == Target(DEFAULTED[text], 443)


@pytest.mark.prop("NE08")
@pytest.mark.parametrize("text", NO_TARGETS, ids=repr)
def test_what_is_no_host_and_port(text: str) -> None:
    with pytest.raises(BadName):
        split(text)


@pytest.mark.prop("NE08")
@pytest.mark.parametrize("text", ["example.org:", "[::1]:", "example.org:80:443", ":443", "", "[::1]x"], ids=repr)
def test_a_default_does_not_repair_it(text: str) -> None:
    with pytest.raises(BadName):
        split(text, 443)


def test_messages_hold_nothing_that_could_be_another_line() -> None:
    with pytest.raises(BadName) as caught:
        canonical("a\r\nX-Injected: 1" + "b" * 1000)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_addresses_are_known_as_such() -> None:
    assert is_address("10.0.0.1")
    assert is_address("::1")
    assert Target("::1", 80).is_address
    assert not is_address("example.org")
    assert not is_address("1.2.3")
