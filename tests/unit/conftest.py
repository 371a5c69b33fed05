"""What the unit tests share: no processes, no network, one event loop of asyncio's own."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
