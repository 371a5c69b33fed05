"""From a target to a connection: resolved once, looked at, and dialled at the very address that was looked at."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from .addresses import IPAddress, forbidden, is_here, is_metadata, of_this_host
from .names import Target
from .requests import Refusal
from .rules import Rules, Trust
from .streams import Peer, connect

MOST_ADDRESSES = 4
# When another proxy looks names up anyway, ours is a second look that should not hold things up.
SECOND_LOOK_S = 1.0

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


@dataclass(frozen=True)
class Bounds:
    """What one session may use up of the proxy that all share. `per_second`: connections; `lookups`: names that are
    being looked up at one time; `told_per_second`: verdicts."""

    connections: int = 64
    per_second: int = 100
    lookups: int = 4
    told_per_second: int = 20
    bytes: int = 20 << 30
    head_s: float = 10.0
    resolve_s: float = 5.0
    connect_s: float = 10.0
    idle_s: float = 300.0
    lifetime_s: float = 3600.0
    close_s: float = 5.0


@dataclass(frozen=True)
class World:
    """What holds for all sessions. `own_ports`, `own_names`: the gateway's, which nobody reaches by any name."""

    trusts: Sequence[Trust] = ()
    own_ports: frozenset[int] = frozenset()
    own_names: frozenset[str] = frozenset()
    upstream: Target | None = None
    bounds: Bounds = field(default_factory=Bounds)
    resolve: Resolve = resolve
    own_addresses: Callable[[], frozenset[IPAddress]] = of_this_host


class Dialer:
    """For one session."""

    def __init__(self, rules: Rules, world: World) -> None:
        self.rules = rules
        self.world = world
        self._lookups = asyncio.Semaphore(world.bounds.lookups)

    async def dial(self, target: Target, tunnel: bool) -> Peer:
        """Raises Refusal."""
        if not self.rules.permits(target):
            raise Refusal(403, f"{target} is not among the hosts that this session may reach")
        if target.host in self.world.own_names:
            raise Refusal(403, f"{target.host} is the gateway itself")
        if (upstream := self.upstream(target)) is not None:
            await self._look_twice(target)
            return await self._through(upstream, target, tunnel)
        for address in (await self._addresses(target, self.world.bounds.resolve_s))[:MOST_ADDRESSES]:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(self.world.bounds.connect_s):
                    return await connect(address, target.port)
        raise Refusal(502, f"{target} does not answer")

    def upstream(self, target: Target) -> Target | None:
        """The proxy on the way to it; names that may be private are this network's own, and dialled directly."""
        excepted = any(trust.host == target.host for trust in self.world.trusts)
        return None if excepted else self.world.upstream

    async def _look_twice(self, target: Target) -> None:
        """Names that only the other proxy knows are for it to judge."""
        try:
            await self._addresses(target, SECOND_LOOK_S)
        except Refusal as refused:
            if refused.status != 502:
                raise

    async def _addresses(self, target: Target, timeout_s: float) -> list[str]:
        """Those that may be dialled. Raises Refusal: 502 when there are none at all, 403 when none may be."""
        try:
            async with asyncio.timeout(timeout_s):
                found = [target.host] if target.is_address else await self._look_up(target)
        except (OSError, TimeoutError, UnicodeError):
            raise Refusal(502, f"the name {target.host} is not known") from None
        own = self.world.own_addresses()
        complaint = "it has no address"
        usable = []
        for text in found:
            why = self._refused(target, ipaddress.ip_address(text.partition("%")[0]), own)
            if why is None:
                usable.append(text)
            complaint = why or complaint
        if not usable:
            raise Refusal(403, f"{target.host} may not be reached: {complaint}")
        return usable

    async def _look_up(self, target: Target) -> Sequence[str]:
        """Few at a time, since a lookup that is given up on still keeps a thread until it ends by itself."""
        await self._lookups.acquire()
        lookup = asyncio.ensure_future(self.world.resolve(target.host, target.port))
        lookup.add_done_callback(self._looked_up)
        return await asyncio.shield(lookup)

    def _looked_up(self, lookup: asyncio.Future[Sequence[str]]) -> None:
        self._lookups.release()
        if not lookup.cancelled():
            # Seen, so that nobody complains that it was not.
            lookup.exception()

    def _refused(self, target: Target, address: IPAddress, own: frozenset[IPAddress]) -> str | None:
        why = forbidden(address, own)
        if why is None or is_metadata(address):
            return why
        if target.port in self.world.own_ports and is_here(address, own):
            return why
        return None if self.rules.trusts(target) or self._excepted(target, address) else why

    def _excepted(self, target: Target, address: IPAddress) -> bool:
        networks = [trust.network for trust in self.world.trusts if trust.host == target.host]
        return any(address in ipaddress.ip_network(network) for network in networks)

    async def _through(self, upstream: Target, target: Target, tunnel: bool) -> Peer:
        """By another proxy, which is told the name. Raises Refusal."""
        try:
            async with asyncio.timeout(self.world.bounds.connect_s):
                peer = await connect(upstream.host, upstream.port)
                try:
                    if tunnel:
                        await _ask_for_tunnel(peer, target)
                except BaseException:
                    peer.writer.transport.abort()
                    raise
                return peer
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise Refusal(502, "the network's own proxy does not answer") from None


async def _ask_for_tunnel(peer: Peer, target: Target) -> None:
    peer.writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    answer = await peer.reader.readuntil(b"\r\n\r\n")
    if answer.split(b" ", 2)[1:2] != [b"200"]:
        raise Refusal(502, f"the network's own proxy refuses {target}")
