"""What is stored of sessions, the same in SQLite and PostgreSQL.

Everything here is made from the journals. A row of `executions` has what callers were told: `summary` is the data of
its `execution.completed` event, `outputs` what a notebook shows. Columns beside them are there to be asked for.
"""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

# PostgreSQL takes no NUL in text. This stands for one; Unicode keeps it for such uses, it is no character.
NUL = "\uffff"


class Plain(TypeDecorator[str]):
    """Text as it is, with any character."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value.replace("\0", NUL) if value is not None else None

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return value.replace(NUL, "\0") if value is not None else None


class Json(TypeDecorator[Any]):
    """JSON as text, byte for byte as it was written: SQLite has no type for it, and PostgreSQL's would change it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode() if value is not None else None

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return orjson.loads(value) if value is not None else None


# SQLite counts rows by itself only where the key is its own kind of integer.
Key = BigInteger().with_variant(Integer(), "sqlite")
metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(column_0_label)s",
    }
)

# `house`: the data directory whose sessions these are, since several gateways may share one database.
# `place_*`: how far the journal was read: a file by its first event, an offset in it, the last event before that.
# `told`: executions ever seen, from which the next one has its number. `size`: of all its executions together.
sessions = Table(
    "sessions",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=True),
    Column("house", String(64), nullable=False),
    Column("id", String(128), nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", Plain),
    Column("generation", Integer, nullable=False),
    Column("wishes", Json),
    Column("told", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("place_file", BigInteger, nullable=False),
    Column("place_offset", BigInteger, nullable=False),
    Column("place_seq", BigInteger, nullable=False),
    UniqueConstraint("house", "id"),
)

# `number`: their order. `size`: bytes that the row takes, roughly. `words`: what a search looks through, casefolded.
# What may be long stands last: SQLite reads a row from its beginning.
executions = Table(
    "executions",
    metadata,
    Column("session", Key, ForeignKey("sessions.key", ondelete="CASCADE"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(128), nullable=False),
    Column("status", String(20), nullable=False),
    Column("language", String(128), nullable=False),
    Column("error", Json),
    Column("started_at", String(40)),
    Column("duration_s", Float),
    Column("state_lost", Boolean, nullable=False),
    Column("execution_count", Integer),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("code", Plain, nullable=False),
    Column("summary", Json, nullable=False),
    Column("words", Plain, nullable=False),
    Column("outputs", Json, nullable=False),
    UniqueConstraint("session", "id"),
)

# `id` is the content's digest; `seq` the event that told of it.
artifacts = Table(
    "artifacts",
    metadata,
    Column("session", Key, ForeignKey("sessions.key", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("execution_id", String(128)),
    Column("id", String(64), nullable=False),
    Column("name", Plain, nullable=False),
    Column("type", Plain, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("url", Plain, nullable=False),
    Index(None, "id"),
)

# Each time that a kernel ended, and why.
ends = Table(
    "ends",
    metadata,
    Column("session", Key, ForeignKey("sessions.key", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String(20), nullable=False),
    Column("reason", Plain),
)
