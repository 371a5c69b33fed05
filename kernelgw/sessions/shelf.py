"""Where sessions are kept on disk: a folder for each, by its id, with all that is to be known of it."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..events.journal import Journal


class Shelf:
    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "sessions"
        self._removed = data_dir / "removed"

    def prepare(self) -> None:
        shutil.rmtree(self._removed, ignore_errors=True)
        for folder in (self.folder, self._removed):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def journal(self, session_id: str, limit: int) -> Journal:
        """Of a session that is new or was found; nothing is on disk before it is written to."""
        return Journal(self.folder / session_id, limit)

    def found(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each session that an earlier gateway left, and how its journal begins."""
        for folder in sorted(self.folder.iterdir()):
            beginning = Journal(folder, 0).beginning()
            if beginning is None:
                # Its first write was cut off: nobody was told of it.
                shutil.rmtree(folder, ignore_errors=True)
            else:
                yield folder.name, beginning

    def put_away(self, journal: Journal | None) -> Path:
        """Its id may be used again at once, while its session still ends. Returns what `remove` wants."""
        gone = self._removed / uuid.uuid4().hex
        if journal is not None:
            journal.move(gone)
        return gone

    async def remove(self, folder: Path) -> None:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
