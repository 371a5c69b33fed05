"""What one caller sees of the hall, and may do in it."""

from __future__ import annotations

from collections.abc import Mapping

from ..access.caller import Caller
from ..errors import NotAllowed
from ..sessions.session import Session
from . import models
from .hall import Hall, no_entry, no_kernel
from .models import Entry


class Visit:
    """For one request or connection. Whoever may only debug leaves what others began as it is: what would end it is
    answered as clients expect, and lets go of it; what would take its variables is refused."""

    def __init__(self, hall: Hall, caller: Caller) -> None:
        self.hall = hall
        self.caller = caller

    def sessions(self) -> list[Session]:
        return [each for each in self.hall.house.sessions.values() if self.caller.sees(each.id)]

    def find(self, kernel_id: str) -> Session:
        """Raises SessionNotFound."""
        session = self.hall.find(kernel_id)
        if not self.caller.sees(session.id):
            raise no_kernel(kernel_id)
        return session

    def entries(self) -> list[Entry]:
        return [entry for entry in self.hall.entries() if self.caller.sees(entry.chat)]

    def entry(self, id_: str) -> Entry:
        """Raises SessionNotFound."""
        for entry in self.entries():
            if entry.id == id_:
                return entry
        raise no_entry(id_)

    def at(self, path: str) -> Entry | None:
        return next((entry for entry in self.entries() if entry.path == path), None)

    async def begin(self, spec: str | None, env: Mapping[str, str], document: Mapping[str, str]) -> Session:
        """A new session with a kernel. Raises GatewayError."""
        if self.caller.session is not None:
            raise NotAllowed(f"This key is for the session {self.caller.session} alone; it cannot begin others.")
        return await self.hall.begin(spec, env, {**document, "by": self.caller.scope.value})

    def restart(self, session: Session) -> None:
        """Raises NotAllowed."""
        if not self._manages(session):
            raise NotAllowed("This key is for debugging alone, and a restart would take this chat's variables.")
        self.hall.house.restart(session)

    async def let_go(self, session: Session) -> None:
        if self._manages(session):
            await self.hall.let_go(session)

    async def close(self, entry: Entry) -> None:
        """The document is closed; its session goes with the last one, if it was begun here."""
        if self.hall.close(entry):
            await self.leave(entry.chat)

    async def leave(self, chat: str) -> None:
        """A document is not at it any more."""
        if not self.hall.is_open(chat):
            await self.let_go(self.hall.house.get(chat))

    def _manages(self, session: Session) -> bool:
        return self.caller.manages or (self.caller.session is None and models.is_for_debugging(session))
