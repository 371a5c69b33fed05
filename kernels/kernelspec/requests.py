"""What was asked of a kernel of somebody else's, and how far it is."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import OrderedDict
from typing import Any

from .line import Said

# Late outputs find their cell as long as so many have not followed.
MOST_REMEMBERED = 200
# For what is still missing once the rest has come and nothing more follows.
QUIET_S, MISSING_S = 2.0, 5.0


class Request:
    """One that may have outputs. `header`: of the request as it came to us, the parent of all that comes of it.
    `lines`: what it may read, where that was said beforehand."""

    def __init__(self, header: dict[str, Any], lines: list[str] | None = None) -> None:
        self.header = header
        self.lines = lines
        self.context = contextvars.copy_context()
        self.error: dict[str, Any] | None = None
        self.busy = False
        self.interrupted = False
        self._idle = asyncio.Event()
        self._heard_at = time.monotonic()

    def begin(self) -> None:
        """Once more."""
        self.busy = False
        self._idle.clear()

    def heard(self, said: Said) -> None:
        self._heard_at = time.monotonic()
        if said.kind == "status":
            state = said.fields.get("execution_state")
            self.busy = self.busy or state == "busy"
            if state == "idle":
                self._idle.set()

    async def over(self, reply: asyncio.Future[Said] | None) -> Said | None:
        """Waits until all of it has come, or does not come any more; None without a reply."""
        idle = asyncio.ensure_future(self._idle.wait())
        try:
            if reply is None:
                await idle
                return None
            both: set[asyncio.Future[Any]] = {reply, idle}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not reply.done():
                await asyncio.wait({reply}, timeout=MISSING_S)
            while not idle.done() and reply.done():
                await asyncio.wait({idle}, timeout=QUIET_S)
                if time.monotonic() - self._heard_at >= QUIET_S:
                    break
            return reply.result() if reply.done() else None
        finally:
            idle.cancel()
            if reply is not None:
                reply.cancel()


class Requests:
    """By the ids under which the kernel knows them."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Request] = OrderedDict()
        self._latest: Request | None = None

    def add(self, id_: str, request: Request) -> None:
        self._known[id_] = self._latest = request
        while len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)

    def of(self, said: Said) -> Request | None:
        return self._known.get(said.parent)

    def whose(self, said: Said) -> Request | None:
        """Also of what names none, or one that nobody knows: the latest."""
        return self._known.get(said.parent, self._latest)
