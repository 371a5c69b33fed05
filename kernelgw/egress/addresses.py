"""Addresses that no name may lead a session to: everything that is not plainly somebody else's on the internet."""

from __future__ import annotations

import ipaddress
from pathlib import Path

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Where clouds tell a machine its secrets. Never reachable, whatever the operator trusts.
METADATA = (
    "169.254.0.0/16",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "fd00:ec2::/32",
    "fd20:ce::254/128",
    "fe80::/10",
)
# IPv6 in which an IPv4 address travels: the other end of such a tunnel or translator is anybody, this host included.
CARRIERS = ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
SPECIAL = (
    *("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4"),
    *("2001::/23", "2001:db8::/32", "3fff::/20"),
)
# All of IPv6 that is given out for hosts of the internet.
GLOBAL_6 = ("2000::/3",)
ROUTES = Path("/proc/net/fib_trie")
INTERFACES_6 = Path("/proc/net/if_inet6")


def is_metadata(address: IPAddress) -> bool:
    inner = _carried(address)
    return _within(address, METADATA) or (inner is not None and _within(inner, METADATA))


def forbidden(address: IPAddress, own: frozenset[IPAddress]) -> str | None:
    """Why a session may not reach it; None when it may. `own`: this host's addresses."""
    if is_metadata(address):
        return "an address of the machine's own network or cloud"
    if address in own:
        return "this machine itself"
    if _within(address, CARRIERS):
        return "an IPv4 address inside an IPv6 one"
    if address.is_multicast:
        return "a multicast address"
    if address.is_loopback or address.is_unspecified:
        return "this machine itself"
    if not address.is_global or _within(address, SPECIAL) or (address.version == 6 and not _within(address, GLOBAL_6)):
        return "a private or reserved address"
    return None


def is_here(address: IPAddress, own: frozenset[IPAddress]) -> bool:
    """Whether it leads back to this host, in whatever it is wrapped."""
    forms = [each for each in (address, _carried(address)) if each is not None]
    return any(each in own or each.is_loopback or each.is_unspecified for each in forms)


def _within(address: IPAddress, networks: tuple[str, ...]) -> bool:
    return any(address in ipaddress.ip_network(network) for network in networks)


def _carried(address: IPAddress) -> IPAddress | None:
    """The IPv4 address in an IPv6 one, whichever way it is carried."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if _within(address, CARRIERS) else None


def of_this_host() -> frozenset[IPAddress]:
    """Read when needed, since addresses come and go."""
    found: set[IPAddress] = set()
    lines = ROUTES.read_text().splitlines() if ROUTES.exists() else []
    address = ""
    for line in lines:
        if "|-- " in line:
            address = line.split()[-1]
        elif "/32 host LOCAL" in line:
            found.add(ipaddress.ip_address(address))
    for line in INTERFACES_6.read_text().splitlines() if INTERFACES_6.exists() else []:
        found.add(ipaddress.IPv6Address(int(line.split()[0], 16)))
    return frozenset(found)
