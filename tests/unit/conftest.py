"""What the unit tests share: no processes, no network but loopback, one event loop of asyncio's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .egress import HERE, House


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """For outlets of the egress proxy, with two names that lead to loopback."""
    house = House({"allowed.test": [HERE], "other.test": [HERE]})
    yield house
    await house.close()
