"""The whole of this door: which session a kernel's id means, who is at which, and what documents are open on them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..errors import BadRequest, GatewayStopping, KernelDidNotStart, SessionNotFound, TooManyConnections
from ..sessions.lifecycle import State
from ..sessions.registry import Registry
from ..sessions.session import Session
from . import models
from .models import Entry
from .room import Room
from .specs import Specs

MOST_ENTRIES = 1000
LONGEST = 1024


class Hall:
    """One of a gateway. What is opened here is remembered as long as the gateway runs; the sessions are longer."""

    def __init__(self, house: Registry) -> None:
        self.house = house
        self.specs = Specs(house)
        self.started = datetime.now(UTC)
        self._rooms: dict[str, Room] = {}
        self._names: dict[str, str] = {}
        self._entries: dict[str, Entry] = {}
        # Of these, the ones that a session's first document has become.
        self._moved: set[str] = set()
        self._ending: set[asyncio.Future[bool]] = set()

    # kernels

    def find(self, kernel_id: str) -> Session:
        """Raises SessionNotFound."""
        session = self.house.sessions.get(self._names.get(kernel_id, ""))
        if session is None:
            self._names = {models.kernel_id(name): name for name in self.house.sessions}
            session = self.house.sessions.get(self._names.get(kernel_id, ""))
        if session is None:
            raise no_kernel(kernel_id)
        return session

    def room(self, session: Session) -> Room:
        self._prune()
        found = self._rooms.get(session.id)
        if found is None or found.session is not session:
            found = self._rooms[session.id] = Room(session, self._forget)
        return found

    def _prune(self) -> None:
        """Of sessions that ended while nobody was at them."""
        there = self.house.sessions
        self._rooms = {id_: room for id_, room in self._rooms.items() if there.get(id_) is room.session}
        self._entries = {id_: entry for id_, entry in self._entries.items() if entry.chat in there}
        self._moved &= self._entries.keys()

    def _forget(self, session: Session) -> None:
        room = self._rooms.get(session.id)
        if room is not None and room.session is session:
            del self._rooms[session.id]
        for entry in [each for each in self._entries.values() if each.chat == session.id]:
            del self._entries[entry.id]

    def connections(self, session: Session) -> int:
        room = self._rooms.get(session.id)
        return len(room.clients) if room is not None and room.session is session else 0

    def kernel(self, session: Session) -> dict[str, Any]:
        return models.kernel(session, self.specs.name_of(session), self.connections(session))

    async def begin(self, spec: str | None, env: Mapping[str, str], document: Mapping[str, str]) -> Session:
        """A new session with a kernel. Raises GatewayError."""
        # Where the client's own files lie, and whatever else Jupyter's servers say of themselves.
        variables = {name: value for name, value in env.items() if not name.startswith("KERNEL_")}
        wishes = {**self.specs.wishes(spec), "env": variables, "jupyter": dict(document)}
        session, _ = self.house.get_or_create(None, wishes)
        self.house.wake(session.main)
        while session.main.state is State.STARTING:
            if not await session.log.wait(session.log.last):
                raise GatewayStopping("The gateway is being stopped.")
        if session.main.state is State.DEAD:
            await self.house.delete(session.id)
            raise KernelDidNotStart(session.main.reason or "The kernel could not be started.")
        return session

    async def let_go(self, session: Session) -> None:
        """What shutting a kernel down means: the end of a session that was begun here. A chat's goes on without."""
        if models.is_ours(session):
            # Whoever asked for it may be gone before it is done, and may be closed by it.
            ending = asyncio.ensure_future(self.house.delete(session.id))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            await asyncio.shield(ending)

    # documents

    def entries(self) -> list[Entry]:
        """Each chat has one at least."""
        # What somebody with a key opened at a chat does not stand in its place.
        shown = {entry.chat for entry in self._entries.values() if not entry.owner}
        moved = {entry.chat for id_, entry in self._entries.items() if id_ in self._moved}
        everybody = self.house.sessions.values()
        first = {each.id for each in everybody if models.is_ours(each)} - moved
        own = [models.entry_of(each) for each in everybody if each.id not in shown or each.id in first]
        return [*(each for each in self._entries.values() if each.chat in self.house.sessions), *own]

    def shown(self, entry: Entry) -> dict[str, Any]:
        return models.session(entry, self.kernel(self.house.get(entry.chat)))

    def open(self, session: Session, document: Mapping[str, str], owner: str) -> Entry:
        """One more document at a session, or the first of one that was made for it. Raises TooManyConnections."""
        own = models.entry_of(session)
        if own.path == document["path"] and own.owner == owner:
            return own
        self.check_room()
        entry = Entry(str(uuid.uuid4()), session.id, document["path"], document["name"], document["type"], owner)
        self._entries[entry.id] = entry
        return entry

    def check_room(self) -> None:
        """For one more document. Raises TooManyConnections."""
        self._prune()
        if len(self._entries) >= MOST_ENTRIES:
            raise TooManyConnections(f"{MOST_ENTRIES} documents are open already.")

    def change(self, entry: Entry, document: Mapping[str, str], session: Session | None) -> Entry:
        """Raises TooManyConnections."""
        if entry.id not in self._entries:
            self.check_room()
            self._moved.add(entry.id)
        changed = replace(entry, **document, **({"chat": session.id} if session is not None else {}))
        self._entries[entry.id] = changed
        return changed

    def close(self, entry: Entry) -> bool:
        """The document is closed. Whether its session was begun for it."""
        came_later = self._entries.pop(entry.id, None) is not None and entry.id not in self._moved
        self._moved.discard(entry.id)
        # What was begun here goes with the document that it was begun for, not with one that came to it.
        return not came_later

    def is_open(self, chat: str) -> bool:
        """Whether a document is at it."""
        return any(each.chat == chat for each in self._entries.values())


def no_kernel(id_: str) -> SessionNotFound:
    return SessionNotFound(f"Kernel does not exist: {id_[:100]}", "GET /api/kernels lists those there are.")


def no_entry(id_: str) -> SessionNotFound:
    return SessionNotFound(f"Session not found: session_id={id_[:100]}", "GET /api/sessions lists those there are.")


def document(body: Mapping[str, Any], *wanted: str) -> dict[str, str]:
    """Path, name and type of a document, as far as they are given. Raises BadRequest."""
    given: dict[str, str] = {}
    for name in ("path", "name", "type"):
        value = body.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > LONGEST):
            raise BadRequest(f"{name} is a text of {LONGEST} characters at most.")
        if value:
            given[name] = value
        elif name in wanted:
            raise BadRequest(f"A session has a {name}.")
    return given
