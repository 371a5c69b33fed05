"""What a session may use: what it asked for, held against what the operator allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..egress.rules import BadRule, Rules
from ..errors import BadRequest, NetworkNotAllowed
from ..kernel.launcher import Terms
from ..sandbox.policy import Limits
from ..settings import Settings

ASK_FOR_LESS = "Ask for less, or raise the gateway's own setting."


def agree(settings: Settings, limits: Mapping[str, float], network: Any, controllers: frozenset[str]) -> Terms:
    """`controllers`: of the cgroups that there are. Raises BadRequest, NetworkNotAllowed."""
    if "cpus" in limits and "cpu" not in controllers:
        raise BadRequest("limits: cpus cannot be held here, where there is no cpu cgroup.", "Leave it out.")
    try:
        allowed = Limits.of(settings).but(limits)
    except ValueError as error:
        raise BadRequest(f"limits: {error}.", ASK_FOR_LESS) from None
    return Terms(allowed, *_network(settings, network))


def _network(settings: Settings, network: Any) -> tuple[Rules | None, bool]:
    if network == "off":
        return None, False
    kind = network if isinstance(network, str) else "allow"
    if kind not in settings.networks:
        raise NetworkNotAllowed(f"Sessions may not have network {kind!r} here.")
    if settings.isolation == "none":
        raise NetworkNotAllowed("Without isolation there is no network to allow: sessions have the machine's own.")
    if kind == "packages":
        return None, True
    if kind == "full":
        return Rules.full(), False
    try:
        return Rules.parse(network["allow"]), False
    except BadRule as error:
        raise BadRequest(f"network: {error}", 'Use names like "example.org", "*.example.org", "host:port".') from None
