"""The states of a session and the moves between them. Pure: the session acts, this decides what is legal.

new ──► starting ──► idle ◄──► busy
           ▲ │         │         │
           │ ▼         ▼         ▼
          dead ◄───────┴─────────┘      no kernel now, with a reason; the next execution starts one

(any) ──► ended                         gone for good
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    NEW = "new"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    DEAD = "dead"
    ENDED = "ended"


class IllegalMove(RuntimeError):
    """A defect of ours: the session was asked to do what its state does not allow."""


MOVES: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.NEW: frozenset({State.STARTING, State.ENDED}),
        State.STARTING: frozenset({State.IDLE, State.DEAD, State.ENDED}),
        State.IDLE: frozenset({State.BUSY, State.DEAD, State.ENDED}),
        State.BUSY: frozenset({State.IDLE, State.DEAD, State.ENDED}),
        State.DEAD: frozenset({State.STARTING, State.ENDED}),
        State.ENDED: frozenset(),
    }
)

LIVE = frozenset({State.STARTING, State.IDLE, State.BUSY})
WITHOUT_KERNEL = frozenset({State.NEW, State.DEAD})


def move(now: State, to: State) -> State:
    """`to`, if it may follow `now`. Raises IllegalMove."""
    if to not in MOVES[now]:
        raise IllegalMove(f"a session cannot go from {now} to {to}")
    return to
