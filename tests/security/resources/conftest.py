"""One session uses up all that it can get: it ends at its limits, is told so, and the others notice nothing.

In each way of running a gateway that forks its kernels: how they start makes no difference to what they may use. Where
something holds only in some of these, the test says in which.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.client import House, Session, visiting

from .. import matrix
from ..conftest import World
from .limits import FORKING, GRACE_S, LIMITS


@pytest.fixture(scope="package", params=FORKING, ids=str)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with matrix.gateway(request.param, grace_s=GRACE_S) as gateway:
        gateway.remember_baseline()
        yield World(request.param, gateway)


@pytest.fixture
def house(world: World, request: pytest.FixtureRequest) -> Iterator[House]:
    with visiting(world.gateway, request.node.name, timeout=100) as house:
        yield house


@pytest.fixture
def session(house: House) -> Session:
    return house.session(limits=LIMITS)


@pytest.fixture
def neighbour(house: House) -> Iterator[Session]:
    """Has a variable before; afterwards it still has it, others can start, and the gateway answers."""
    neighbour = house.session()
    neighbour.run("kept = 41")
    yield neighbour
    assert neighbour.value("print(kept + 1)", timeout_s=30) == "42\n"
    assert house.session().value("print('new')", timeout_s=30) == "new\n"
    assert house.client.get("/healthz").status_code == 200
