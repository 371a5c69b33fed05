"""What is believed of a kernel that a debugger holds, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernelgw.sessions.paused import MOST_STOPS, Holding, Pause, Place, place_of

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
CELL = "/tmp/ipykernel_12/3141.py"


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def at(path: Any = CELL, line: Any = 3, name: Any = "f") -> dict[str, Any]:
    frames = [{"id": 2, "name": name, "line": line, "column": 1, "source": {"path": path}}, {"line": 99}]
    return {"type": "response", "command": "stackTrace", "success": True, "body": {"stackFrames": frames}}


def test_a_stop_begins_a_pause_and_going_on_ends_it() -> None:
    holding = Holding(60)
    assert holding.stopped(NOW, "ada")
    assert holding.pause == Pause(NOW, "ada")
    assert holding.over(later(5))
    assert not holding.pause
    assert not holding.over(later(6))


def test_a_step_leads_elsewhere_but_is_no_pause_of_its_own() -> None:
    holding = Holding(60)
    holding.stopped(NOW, "ada")
    assert holding.at(Place(CELL, 3, "f"))
    assert not holding.at(Place(CELL, 4, "f"))
    assert not holding.stopped(later(5), "bob")
    assert holding.pause == Pause(NOW, "ada")
    assert holding.at(Place(CELL, 4, "f"))


def test_all_stops_of_a_cell_count_together_and_those_of_the_next_anew() -> None:
    holding = Holding(60)
    holding.stopped(NOW, "ada")
    holding.over(later(40))
    holding.stopped(later(100), "ada")
    assert holding.spent_s(later(110)) == 50
    assert holding.left_s(later(110)) == 10
    holding.over(later(130))
    assert not holding.stopped(later(131), "ada")
    assert holding.pause is None
    holding.begin()
    assert holding.stopped(later(132), "ada")


def test_what_an_earlier_gateway_saw_counts_too() -> None:
    holding = Holding(60)
    holding.pause = Pause(NOW, "ada")
    holding.begin(spent_s=40)
    assert holding.left_s(later(15)) == 5


def test_a_clock_that_is_set_back_gives_nothing_back() -> None:
    holding = Holding(60)
    holding.stopped(NOW, "ada")
    holding.over(later(-3600))
    assert holding.left_s(NOW) == 60


def test_stops_without_end_are_not_followed() -> None:
    holding = Holding(60)
    for _ in range(MOST_STOPS):
        assert holding.stopped(NOW, "ada")
        holding.over(NOW)
    assert not holding.stopped(NOW, "ada")
    assert holding.pause is None


@pytest.mark.parametrize(
    ("pause", "reason"),
    [
        (Pause(NOW, "ada"), "Paused in the debugger."),
        (Pause(NOW, "ada", Place(CELL, 3, "f")), "Paused in the debugger at line 3 of a cell."),
        (Pause(NOW, "", Place("/workspace/tools.py", 7, "f")), "Paused in the debugger at line 7 of tools.py."),
    ],
)
def test_it_is_told_in_words_and_read_again(pause: Pause, reason: str) -> None:
    assert pause.reason == reason
    assert Pause.parse(pause.as_json()) == pause


@pytest.mark.parametrize("data", [{}, {"since": "x", "where": None, "username": ""}, {"where": {"a": 1}}])
def test_what_another_version_wrote_is_no_pause(data: dict[str, Any]) -> None:
    assert Pause.parse(data) is None


def test_the_place_is_that_of_the_topmost_frame() -> None:
    assert place_of(at()) == Place(CELL, 3, "f")


def test_a_place_is_the_code_s_own_words() -> None:
    assert place_of(at(path="x" * 10_000, line=1 << 80, name="y" * 10_000)) == Place("x" * 256, 1 << 31, "y" * 256)
    assert place_of(at(path=None, line=-3, name=["z"])) == Place("", 0, "")


@pytest.mark.parametrize(
    "reply",
    [
        {},
        at() | {"command": "scopes"},
        at() | {"body": None},
        at() | {"body": {"stackFrames": "x"}},
        at() | {"body": {"stackFrames": []}},
        at() | {"body": {"stackFrames": [3]}},
        at(line="3"),
        at(line=None),
    ],
)
def test_what_tells_no_place_is_none(reply: dict[str, Any]) -> None:
    assert place_of(reply) is None
