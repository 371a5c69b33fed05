"""Who stands back and who comes forward again, by counters in files that stand for v2's."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from kernelgw.sandbox import courtesy
from kernelgw.sandbox.cgroups import Group
from kernelgw.sandbox.courtesy import BUSY, CALM, Courtesy, Pace


class Fake:
    """A group's folder, whose processes use as much of a core as they are told to."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.used = 0.0
        (folder / "cpu.idle").write_text("0")
        self.use(0)
        self.group = Group("v2", {"cpu": folder})

    def use(self, seconds: float) -> None:
        self.used += seconds
        (self.folder / "cpu.stat").write_text(f"usage_usec {round(self.used * 1e6)}\n")

    @property
    def back(self) -> bool:
        return (self.folder / "cpu.idle").read_text() == "1"


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path / "one")


def looks(pace: Pace, fake: Fake, *loads: float) -> list[bool]:
    """One look a second, each after that share of a core."""
    found = []
    for load in loads:
        fake.use(load)
        pace.look(pace.at + 1, CALM)
        found.append(fake.back)
    return found


def pace_of(fake: Fake) -> Pace:
    return Pace(fake.group, fake.used, 0.0, 0.0, fake.group.stands_back())


def test_who_keeps_a_core_busy_stands_back_and_comes_forward_when_calm(fake: Fake) -> None:
    pace = pace_of(fake)
    assert looks(pace, fake, 1, 1, 1) == [False, False, True]
    assert looks(pace, fake, 0.5, 0.5, 0.5, 0.5) == [True] * 4
    assert looks(pace, fake, 0, 0) == [True, False]


def test_who_keeps_many_busy_does_so_at_once(fake: Fake) -> None:
    assert looks(pace_of(fake), fake, 2) == [True]


def test_a_chat_in_a_hurry_and_a_short_burst_stay_forward(fake: Fake) -> None:
    pace = pace_of(fake)
    assert not any(looks(pace, fake, *[0.7] * 20))
    assert not any(looks(pace, fake, 0, 0, 0, 1, 0, 0))


def test_who_was_told_by_an_earlier_gateway_is_told_otherwise_when_calm(fake: Fake) -> None:
    (fake.folder / "cpu.idle").write_text("1")
    pace = pace_of(fake)
    pace.load = BUSY
    assert looks(pace, fake, 0, 0) == [True, False]


def test_many_who_stand_back_have_little_each_and_are_not_calm_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})

    async def calm(count: int) -> float:
        found = Courtesy()
        for number in range(count):
            fake = Fake(tmp_path / f"{count}-{number}")
            (fake.folder / "cpu.idle").write_text("1")
            assert found.watch(str(number), fake.group)
        await found.stop()
        return found.calm

    assert asyncio.run(calm(0)) == asyncio.run(calm(1)) == CALM
    # Of two cores each of twenty has a tenth of one, and less when it has grown calm.
    assert asyncio.run(calm(20)) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("loads", "answering", "expected"),
    [
        ([0.5] * 4, 0, [True] * 4),
        ([0.2] * 10, 0, [True] * 10),
        # Two of four have begun a cell a moment ago.
        ([0.5] * 4, 2, [False, False, True, True]),
        # There is enough for all.
        ([0.3] * 4, 0, [False] * 4),
        ([0.02] * 10 + [0.6, 0.6], 0, [False] * 10 + [False] * 2),
        ([0.02] * 10 + [0.5] * 4, 0, [False] * 10 + [True] * 4),
    ],
    ids=["four loops", "ten loops", "loops and answers", "room", "small and room", "small and full"],
)
def test_many_that_compute_have_less_than_a_core_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loads: list[float], answering: int, expected: list[bool]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})

    async def look() -> list[bool]:
        found = Courtesy()
        fakes = [Fake(tmp_path / str(number)) for number in range(len(loads))]
        for fake in fakes:
            found.watch(fake.folder.name, fake.group)
        await found.stop()
        paces = list(found._paces.values())
        start = max(pace.at for pace in paces)
        for pace in paces:
            pace.at = start
        for second in range(1, 8):
            for number in range(answering):
                found._paces[str(number)].asked_at = start + second - 0.5
            busy = found.busy
            for fake, pace, load in zip(fakes, paces, loads, strict=True):
                fake.use(load)
                pace.look(start + second, found.calm, busy)
        return [fake.back for fake in fakes]

    assert asyncio.run(look()) == expected


def test_it_looks_by_itself_and_forgets_who_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courtesy, "INTERVAL_S", 0.001)
    busy, gone = Fake(tmp_path / "busy"), Fake(tmp_path / "gone")

    async def look() -> None:
        found = Courtesy()
        for fake in (busy, gone):
            found.watch(fake.folder.name, fake.group)
        for path in (*gone.folder.iterdir(), gone.folder):
            path.rmdir() if path.is_dir() else path.unlink()
        async with asyncio.timeout(20):
            while not busy.back:
                busy.use(1)
                await asyncio.sleep(0.001)
        assert found._task is not None
        found.unwatch("busy")
        found.unwatch("gone")
        await asyncio.wait_for(found._task, 20)

    asyncio.run(look())


def test_nothing_is_watched_that_cannot_be_counted(tmp_path: Path) -> None:
    async def watch() -> tuple[bool, bool]:
        found = Courtesy()
        return found.watch("a", Group("none")), found.watch("b", Group("v1", {"cpu": tmp_path}))

    assert asyncio.run(watch()) == (False, False)
