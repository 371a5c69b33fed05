"""One gateway for most tests, more on demand; every test gives back all that it took."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .client import House, Session
from .gateway import MODULE, Gateway

MakeGateway = Callable[..., Gateway]


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("gateway") / "data")
    try:
        gateway.start()
        gateway.remember_baseline()
        yield gateway
        gateway.stop()
    finally:
        gateway.abandon()


@pytest.fixture
def house(shared_gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[House]:
    """The shared gateway, and afterwards the proof that this test leaked nothing."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", request.node.name)[:70]
    house = House(shared_gateway, f"{name}.{uuid.uuid4().hex[:8]}")
    try:
        yield house
        house.delete_sessions()
    finally:
        house.close()
    shared_gateway.assert_nothing_leaked()


@pytest.fixture
def session(house: House) -> Session:
    return house.session()


@pytest.fixture
def make_gateway(tmp_path: Path) -> Iterator[MakeGateway]:
    """Starts gateways with other settings; all are stopped, and checked for what they leave."""
    made: list[Gateway] = []

    def make(data_dir: Path | None = None, **options: object) -> Gateway:
        gateway = Gateway(data_dir or tmp_path / f"data{len(made)}", MODULE, **options)
        made.append(gateway)
        return gateway.start()

    try:
        yield make
        for gateway in made:
            gateway.stop()
    finally:
        for gateway in made:
            gateway.abandon()


@pytest.fixture
def make_house(make_gateway: MakeGateway) -> Iterator[Callable[..., House]]:
    """A gateway with other settings and a client of it."""
    made: list[House] = []

    def make(**options: object) -> House:
        house = House(make_gateway(**options), "other")
        made.append(house)
        return house

    yield make
    for house in made:
        house.close()
