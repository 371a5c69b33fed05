"""What goes into the store in one transaction, and what is known of a session's rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..events.tail import Place

# Of `executions`, without `session` and `number`.
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """A session's row: `key`, whose journal it was, and how far that was read."""

    key: int
    created_at: str
    place: Place


@dataclass(slots=True)
class Changes:
    """What a piece of a journal said, up to `place`. `fresh`: ids of executions that had not been told of, in order."""

    created_at: str
    state: str
    reason: str | None
    generation: int
    wishes: dict[str, Any]
    place: Place
    seq: int
    executions: list[Row] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    # Artifacts of before that are no more, by id.
    deleted: list[str] = field(default_factory=list)
