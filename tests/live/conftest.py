"""One gateway for most tests, more on demand; every test gives back all that it took."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .client import House, Session, visiting
from .executing import Execute, executing
from .gateway import MODULE, Gateway
from .jupyter import Client, attached, kernel_of
from .lab import Lab

MakeGateway = Callable[..., Gateway]


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("gateway") / "data")
    with gateway:
        gateway.remember_baseline()
        yield gateway


@pytest.fixture
def house(shared_gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[House]:
    """The shared gateway, and afterwards the proof that this test leaked nothing."""
    with visiting(shared_gateway, request.node.name) as house:
        yield house


@pytest.fixture
def execute(house: House) -> Execute:
    return executing(house)


@pytest.fixture
def session(house: House) -> Session:
    return house.session()


@pytest.fixture
def chat(session: Session) -> Session:
    """With a variable of its bot's."""
    session.run("x = 20")
    return session


@pytest.fixture(params=[True, False], ids=["v1", "legacy"])
def lab(house: House, chat: Session, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A Jupyter client at the chat's kernel, in either protocol."""
    with attached(house.gateway, kernel_of(chat), request.param) as client:
        yield client


@pytest.fixture(scope="module")
def shared_lab(shared_gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab at the shared gateway, by `kernelgw lab`."""
    with Lab(tmp_path_factory.mktemp("lab"), shared_gateway.url) as lab:
        yield lab


@pytest.fixture
def make_gateway(tmp_path: Path) -> Iterator[MakeGateway]:
    """Starts gateways with other settings; all are stopped, and checked for what they leave."""
    with contextlib.ExitStack() as made:
        count = itertools.count()

        def make(data_dir: Path | None = None, **options: object) -> Gateway:
            return made.enter_context(Gateway(data_dir or tmp_path / f"data{next(count)}", MODULE, **options))

        yield make


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
