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

    def at(self, path: str, session: Session | None) -> Entry | None:
        """Which document of that path is meant: of a session that is named, that one's. Nobody is led to a kernel by
        what another called a document; the name of a chat is the chat's."""
        for entry in self.entries():
            right = session is None or entry.chat == session.id
            if entry.path == path and right and entry.owner == self.caller.owner:
                return entry
        return self._chat_s(path, session) if self.caller.owner else None

    def _chat_s(self, name: str, session: Session | None) -> Entry | None:
        chat = self.hall.house.sessions.get(name)
        if chat is None or not self.caller.sees(name) or models.is_ours(chat) or session not in (None, chat):
            return None
        return models.entry_of(chat)

    def own(self, entry: Entry) -> Entry:
        """Raises NotAllowed when it is another's."""
        if not self._owns(entry):
            raise NotAllowed("This key is for debugging alone; it cannot change what others call their documents.")
        return entry

    async def begin(self, spec: str | None, env: Mapping[str, str], document: Mapping[str, str]) -> Session:
        """A new session with a kernel. Raises GatewayError."""
        if self.caller.session is not None:
            raise NotAllowed(f"This key is for the session {self.caller.session} alone; it cannot begin others.")
        return await self.hall.begin(spec, env, {**document, "owner": self.caller.owner})

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
        if self._owns(entry) and self.hall.close(entry):
            await self.leave(entry.chat)

    async def leave(self, chat: str) -> None:
        """A document is not at it any more."""
        if not self.hall.is_open(chat):
            await self.let_go(self.hall.house.get(chat))

    def _owns(self, entry: Entry) -> bool:
        return self.caller.manages or entry.owner == self.caller.owner

    def _manages(self, session: Session) -> bool:
        """What it began itself, anybody does."""
        return self.caller.manages or (models.is_ours(session) and models.owner_of(session) == self.caller.owner)
