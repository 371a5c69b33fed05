"""Whoever computes lets the others go first: sessions that keep processors busy stand back behind those that answer.

Time is shared fairly between groups, but fair is how much, not when: with a busy loop on each core, each of the five
wake-ups of a neighbour's cell may wait for a tick of the scheduler, 4 ms on most machines. A group that stands back
gives way at once, and loses nothing while nobody else wants its processor.

Many that compute have less than a core each. So when sessions use up the machine, whoever has half of an even share
stands back as well, unless a cell of theirs began a moment ago: then somebody waits for its answer.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from dataclasses import dataclass

from .cgroups import Group

INTERVAL_S = 0.05
# Each look reads a file. With more groups than this each of them is looked at less often.
LOOKS = 50
# Of one core, on average over the last few looks: a chat whose cells follow one another without a pause stays below.
BUSY = 0.8
CALM = 0.25
WEIGHT = 0.5
# Of all cores, used by sessions together: then there is nothing left for more.
FULL = 0.75
# Who uses less of one core does not count; who has begun a cell so lately is answering.
SOME = 0.05
ANSWERS_S = 1.0


@dataclass(slots=True)
class Pace:
    """`load`: how much of one core a group has used of late."""

    group: Group
    seconds: float
    at: float
    load: float
    back: bool
    asked_at: float = -ANSWERS_S

    @property
    def counts(self) -> bool:
        return not self.back and self.load > SOME

    def answers(self, now: float) -> bool:
        return now - self.asked_at < ANSWERS_S

    def look(self, now: float, calm: float, busy: float = BUSY) -> None:
        """`busy`: what one that computes uses more than. Raises OSError when the group is gone, or Linux cannot do
        it."""
        seconds = self.group.cpu_seconds()
        if seconds is None or now <= self.at:
            return
        self.load += WEIGHT * ((seconds - self.seconds) / (now - self.at) - self.load)
        self.seconds, self.at = seconds, now
        back = self.load > (calm if self.back else BUSY if self.answers(now) else busy)
        if back != self.back:
            self.group.stand_back(back)
            self.back = back


class Courtesy:
    def __init__(self) -> None:
        self._paces: dict[str, Pace] = {}
        self._next: deque[str] = deque()
        self._task: asyncio.Task[None] | None = None
        self._cores = len(os.sched_getaffinity(0))

    def watch(self, name: str, group: Group) -> bool:
        """False where nothing counts or shares processor time, and nothing can be done."""
        seconds = group.cpu_seconds()
        if seconds is None or not group.shares_cpu:
            return False
        back = group.stands_back()
        self._paces[name] = Pace(group, seconds, time.monotonic(), BUSY if back else 0.0, back)
        self._next.append(name)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return True

    def asked(self, name: str) -> None:
        """A cell of that group begins."""
        if (pace := self._paces.get(name)) is not None:
            pace.asked_at = time.monotonic()

    def unwatch(self, name: str) -> None:
        self._paces.pop(name, None)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def calm(self) -> float:
        """What one that stands back has to use less than to come forward again. Many of them have little each: that
        does not make them calm."""
        back = sum(pace.back for pace in self._paces.values())
        return min(CALM, self._cores / 2 / max(1, back))

    @property
    def busy(self) -> float:
        """What one that computes has to use more than to stand back."""
        if sum(pace.load for pace in self._paces.values()) < FULL * self._cores:
            return BUSY
        counted = sum(pace.counts for pace in self._paces.values())
        return max(SOME, min(BUSY, self._cores / 2 / max(1, counted)))

    async def _run(self) -> None:
        """While there is anybody to look at."""
        while self._next:
            await asyncio.sleep(INTERVAL_S)
            now, calm, busy = time.monotonic(), self.calm, self.busy
            for _ in range(min(LOOKS, len(self._next))):
                name = self._next.popleft()
                pace = self._paces.get(name)
                if pace is None:
                    continue
                try:
                    pace.look(now, calm, busy)
                except OSError:
                    self.unwatch(name)
                else:
                    self._next.append(name)
