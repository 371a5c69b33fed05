"""Sessions as Jupyter sees them: ids, times, models. Pure."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from ..sessions.lifecycle import State
from ..sessions.session import Session

KERNELS = uuid.UUID("8f1f9c50-7f0c-5a52-9d3e-2f5f6c1f0b11")
SESSIONS = uuid.UUID("8f1f9c50-7f0c-5a52-9d3e-2f5f6c1f0b12")
# Without a kernel now: whoever comes to it gets one.
STATES = MappingProxyType({State.IDLE: "idle", State.BUSY: "busy"})


@dataclass(frozen=True)
class Entry:
    """What Jupyter calls a session: a document, and the kernel that it is connected to. `chat`: our session's id.
    `owner`: the key by which it was opened, "" for the gateway's token and for the one that each chat has."""

    id: str
    chat: str
    path: str
    name: str
    type: str
    owner: str = ""


def kernel_id(chat: str) -> str:
    """The same for all kernels that a chat has one after another."""
    return str(uuid.uuid5(KERNELS, chat))


def entry_of(session: Session) -> Entry:
    """The one that each chat has, as long as nobody has made another for it."""
    wishes = session.plan.wishes.get("jupyter") or {}
    path = str(wishes.get("path") or session.id)
    name = str(wishes.get("name") or path)
    id_, type_ = str(uuid.uuid5(SESSIONS, session.id)), str(wishes.get("type") or "notebook")
    return Entry(id_, session.id, path, name, type_, owner_of(session))


def is_ours(session: Session) -> bool:
    """Whether it was begun at this door, and so may be ended at it."""
    return "jupyter" in session.plan.wishes


def owner_of(session: Session) -> str:
    """The key by which it was begun here, "" for the gateway's token, and for a chat."""
    return str((session.plan.wishes.get("jupyter") or {}).get("owner", ""))


def moment(at: datetime) -> str:
    """Clients parse it by this very form."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def active_at(session: Session) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=max(0.0, time.monotonic() - session.active_at))


def kernel(session: Session, spec: str, connections: int) -> dict[str, Any]:
    """`spec`: the kernelspec's name."""
    return {
        "id": kernel_id(session.id),
        "name": spec,
        "last_activity": moment(active_at(session)),
        "execution_state": STATES.get(session.main.state, "starting"),
        "connections": connections,
        # Of ours, for `kernelgw lab`: Jupyter's own clients pass over it.
        "kernelgw": {"session_id": session.id, "state": session.state.value, "chat": not is_ours(session)},
    }


def session(entry: Entry, kernel: dict[str, Any]) -> dict[str, Any]:
    document = {"path": entry.path, "name": entry.name}
    return {"id": entry.id, "path": entry.path, "name": entry.name, "type": entry.type, "kernel": kernel} | (
        {"notebook": document} if entry.type == "notebook" else {}
    )
