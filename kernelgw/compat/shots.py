"""Sessions for one run each: begun with it, ended after it."""

from __future__ import annotations

import asyncio
import logging

from ..errors import GatewayError
from ..sessions.registry import Registry
from ..sessions.session import Session

# In the wishes of such a session, which a later gateway reads: nobody will come back for it.
ONCE = "once"
log = logging.getLogger("kernelgw.execute")


class OneShots:
    def __init__(self, house: Registry) -> None:
        self._house = house
        self._ending: set[asyncio.Task[None]] = set()

    def begin(self, language: str) -> Session:
        """Raises HouseFull, DiskFull."""
        session, _ = self._house.get_or_create(None, {"language": language, ONCE: True})
        return session

    def end(self, session: Session) -> None:
        """Soon: whoever waits for the answer does not wait for this. No effect on one that is ended, or when the
        gateway is being stopped: the next one does it."""
        if not self._house.leaving and self._house.sessions.get(session.id) is session:
            work = asyncio.create_task(self._end(session))
            self._ending.add(work)
            work.add_done_callback(self._ending.discard)

    async def _end(self, session: Session) -> None:
        try:
            if self._house.sessions.get(session.id) is session:
                await self._house.delete(session.id)
        except (GatewayError, OSError):
            log.exception("the session %s of one run could not be ended", session.id)

    def sweep(self) -> None:
        """Ends those that an earlier gateway had begun."""
        for session in list(self._house.sessions.values()):
            if session.plan.wishes.get(ONCE):
                self.end(session)

    async def close(self) -> None:
        """Ends all, so that none of them is kept."""
        self.sweep()
        await asyncio.gather(*self._ending)
