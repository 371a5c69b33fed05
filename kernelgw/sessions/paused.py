"""A kernel that a debugger holds: what is known of it, and for how long it is believed. Pure: it is told the time.

All of it is the kernel's word, and code can say anything in its place. So it counts only while somebody debugs, which a
client has said and no code can; and a cell may be held for so long, all its stops together, and so many times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

# A person who steps for half an hour comes nowhere near; each costs two events.
MOST_STOPS = 10_000
LONGEST_NAME = 256
# Where ipykernel's debugger has the code of cells.
OF_CELLS = "/ipykernel_"
STOPPED = "stopped"
GOES_ON = frozenset({"continued", "terminated", "exited"})


@dataclass(frozen=True, slots=True)
class Place:
    file: str
    line: int
    function: str

    def __str__(self) -> str:
        name = "a cell" if OF_CELLS in self.file else self.file.rpartition("/")[2]
        return f"line {self.line} of {name}"


@dataclass(frozen=True, slots=True)
class Pause:
    """`username`: who debugs, as their client calls them. `place`: None as long as nobody has asked for it."""

    since: datetime
    username: str
    place: Place | None = None

    @property
    def reason(self) -> str:
        return f"Paused in the debugger at {self.place}." if self.place else "Paused in the debugger."

    def as_json(self) -> dict[str, Any]:
        where = asdict(self.place) if self.place is not None else None
        return {"since": self.since.isoformat(), "where": where, "by": "jupyter", "username": self.username}

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Pause | None:
        """What `as_json` gave; None for what another version may have written."""
        try:
            place = Place(**data["where"]) if data["where"] is not None else None
            return cls(datetime.fromisoformat(data["since"]), str(data["username"]), place)
        except (KeyError, TypeError, ValueError):
            return None


class Holding:
    """Of one session. `most_s`: for how long a cell may be held. Methods say whether anything is different now."""

    def __init__(self, most_s: float) -> None:
        self.pause: Pause | None = None
        self._most_s = most_s
        self._spent_s = 0.0
        self._stops = 0

    def begin(self, spent_s: float = 0.0) -> None:
        """Another cell, which may have been held before."""
        self._spent_s, self._stops = spent_s, 0

    def stopped(self, now: datetime, username: str) -> bool:
        self._stops += 1
        if self._stops > MOST_STOPS or self.left_s(now) <= 0:
            return False
        if self.pause is None:
            self.pause = Pause(now, username)
            return True
        # By a step, and nobody has asked yet where that led to.
        self.pause = replace(self.pause, place=None)
        return False

    def at(self, place: Place) -> bool:
        if self.pause is None or self.pause.place is not None:
            return False
        self.pause = replace(self.pause, place=place)
        return True

    def over(self, now: datetime) -> bool:
        if self.pause is None:
            return False
        self._spent_s, self.pause = self.spent_s(now), None
        return True

    def spent_s(self, now: datetime) -> float:
        """For how long the cell was held until now."""
        held = (now - self.pause.since).total_seconds() if self.pause is not None else 0.0
        return self._spent_s + max(0.0, held)

    def left_s(self, now: datetime) -> float:
        return self._most_s - self.spent_s(now)


def place_of(reply: Mapping[str, Any]) -> Place | None:
    """Of the topmost frame, if this is an answer to the question where it is."""
    body = reply.get("body") if reply.get("command") == "stackTrace" else None
    frames = body.get("stackFrames") if isinstance(body, dict) else None
    frame = frames[0] if isinstance(frames, list) and frames else None
    if not isinstance(frame, dict) or not isinstance(line := frame.get("line"), int):
        return None
    source = frame.get("source")
    path = source.get("path") if isinstance(source, dict) else None
    return Place(_short(path), min(max(line, 0), 1 << 31), _short(frame.get("name")))


def _short(text: Any) -> str:
    return text[-LONGEST_NAME:] if isinstance(text, str) else ""
