"""Host uids of sessions. A gateway that runs as root gives each live session one of its own, never root."""

from __future__ import annotations

import os
from pathlib import Path


class Identities:
    """Hands out uids from a reserved range. `None` throughout when the gateway is not root: its own is all it has."""

    def __init__(self, first: int, count: int) -> None:
        self._range = range(first, first + count)
        self._used: set[int] = set()
        self.enabled = os.geteuid() == 0

    def take(self) -> int | None:
        """Raises RuntimeError when the range is used up."""
        if not self.enabled:
            return None
        for uid in self._range:
            if uid not in self._used:
                self._used.add(uid)
                return uid
        raise RuntimeError(f"all {len(self._range)} uids of sessions are in use")

    def claim(self, uid: int | None) -> bool:
        """This very one, which an earlier gateway gave. False when it cannot be had, or is not of these."""
        if uid is None or not self.enabled:
            return uid is None and not self.enabled
        if uid in self._used or uid not in self._range:
            return False
        self._used.add(uid)
        return True

    def give_back(self, uid: int | None) -> None:
        if uid is not None:
            self._used.discard(uid)


def own(path: Path, uid: int | None) -> None:
    """Makes a directory the session's."""
    if uid is not None:
        os.chown(path, uid, uid)
