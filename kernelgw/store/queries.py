"""What is asked of the store: pages of a session's executions, and one of them. As JSON, ready to be sent."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, Row, Select, Text, select, type_coerce

from .engine import reading
from .tables import executions

# Of an answer, in bytes; the rest of a page is another page.
MOST_ANSWER = 16 << 20
# SQLite looks at the clock after so many of its steps.
STEPS = 1000
# Of an execution object without its outputs, and those as JSON.


@dataclass(slots=True)
class Page:
    """Execution objects as JSON, oldest first, and whether there are older ones than `first`, an id."""

    items: list[bytes]
    more: bool
    first: str | None = None


class NotThere(Exception):
    """There is no such execution."""


def page(engine: Engine, key: int, limit: int, before: str | None, search: str, most_s: float) -> Page:
    """The newest `limit` of those before `before`. Raises NotThere, Unavailable."""
    with reading(engine) as connection, _within(connection, most_s):
        query = _objects().where(executions.c.session == key).order_by(executions.c.number.desc()).limit(limit + 1)
        if before is not None:
            query = query.where(executions.c.number < _number(connection, key, before))
        if search:
            query = query.where(executions.c.words.contains(search.casefold(), autoescape=True))
        items: list[bytes] = []
        first = None
        room = MOST_ANSWER
        rows = connection.execution_options(stream_results=True, yield_per=10).execute(query)
        for number, row in enumerate(rows):
            if number == limit or (items and room < len(row.outputs)):
                return Page(items[::-1], True, first)
            items.append(_whole(row))
            first = row.id
            room -= len(row.outputs)
    return Page(items[::-1], False, first)


def one(engine: Engine, key: int, id_: str) -> tuple[bytes, tuple[int, int]]:
    """An execution object as JSON, and the first and last of its events. Raises NotThere, Unavailable."""
    query = _objects().add_columns(executions.c.first_seq, executions.c.last_seq)
    with reading(engine) as connection:
        row = connection.execute(query.where(executions.c.session == key, executions.c.id == id_)).one_or_none()
    if row is None:
        raise NotThere
    return _whole(row), (row.first_seq, row.last_seq)


def _number(connection: Connection, key: int, id_: str) -> int:
    query = select(executions.c.number).where(executions.c.session == key, executions.c.id == id_)
    number: int | None = connection.execute(query).scalar_one_or_none()
    if number is None:
        raise NotThere
    return number


def _objects() -> Select[Any]:
    # Outputs may be long, and are sent on as they are.
    outputs = type_coerce(executions.c.outputs, Text).label("outputs")
    return select(executions.c.id, executions.c.summary, executions.c.code, outputs)


def _head(row: Row[Any]) -> dict[str, Any]:
    return {**row.summary, "code": row.code}


def _whole(row: Row[Any]) -> bytes:
    return orjson.dumps({**_head(row), "outputs": orjson.Fragment(row.outputs)})


@contextlib.contextmanager
def _within(connection: Connection, most_s: float) -> Iterator[None]:
    """In SQLite a search ends then, with an error. PostgreSQL has its own limit."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        yield
        return
    end = time.monotonic() + most_s
    driver.set_progress_handler(lambda: time.monotonic() > end, STEPS)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)
