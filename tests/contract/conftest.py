"""One gateway, for clients that others have written."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest

from tests.live.client import House, visiting
from tests.live.gateway import Gateway


@pytest.fixture(scope="package")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("gateway") / "data")
    with gateway:
        gateway.remember_baseline()
        yield gateway


@pytest.fixture(scope="class", autouse=True)
def _what_clients_leave_open() -> Iterator[None]:
    """Theirs to close, and no failure of ours."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def house(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[House]:
    """Afterwards the proof that the client left nothing."""
    with visiting(gateway, request.node.name) as house:
        yield house
