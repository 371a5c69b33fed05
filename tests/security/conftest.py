"""A gateway for each way of running one, with canaries around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.live.client import House, visiting
from tests.live.gateway import Gateway

from . import matrix
from .canaries import Canaries, planted
from .matrix import Configuration


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In gVisor, too, run those that are marked `in_gvisor`, and not again `in_gvisor(False)`."""
    left_out = [item for item in items if _is_in_gvisor(item) and not _wants_gvisor(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_in_gvisor(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    configuration = call.params.get("world") if call is not None else None
    return isinstance(configuration, Configuration) and configuration.start == "gvisor"


def _wants_gvisor(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("in_gvisor")
    return marker is not None and marker.args != (False,)


@dataclass(frozen=True)
class World:
    """A gateway that runs in one of the possible ways."""

    configuration: Configuration
    gateway: Gateway


@pytest.fixture(scope="session")
def canaries() -> Iterator[Canaries]:
    with planted() as canaries:
        yield canaries
        assert canaries.visitors() == 0, "somebody came to a canary"


@pytest.fixture(scope="session", params=matrix.configurations(), ids=str)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    configuration: Configuration = request.param
    with matrix.gateway(configuration) as gateway:
        matrix.start_proxy(gateway)
        gateway.remember_baseline()
        yield World(configuration, gateway)


@pytest.fixture
def house(world: World, request: pytest.FixtureRequest) -> Iterator[House]:
    """Sessions of that gateway; afterwards the proof that nothing is left of them."""
    with visiting(world.gateway, request.node.name) as house:
        yield house
