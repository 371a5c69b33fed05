"""Which hosts a session may reach. An empty list is nobody."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .names import BadName, Target, canonical, split

DEFAULT_PORTS = frozenset({80, 443})
# All rules of a session together; they travel in one message.
MOST_CHARACTERS = 64 << 10


class BadRule(ValueError):
    """A rule that cannot be followed; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`host` exactly, or with `below` every name that ends in it after a dot."""

    host: str
    below: bool
    ports: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Rule:
        """ "host", "*.suffix", either with ":port". Raises BadRule."""
        try:
            below = text.startswith("*.")
            target = split(text[2:] if below else text, default=0)
        except BadName as error:
            raise BadRule(f"{text[:80]!r} is no rule: {error}") from None
        if below and (target.is_address or "." not in target.host):
            raise BadRule(f"{text[:80]!r} is no rule: a suffix has two names at least")
        return cls(target.host, below, frozenset({target.port}) if target.port else DEFAULT_PORTS)

    def permits(self, target: Target) -> bool:
        if target.port not in self.ports:
            return False
        return target.host.endswith("." + self.host) if self.below else target.host == self.host

    def __str__(self) -> str:
        ports = "" if self.ports == DEFAULT_PORTS else f":{min(self.ports)}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return ("*." if self.below else "") + host + ports


@dataclass(frozen=True, slots=True)
class Rules:
    """`trusted`: hosts that the operator set the machine up with, which may lead to private addresses."""

    allow: tuple[Rule, ...] = ()
    trusted: tuple[Rule, ...] = ()
    everything: bool = False

    @classmethod
    def parse(cls, allow: Iterable[str], trusted: Iterable[str] = ()) -> Rules:
        """Raises BadRule."""
        allow, trusted = tuple(allow), tuple(trusted)
        if sum(len(text) for text in (*allow, *trusted)) > MOST_CHARACTERS:
            raise BadRule(f"the rules have more than {MOST_CHARACTERS} characters together")
        return cls(tuple(map(Rule.parse, allow)), tuple(map(Rule.parse, trusted)))

    @classmethod
    def full(cls) -> Rules:
        """Everything public, on the usual ports of the web."""
        return cls(everything=True)

    def permits(self, target: Target) -> bool:
        if self.everything and target.port in DEFAULT_PORTS and not target.is_address:
            return True
        return self.trusts(target) or any(rule.permits(target) for rule in self.allow)

    def trusts(self, target: Target) -> bool:
        return any(rule.permits(target) for rule in self.trusted)

    def as_json(self) -> dict[str, Any]:
        return {
            "allow": [str(rule) for rule in self.allow],
            "trusted": [str(rule) for rule in self.trusted],
            "everything": self.everything,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Rules:
        parsed = cls.parse(data["allow"], data["trusted"])
        return cls(parsed.allow, parsed.trusted, bool(data["everything"]))


@dataclass(frozen=True, slots=True)
class Trust:
    """The operator's word that a name may lead to addresses that are otherwise refused."""

    host: str
    network: str

    @classmethod
    def parse(cls, text: str) -> Trust:
        """ "host=CIDR". Raises BadRule."""
        host, found, network = text.partition("=")
        try:
            if not found:
                raise ValueError("it is written host=CIDR")
            return cls(canonical(host), str(ipaddress.ip_network(network)))
        except ValueError as error:
            raise BadRule(f"{text[:80]!r} is no exception: {error}") from None


def trusts(texts: Sequence[str]) -> tuple[Trust, ...]:
    """Raises BadRule."""
    return tuple(map(Trust.parse, texts))


def upstream(url: str) -> Target | None:
    """Of "http://host:port"; None for "". Raises BadRule: what is not understood must not mean no proxy."""
    try:
        if not url:
            return None
        if not url.startswith("http://") or "@" in url:
            raise BadName("it is written http://host:port, without user and password")
        return split(url.removeprefix("http://").removesuffix("/"))
    except BadName as error:
        raise BadRule(f"{url.rpartition('@')[2][:80]!r} is no proxy: {error}") from None
