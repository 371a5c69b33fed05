from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.gateway import MODULE, Gateway

Start = Callable[..., Gateway]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Gateways on one data directory, one after the other."""
    with contextlib.ExitStack() as stack:

        def start(**options: object) -> Gateway:
            return stack.enter_context(Gateway(tmp_path / "data", MODULE, pool_size=1, **options))

        yield start
