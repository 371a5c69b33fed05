"""A gateway for each way of running one, with canaries around it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.live.client import House
from tests.live.gateway import Gateway

from . import matrix
from .canaries import Canaries, planted
from .matrix import Configuration


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
        gateway.remember_baseline()
        yield World(configuration, gateway)


@pytest.fixture
def house(world: World, request: pytest.FixtureRequest) -> Iterator[House]:
    """Sessions of that gateway; afterwards the proof that nothing is left of them."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", request.node.name)[:70]
    house = House(world.gateway, f"{name}.{uuid.uuid4().hex[:8]}")
    try:
        yield house
        house.delete_sessions()
    finally:
        house.close()
    world.gateway.assert_nothing_leaked()
