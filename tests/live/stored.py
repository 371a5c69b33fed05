"""What stands in the store, read by itself and not through the gateway; and the databases that tests are run with."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Table, make_url, select

from kernelgw.store.engine import make_engine, reading
from kernelgw.store.options import FILE, FOLDER
from kernelgw.store.tables import artifacts, ends, executions, metadata, sessions

from . import proc
from .client import JSON, Session
from .gateway import MODULE, Gateway


class Stored:
    def __init__(self, url: str) -> None:
        self._engine = make_engine(url)

    def close(self) -> None:
        self._engine.dispose()

    def sessions(self) -> dict[str, JSON]:
        return {row["id"]: row for row in self._rows(sessions)}

    def executions(self, session: str) -> list[JSON]:
        """As callers see them, oldest first; their numbers are checked."""
        rows = self._rows(executions, session)
        numbers = [row["number"] for row in rows]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True, numbers
        for row in rows:
            for name in ("id", "status", "language", "error", "started_at", "duration_s", "state_lost"):
                assert row[name] == row["summary"][name], row
        return [{**row["summary"], "code": row["code"], "outputs": row["outputs"]} for row in rows]

    def ends(self, session: str) -> list[tuple[str, str]]:
        return [(row["state"], row["reason"]) for row in self._rows(ends, session)]

    def artifacts(self, session: str) -> list[JSON]:
        return self._rows(artifacts, session)

    def count(self) -> int:
        """All rows there are."""
        return sum(len(self._rows(table)) for table in (sessions, executions, ends, artifacts))

    def differences(self) -> list[object]:
        """Between what is there and what the tables say."""
        with self._engine.connect() as connection:
            return list(compare_metadata(MigrationContext.configure(connection), metadata))

    def _rows(self, table: Table, session: str | None = None) -> list[JSON]:
        query = select(table).order_by(*table.primary_key.columns)
        if session is not None:
            query = query.join(sessions, sessions.c.key == table.c.session).where(sessions.c.id == session)
        with reading(self._engine) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


class Place:
    """Gateways on one data directory, one after the other, and the database that they store in."""

    def __init__(self, data_dir: Path, url: str | None = None) -> None:
        self.data_dir = data_dir
        self.path = data_dir / FOLDER / FILE
        self.url = url or f"sqlite:///{self.path}"
        self.is_sqlite = url is None

    def gateway(self, **options: object) -> Gateway:
        gateway = Gateway(self.data_dir, MODULE, **{"pool_size": 1, "workspaces": "directory", **options})
        if not self.is_sqlite:
            gateway.environ["KERNELGW_STORE"] = self.url
        return gateway

    @contextmanager
    def stored(self) -> Iterator[Stored]:
        found = Stored(self.url)
        try:
            yield found
        finally:
            found.close()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """By another process, as far as the indexer can tell: nobody can write."""
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=20)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
        finally:
            connection.close()

    @property
    def password(self) -> str:
        return make_url(self.url).password or ""


def indexer(gateway: Gateway) -> int:
    """Its pid."""
    found = [pid for pid in proc.descendants(gateway.pid) if "kernelgw.indexer" in proc.command(pid)]
    assert len(found) == 1, found
    return found[0]


def wait_until_it_is(gateway: Gateway, state: str) -> None:
    with gateway.client() as client:
        proc.wait_until(
            lambda: client.get("/readyz").json()["store"] == state, 60, lambda: client.get("/readyz").json()
        )


def wait_level(gateway: Gateway) -> None:
    """Until all is stored that was told."""
    wait_until_it_is(gateway, "level")


def wholly(session: Session, limit: int, **query: Any) -> list[JSON]:
    """All of a session's history, page by page from its end."""
    found: list[JSON] = []
    while True:
        answer = session.client.get(f"{session.path}/history", params={"limit": limit, **query})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found = page["executions"] + found
        if not page["more"]:
            return found
        assert len(page["executions"]) == limit
        query["before"] = page["executions"][0]["id"]
