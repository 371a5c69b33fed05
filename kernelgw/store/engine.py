"""The database behind a URL: opened, brought to the newest step, and its errors in words. SQLite and PostgreSQL."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import alembic.util
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

# Of waiting for another process in SQLite, and for a connection to PostgreSQL. The loop goes round meanwhile.
LOCKED_S, CONNECT_S = 0.25, 3
STATEMENT_S = 30
# For `Connection.execution_options`: takes the lock for writing at once, rather than in the middle.
WRITES = "kernelgw_writes"
PRAGMAS = (
    "auto_vacuum=INCREMENTAL",
    "journal_mode=WAL",
    # The journals are what must not be lost.
    "synchronous=NORMAL",
    # What is deleted is overwritten, in its file and in no other.
    "secure_delete=ON",
    "temp_store=MEMORY",
    "foreign_keys=ON",
)
BROKEN = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
MIGRATIONS = Path(__file__).with_name("migrations")


class Unavailable(Exception):
    """The store cannot be used now. The message is a sentence without the content of any row."""


class Corrupt(Unavailable):
    """What is in the file is no database, or no longer."""


def make_engine(url: str) -> Engine:
    """Raises Unavailable for a URL that leads nowhere."""
    with explained():
        parsed = make_url(url)
        lite = parsed.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"timeout": LOCKED_S} if lite else _postgres(parsed.get_backend_name())
        engine = create_engine(
            parsed, connect_args=options, hide_parameters=True, pool_size=1, max_overflow=2, pool_pre_ping=not lite
        )
    if lite:
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
    return engine


def _postgres(backend: str) -> dict[str, Any]:
    if backend != "postgresql":
        raise Unavailable(f"The store can be SQLite or PostgreSQL, not {backend}.")
    return {
        "connect_timeout": CONNECT_S,
        "options": f"-c statement_timeout={STATEMENT_S}s -c lock_timeout={CONNECT_S}s",
        "application_name": "kernelgw",
    }


def _set_up(connection: sqlite3.Connection, _: object) -> None:
    # Transactions are begun by `_begin`, and not by the driver's own guess.
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction. Raises Unavailable, and nothing was written then."""
    with explained(), engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        yield connection


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    with explained(), engine.connect() as connection:
        yield connection


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Whatever the database says as Unavailable or Corrupt."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        said = error.orig if isinstance(error, DBAPIError) else error
        name = getattr(said, "sqlite_errorname", "")
        # The first line alone: what follows may quote a row.
        words = str(said).strip().split("\n")[0]
        raise (Corrupt if name.startswith(BROKEN) else Unavailable)(f"The database says: {words}.") from None
    except NoSuchModuleError as error:
        raise Unavailable(f"No driver for the store's URL: {error}.") from None
    except ImportError as error:
        raise Unavailable(f"The driver of the store is not installed: {error}.") from None
    except ArgumentError:
        raise Unavailable("The store's URL cannot be read.") from None
    except alembic.util.CommandError as error:
        raise Unavailable(f"The database was made by another version: {error}.") from None
    except SQLAlchemyError as error:
        raise Unavailable(f"The database cannot be used: {type(error).__name__}.") from None


def migrate(engine: Engine, to: str = "head") -> None:
    """Does what the database has not seen yet. Raises Unavailable."""
    with writing(engine) as connection:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, to)
