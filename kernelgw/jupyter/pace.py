"""How often a client may say something. Beyond that it is read later, not refused."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """`burst` at once, and `per_s` a second from then on."""

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._cost = 1 / per_s
        self._slack = burst / per_s
        self._clock = clock
        # When all that was taken will have been paid for.
        self._clear_at = 0.0

    def take(self) -> float:
        """Seconds until the next one may be read, mostly 0."""
        now = self._clock()
        self._clear_at = max(self._clear_at, now) + self._cost
        return max(0.0, self._clear_at - now - self._slack)
