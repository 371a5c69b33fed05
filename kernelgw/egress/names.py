"""One reading of host names, for rules and requests alike: what two readers read differently gets past one of them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

import idna

LONGEST_NAME = 253
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
NUMERIC = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


class BadName(ValueError):
    """No host, or one written so that others may read it as another; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """`host` in its one canonical form: lower case, ASCII, no dot at the end; an address without brackets."""

    host: str
    port: int

    @property
    def is_address(self) -> bool:
        return is_address(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def canonical(host: str) -> str:
    """Raises BadName."""
    if any(ord(each) <= 32 or ord(each) == 127 or each in "@%/\\?#,;\"'<>" for each in host):
        raise BadName(f"{host[:80]!r} has characters that no host has")
    if host.startswith("[") and host.endswith("]"):
        return _address(host[1:-1], ipaddress.IPv6Address)
    if ":" in host:
        return _address(host, ipaddress.IPv6Address)
    name = host.removesuffix(".")
    labels = name.split(".")
    if NUMERIC.fullmatch(labels[-1]):
        return _address(name, ipaddress.IPv4Address)
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise BadName(f"{host[:80]!r}: {error}") from None
        # Full-width digits and dots become plain ones only here.
        return canonical(name)
    name = name.lower()
    if len(name) > LONGEST_NAME or not all(LABEL.fullmatch(label) for label in name.split(".")):
        raise BadName(f"{host[:80]!r} is no host name")
    return name


def _address(text: str, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> str:
    try:
        address = kind(text)
    except ValueError:
        raise BadName(f"{text[:80]!r} is no address in its usual form") from None
    return str(address)


def split(text: str, default: int | None = None) -> Target:
    """host, host:port, [v6], [v6]:port. Raises BadName, also when there is neither a port nor a default."""
    host, port = text, ""
    if text.startswith("["):
        host, found, port = text.partition("]")
        if not found or (port and not port.startswith(":")):
            raise BadName(f"{text[:80]!r} is no host and port")
        host, port = host + "]", port[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if port == "" and default is not None and not text.endswith(":"):
        return Target(canonical(host), default)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536 and port[0] != "0"):
        raise BadName(f"{text[:80]!r} has no port from 1 to 65535")
    return Target(canonical(host), int(port))


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
