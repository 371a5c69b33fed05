"""The files of a SQLite database: made for their owner alone, cleaned of what was deleted, set aside when broken."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from .engine import Unavailable, reading

BROKEN = ".broken-"
PARTS = ("", "-wal", "-shm", "-journal")


@dataclass(frozen=True)
class Files:
    """`path`: None for a database that has no files here."""

    path: Path | None

    @classmethod
    def of(cls, engine: Engine) -> Files:
        name = engine.url.database if engine.url.get_backend_name() == "sqlite" else None
        return cls(Path(name) if name else None)

    def make(self) -> None:
        """Raises Unavailable."""
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.touch(0o600)
        except OSError as error:
            raise Unavailable(f"The store cannot be made: {error.strerror}.") from None

    def clean(self, engine: Engine) -> None:
        """What was deleted is in none of them afterwards. Raises Unavailable while another process reads."""
        if self.path is None:
            return
        # One session cannot be taken out of a broken database, so it goes as a whole.
        for broken in self.path.parent.glob(f"{self.path.name}{BROKEN}*"):
            broken.unlink(missing_ok=True)
        with reading(engine) as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            connection.rollback()
            driver.execute("PRAGMA incremental_vacuum").fetchall()
            busy = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise Unavailable("Another process reads the store, and holds what was deleted.")

    def set_aside(self) -> str | None:
        """The name under which it is found now; None where there is nothing to be moved."""
        if self.path is None:
            return None
        name = f"{self.path.name}{BROKEN}{datetime.now(UTC):%Y%m%dT%H%M%S}"
        for part in PARTS:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{part}").rename(self.path.with_name(name + part))
        return name
