"""Those at the other end, before a token tells who they are: counted by address, so that nobody takes every place."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

# Addresses of which failures are remembered. The one that failed longest ago is forgotten first.
REMEMBERED = 4096


def network(address: str) -> str:
    """What one peer has for itself: an IPv4 address, or the /64 that an IPv6 host may number as it likes."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


class Guest(Protocol):
    """A connection, to the door."""

    peer: str

    def throw_out(self) -> None:
        """Ends it now."""


class Door:
    """Counts connections. When there are too many, those give way that have shown no token, the oldest first.

    `most`: in all. `most_strangers`: of one peer, as long as they have shown no token.
    """

    def __init__(self, most: int, most_strangers: int) -> None:
        self.most = most
        self.most_strangers = most_strangers
        self.inside = 0
        # In the order in which they came; both have the same.
        self._strangers: dict[Guest, None] = {}
        self._of: dict[str, dict[Guest, None]] = {}

    @property
    def strangers(self) -> int:
        return len(self._strangers)

    def enter(self, guest: Guest) -> bool:
        """False when every place is taken by somebody with a token."""
        here = self._of.get(guest.peer, {})
        if len(here) >= self.most_strangers:
            self._throw_out(next(iter(here)))
        if self.inside >= self.most:
            if not self._strangers:
                return False
            self._throw_out(next(iter(self._strangers)))
        self.inside += 1
        self._strangers[guest] = None
        self._of.setdefault(guest.peer, {})[guest] = None
        return True

    def know(self, guest: Guest) -> None:
        """It has shown the token: from now on it stays."""
        self._forget(guest)

    def leave(self, guest: Guest) -> None:
        """Once for each that has entered, unless it was thrown out."""
        self._forget(guest)
        self.inside -= 1

    def _throw_out(self, guest: Guest) -> None:
        self.leave(guest)
        guest.throw_out()

    def _forget(self, guest: Guest) -> None:
        if guest not in self._strangers:
            return
        del self._strangers[guest]
        here = self._of[guest.peer]
        del here[guest]
        if not here:
            del self._of[guest.peer]


class Tries:
    """How often each peer may be wrong: `most` times at once, and as often again in each minute."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self._clock = clock
        # When what a peer has used up will all have come back.
        self._clear_at: OrderedDict[str, float] = OrderedDict()

    def failed(self, peer: str) -> float:
        """Counts a failure. Seconds until the next one is listened to, 0 when this one still was."""
        now = self._clock()
        cost = 60 / self.most
        clear_at = max(self._clear_at.get(peer, now), now)
        if (early := clear_at + cost - 60 - now) > 1e-6:
            return early
        self._clear_at[peer] = clear_at + cost
        self._clear_at.move_to_end(peer)
        if len(self._clear_at) > REMEMBERED:
            self._clear_at.popitem(last=False)
        return 0.0
