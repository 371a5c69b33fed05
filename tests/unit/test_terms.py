"""What sessions ask for, held against what the operator allows."""

from __future__ import annotations

from typing import Any

import pytest

from kernelgw.egress.rules import Rules
from kernelgw.errors import BadRequest, NetworkNotAllowed
from kernelgw.kernel.fences import raise_fences
from kernelgw.sessions.terms import agree
from kernelgw.settings import BadSetting, Settings

LISTED = {"allow": ["example.org", "*.example.org:8443"]}


def network(asked: Any, **settings: Any) -> tuple[Rules | None, bool]:
    terms = agree(Settings(**settings), {}, asked, frozenset({"cpu"}))
    return terms.network, terms.packages


@pytest.mark.prop("NE07")
def test_what_is_asked_for_is_what_is_given() -> None:
    everything = {"networks": ("packages", "allow", "full")}
    assert network("off") == (None, False)
    assert network("packages") == (None, True)
    assert network(LISTED) == (Rules.parse(LISTED["allow"]), False)
    assert network({"allow": []}) == (Rules(), False)
    assert network("full", **everything) == (Rules.full(), False)
    assert network("off", networks=()) == (None, False)


@pytest.mark.prop("NE07")
@pytest.mark.parametrize(
    ("asked", "networks"), [("full", ("packages", "allow")), ("packages", ("allow",)), (LISTED, ("full",))]
)
def test_what_the_operator_does_not_allow(asked: Any, networks: tuple[str, ...]) -> None:
    with pytest.raises(NetworkNotAllowed):
        network(asked, networks=networks)


@pytest.mark.parametrize("asked", ["packages", LISTED, "full"])
def test_without_isolation_there_is_none_to_give(asked: Any) -> None:
    with pytest.raises(NetworkNotAllowed, match="the machine's own"):
        network(asked, isolation="none", networks=("packages", "allow", "full"))


def test_rules_that_cannot_be_followed() -> None:
    for rule in ("*", "http://example.org", "a" * 70_000):
        with pytest.raises(BadRequest, match="network: "):
            network({"allow": [rule]})


@pytest.mark.parametrize(
    "setting",
    [
        {"package_hosts": ("http://mirror.test",)},
        {"network_private": ("mirror.test",)},
        {"network_upstream": "proxy.test:3128"},
        {"network_upstream": "http://user:secret@proxy.test:3128"},
    ],
)
def test_settings_that_are_not_understood_stop_the_gateway(tmp_path: Any, setting: dict[str, Any]) -> None:
    """Rather than that they mean nothing, and sessions reach more, or less, than was meant."""
    with pytest.raises(BadSetting, match=next(iter(setting))) as caught:
        raise_fences(Settings(data_dir=tmp_path, isolation="none", **setting))
    assert "secret" not in str(caught.value)


def test_what_nothing_holds_is_refused() -> None:
    with pytest.raises(BadRequest, match="cpus cannot be held"):
        agree(Settings(), {"cpus": 1.0}, "off", frozenset({"memory"}))
    assert agree(Settings(), {"cpus": 1.0}, "off", frozenset({"cpu"})).limits.cpus == 1.0
