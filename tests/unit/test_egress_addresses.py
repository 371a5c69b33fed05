"""Which addresses nobody is led to, in every form that IPv6 has for them."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from kernelgw.egress.addresses import IPAddress, forbidden, is_here, is_metadata, of_this_host

NONE: frozenset[IPAddress] = frozenset()
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.0", "192.0.1.1", "169.253.255.255"),
    *("100.63.255.255", "100.128.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "11.0.0.0"),
    *("2606:4700::1111", "2001:4860:4860::8888", "2a00::1", "2001:200::1", "3ffe::1"),
]
METADATA = [
    *("169.254.169.254", "169.254.0.1", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::a9fe:a9fe"),
]
REFUSED = [
    *(
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.255.255.254",
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
    ),
    *(
        "192.168.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.255",
    ),
    *("100.64.0.1", "100.127.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *(
        "::",
        "::1",
        "fc00::1",
        "fdff::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "100::1",
        "2001:db8::1",
        "2001::1",
        "2001:10::1",
    ),
    *("2001:20::1", "3fff::1", "5f00::1", "4000::1", "8000::1", "200::1", "64:ff9b:1::1"),
]
FORMS = {
    "mapped": lambda v4: f"::ffff:{v4}",
    "compatible": lambda v4: f"::{v4}",
    "translated": lambda v4: f"::ffff:0:{v4}",
    "nat64": lambda v4: f"64:ff9b::{v4}",
    "nat64-local": lambda v4: f"64:ff9b:1::{v4}",
    "6to4": lambda v4: str(ipaddress.IPv6Address((0x2002 << 112) | (int(ipaddress.IPv4Address(v4)) << 80) | 1)),
    "teredo": lambda v4: str(
        ipaddress.IPv6Address((0x20010000 << 96) | (0x01010101 << 64) | (int(ipaddress.IPv4Address(v4)) ^ 0xFFFFFFFF))
    ),
}


@pytest.mark.prop("NE09")
@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_may_be_reached(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert forbidden(address, NONE) is None
    assert forbidden(address, frozenset({address})) == "this machine itself"


@pytest.mark.prop("NE09")
@pytest.mark.parametrize("text", [*REFUSED, *METADATA])
def test_others_may_not(text: str) -> None:
    assert forbidden(ipaddress.ip_address(text), NONE)


@pytest.mark.prop("NE09")
@pytest.mark.parametrize("text", METADATA)
def test_what_clouds_tell_machines_is_known_as_such(text: str) -> None:
    assert is_metadata(ipaddress.ip_address(text))


def test_not_everything_private_is_metadata() -> None:
    assert [text for text in (*REFUSED, *PUBLIC) if is_metadata(ipaddress.ip_address(text))] == []


@pytest.mark.prop("NE09")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("inner", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.100.100.200", "8.8.8.8"])
def test_no_ipv4_address_is_reached_in_ipv6(form: str, inner: str) -> None:
    address = ipaddress.ip_address(FORMS[form](inner))
    assert forbidden(address, NONE)
    assert is_metadata(address) == is_metadata(ipaddress.ip_address(inner))
    assert is_here(address, NONE) == (inner == "127.0.0.1")
    assert is_here(address, frozenset({ipaddress.ip_address("8.8.8.8")})) == (inner in ("127.0.0.1", "8.8.8.8"))


def test_what_is_here() -> None:
    own = frozenset({ipaddress.ip_address("198.51.100.7"), ipaddress.ip_address("2a00::7")})
    here = ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "198.51.100.7", "2a00::7", "::ffff:198.51.100.7"]
    assert [text for text in here if not is_here(ipaddress.ip_address(text), own)] == []
    assert [text for text in ("198.51.100.8", "10.0.0.1", "2a00::8") if is_here(ipaddress.ip_address(text), own)] == []


def test_this_host_s_addresses_are_found() -> None:
    """All those that a socket can be bound to, as far as one can be asked for."""
    found = of_this_host()
    assert ipaddress.ip_address("127.0.0.1") in found
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.200", 9))
        except OSError:
            return
        assert ipaddress.ip_address(probe.getsockname()[0]) in found
    for address in found:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_STREAM) as bound:
            if not address.is_link_local:
                bound.bind((str(address), 0))
