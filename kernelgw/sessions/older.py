"""A session's executions, those that it keeps itself and older ones from the store, as if there were no difference.

What a session keeps is always the newest, without a gap, and the store has everything that is in the journal. So
whatever lies before the oldest that is kept is asked of the store, and nothing comes twice or is left out.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from ..errors import ExecutionNotFound
from ..events.outputs import Outputs
from ..store.service import Found, Older, Store
from .execution import Execution, Status
from .history import page
from .notebook import cells, parts
from .session import Session

MOST = 1000


async def pages(
    store: Store | None, session: Session, limit: int, before: str | None, search: str
) -> tuple[list[Any], bool]:
    """The newest `limit` executions of those before one that have a text in them, ready for JSON, oldest first; and
    whether there are more. Fewer than `limit` when they are large. Raises ExecutionNotFound, StoreUnavailable."""
    executions = session.executions
    if before is not None and before not in executions:
        older = await _older(store, session, limit, before, search)
        if older is None:
            raise _missing(session, before)
        return _fragments(older), older.more
    oldest = next(iter(executions), None)
    found, more = await page(executions, limit, before, search)
    shown: list[Any] = [execution.as_json() for execution in found]
    if more:
        return shown, True
    room = limit - len(shown)
    older = await _older(store, session, max(room, 1), oldest, search)
    if older is None:
        return shown, False
    return (_fragments(older) + shown, older.more) if room else (shown, bool(older.items))


async def find(store: Store | None, session: Session, id_: str) -> Execution | Found:
    """Raises ExecutionNotFound, StoreUnavailable."""
    if (execution := session.executions.get(id_)) is not None:
        return execution
    found = await store.one(session.id, id_) if store is not None and session.history.forgotten else None
    if found is None:
        raise _missing(session, id_)
    return found


async def cells_of(store: Store | None, session: Session) -> list[Any]:
    """All cells of its notebook, ready for JSON. Raises StoreUnavailable."""
    found = await everything(store, session)
    contents = await session.artifacts.contents(parts(found))
    # Encodes what was taken out of outputs, which may be a lot.
    return await asyncio.to_thread(cells, found, contents)


async def everything(store: Store | None, session: Session) -> list[dict[str, Any]]:
    """All execution objects, oldest first. Raises StoreUnavailable."""
    kept = [*session.executions.values()]
    older = await asyncio.to_thread(_parsed, await _all_older(store, session))
    return [*older, *(execution.as_json() for execution in kept)]


def revived(found: Found) -> Execution:
    """Without its outputs: whoever wants its events has them in the log."""
    facts = orjson.loads(found.item)
    execution = Execution(facts["session_id"], facts["code"], facts["language"], Outputs(0), id=facts["id"])
    execution.status, execution.error = Status(facts["status"]), facts["error"]
    execution.execution_count, execution.state_lost = facts["execution_count"], facts["state_lost"]
    execution.first_seq, execution.last_seq = found.first_seq, found.last_seq
    execution.lasted(facts["duration_s"])
    return execution


async def _all_older(store: Store | None, session: Session) -> list[bytes]:
    found: list[bytes] = []
    before = next(iter(session.executions), None)
    while (older := await _older(store, session, MOST, before, "")) is not None:
        found = older.items + found
        before = older.first
        if not older.more:
            break
    return found


async def _older(store: Store | None, session: Session, limit: int, before: str | None, search: str) -> Older | None:
    """Nothing is asked about a session that has all that it ever ran."""
    if store is None or not session.history.forgotten:
        return None
    # What is asked for may be an answer's newest, of which the journal does not say yet.
    session.log.flush()
    return await store.page(session.id, limit, before, search)


def _parsed(items: list[bytes]) -> list[dict[str, Any]]:
    return [orjson.loads(item) for item in items]


def _fragments(older: Older) -> list[Any]:
    return [orjson.Fragment(item) for item in older.items]


def _missing(session: Session, id_: str) -> ExecutionNotFound:
    return ExecutionNotFound(f"There is no execution {id_[:200]!r} in session {session.id!r}.")
