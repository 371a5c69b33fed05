"""The properties that one session shows by itself: in every way of running a gateway, with and without a network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernelgw.doctor import probes
from kernelgw.doctor.probes import Result
from tests.live.client import House
from tests.live.gateway import TOKEN

from . import controls
from .canaries import Canaries, expectations
from .conftest import World
from .matrix import ALLOWLIST, CANARY, MEMORY_CANARY

pytestmark = [pytest.mark.live, pytest.mark.in_gvisor]

IDS = [id_ for name in probes.FILES for id_ in probes.ids(name)]
EACH = [pytest.param(id_, marks=pytest.mark.prop(id_)) for id_ in IDS]
# Where a gateway that is not root must show more: a workspace is then a directory, bound by its own path.
OPEN_TO_PLAIN = {"FS12"}


@pytest.fixture(scope="module", params=["off", "allowlist", "second"])
def tried(request: pytest.FixtureRequest, world: World, canaries: Canaries) -> Iterator[dict[str, Result]]:
    """What each probe saw, in one session of this gateway; or in a kernel that joined another there."""
    house = House(world.gateway, f"probed-{request.param}")
    folder = world.gateway.data_dir.parent
    hidden = [str(folder / "canary-open"), str(folder / "canary-closed"), str(world.gateway.data_dir / "run")]
    expected = expectations(canaries, hidden, [CANARY, str(world.gateway.data_dir)], [MEMORY_CANARY, TOKEN])
    expected["ports"].append(("127.0.0.1", int(world.gateway.url.rpartition(":")[2])))
    try:
        session = house.session(network=ALLOWLIST if request.param == "allowlist" else "off")
        session.run("1")
        kernel = "second" if request.param == "second" else None
        results = probes.parse(session.value(probes.source(expected), kernel=kernel))
        assert [result.id for result in results] == IDS
        yield {result.id: result for result in results}
        house.delete_sessions()
    finally:
        house.close()


@pytest.mark.parametrize("id_", EACH)
def test_holds(tried: dict[str, Result], world: World, id_: str) -> None:
    seen = tried[id_].seen
    if id_ in OPEN_TO_PLAIN and not world.configuration.is_root:
        # Said in SECURITY.md: names are random, but the data directory is told.
        assert seen == str(world.gateway.data_dir)
    else:
        assert seen == ""


@pytest.fixture(scope="module")
def outside(canaries: Canaries) -> Iterator[dict[str, Any]]:
    here = str(Path(__file__).resolve().parent)
    expected = expectations(canaries, [here], [CANARY, here], [MEMORY_CANARY])
    yield expected
    # The probes outside did reach them, which is what shows that those inside could have.
    assert canaries.visitors() > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can do outside what the probes must not be able to do inside")
@pytest.mark.parametrize("id_", [id_ for id_ in IDS if id_ not in controls.POSITIVE])
def test_fails_outside(outside: dict[str, Any], id_: str) -> None:
    """The control: where nothing is closed in, the same probe sees it."""
    assert controls.run(id_, outside).seen != ""
