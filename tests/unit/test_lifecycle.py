"""Which state of a session may follow which: all 36 pairs, written out."""

from __future__ import annotations

import itertools

import pytest

from kernelgw.sessions.lifecycle import MOVES, IllegalMove, State, move

LEGAL = {
    ("new", "starting"),
    ("new", "ended"),
    ("starting", "idle"),
    ("starting", "dead"),
    ("starting", "ended"),
    ("idle", "busy"),
    ("idle", "dead"),
    ("idle", "ended"),
    ("busy", "idle"),
    ("busy", "dead"),
    ("busy", "ended"),
    ("dead", "starting"),
    ("dead", "ended"),
}
PAIRS = [(str(now), str(to)) for now, to in itertools.product(State, State)]


@pytest.mark.parametrize(("now", "to"), [pair for pair in PAIRS if pair in LEGAL])
def test_legal(now: str, to: str) -> None:
    assert move(State(now), State(to)) is State(to)


@pytest.mark.parametrize(("now", "to"), [pair for pair in PAIRS if pair not in LEGAL])
def test_illegal(now: str, to: str) -> None:
    with pytest.raises(IllegalMove, match=f"from {now} to {to}"):
        move(State(now), State(to))


def test_every_state_is_in_the_table() -> None:
    assert MOVES.keys() == set(State)


def test_every_state_can_be_reached_and_left_for_the_end() -> None:
    reached = set().union(*MOVES.values())
    assert reached == set(State) - {State.NEW}
    assert all(State.ENDED in MOVES[state] for state in set(State) - {State.ENDED})
