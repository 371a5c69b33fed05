"""Rows in and out: one session's changes with the place up to which they are told, in one transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, update

from ..events.tail import Place
from .engine import migrate, reading, writing
from .rows import Changes, Known, Row
from .tables import artifacts, ends, executions, sessions

TRIM_STEP = 100


class Overtaken(Exception):
    """Somebody else has written of this session meanwhile: what is known of it has to be read again."""


class Database:
    """`house`: whose sessions these are. `history_bytes`: kept of one session; beyond it the oldest executions go.

    All methods raise Unavailable, and have done nothing then.
    """

    def __init__(self, engine: Engine, house: str, history_bytes: int) -> None:
        self.engine = engine
        self.house = house
        self._most = history_bytes

    def prepare(self) -> None:
        migrate(self.engine)

    def close(self) -> None:
        self.engine.dispose()

    def known(self, id_: str | None = None) -> dict[str, Known]:
        """All sessions that there are rows of, or one."""
        columns = (sessions.c.id, sessions.c.key, sessions.c.created_at, sessions.c.place_file, sessions.c.place_offset)
        query = select(*columns).where(sessions.c.house == self.house)
        if id_ is not None:
            query = query.where(sessions.c.id == id_)
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        return {row.id: Known(row.key, row.created_at, Place(row.place_file, row.place_offset)) for row in rows}

    def write(self, id_: str, known: Known | None, changes: Changes) -> Known:
        """Raises Overtaken when `known` is not what there is."""
        with writing(self.engine) as connection:
            key, told, size = self._session(connection, id_, known, changes)
            added, told = _executions(connection, key, told, changes)
            size = self._trimmed(connection, key, size + added)
            if changes.deleted:
                connection.execute(
                    delete(artifacts).where(artifacts.c.session == key, artifacts.c.id.in_(changes.deleted))
                )
            for table, rows in ((ends, changes.ends), (artifacts, changes.artifacts)):
                if rows:
                    connection.execute(insert(table), [_only(table.c.keys(), {**row, "session": key}) for row in rows])
            facts = {"state": changes.state, "reason": changes.reason, "generation": changes.generation}
            place = {"place_file": changes.place.file, "place_offset": changes.place.offset, "place_seq": changes.seq}
            values = {**facts, **place, "wishes": changes.wishes, "told": told, "size": size}
            connection.execute(update(sessions).where(sessions.c.key == key).values(**values))
        return Known(key, changes.created_at, changes.place)

    def _session(self, connection: Connection, id_: str, known: Known | None, changes: Changes) -> tuple[int, int, int]:
        """Its key, the executions told of so far, their size."""
        found = connection.execute(
            select(sessions).where(sessions.c.house == self.house, sessions.c.id == id_).with_for_update()
        ).one_or_none()
        if found is not None:
            there = Known(found.key, found.created_at, Place(found.place_file, found.place_offset))
            if there != known:
                raise Overtaken
            return found.key, found.told, found.size
        if known is not None:
            raise Overtaken
        facts = {"state": changes.state, "generation": changes.generation, "created_at": changes.created_at}
        nothing = {"told": 0, "size": 0, "place_file": 0, "place_offset": 0, "place_seq": 0}
        made = connection.execute(insert(sessions).values(house=self.house, id=id_, **facts, **nothing))
        assert made.inserted_primary_key is not None
        return made.inserted_primary_key[0], 0, 0

    def _trimmed(self, connection: Connection, key: int, size: int) -> int:
        """What is left of `size` after the oldest went, if it was too much. The newest stays, however large."""
        mine = executions.c.session == key
        while size > self._most:
            columns = (executions.c.number, executions.c.size)
            query = select(*columns).where(mine).order_by(executions.c.number).limit(TRIM_STEP)
            oldest = connection.execute(query).all()
            gone = -1
            for row in oldest[:-1] if len(oldest) < TRIM_STEP else oldest:
                if size > self._most:
                    size, gone = size - row.size, row.number
            if gone < 0:
                break
            connection.execute(delete(executions).where(mine, executions.c.number <= gone))
        return size

    def forget(self, id_: str, created_at: str | None = None) -> bool:
        """All rows of a session, if it is the one that was made then. Returns whether there were any."""
        which = [sessions.c.house == self.house, sessions.c.id == id_]
        if created_at is not None:
            which.append(sessions.c.created_at == created_at)
        with writing(self.engine) as connection:
            key = connection.execute(select(sessions.c.key).where(*which)).scalar_one_or_none()
            if key is None:
                return False
            for table in (executions, artifacts, ends):
                connection.execute(delete(table).where(table.c.session == key))
            connection.execute(delete(sessions).where(sessions.c.key == key))
        return True


def _executions(connection: Connection, key: int, told: int, changes: Changes) -> tuple[int, int]:
    """Returns by how much they grew, and how many were ever told of."""
    mine = executions.c.session == key
    ids = [row["id"] for row in changes.executions]
    query = select(executions.c.id, executions.c.size).where(mine, executions.c.id.in_(ids))
    sizes: dict[str, int] = {row.id: row.size for row in connection.execute(query)} if ids else {}
    numbers: dict[str, int] = {}
    for id_ in changes.fresh:
        if id_ not in sizes:
            told += 1
            numbers[id_] = told
    new: list[Row] = []
    added = 0
    for row in changes.executions:
        if (number := numbers.get(row["id"])) is not None:
            new.append({**row, "session": key, "number": number})
            added += row["size"]
        elif row["id"] in sizes:
            connection.execute(update(executions).where(mine, executions.c.id == row["id"]).values(**row))
            added += row["size"] - sizes[row["id"]]
        # Any other was stored once and went, since the session has had so many.
    if new:
        connection.execute(insert(executions), new)
    return added, told


def _only(names: Any, row: Row) -> Row:
    """Without what a later version may have added."""
    return {name: row.get(name) for name in names}
