"""Where sessions are kept on disk: a folder for each, by its id, with all that is to be known of it."""

from __future__ import annotations

import asyncio
import shutil
import time
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..artifacts.contents import Contents, Drawer
from ..events.journal import Journal
from ..settings import BadSetting
from ..store.service import Store

# No id begins with it.
GONE = "~"
ARTIFACTS = "artifacts"


class Shelf:
    """`kept`: False for sessions that end with the gateway, of which nothing is written."""

    def __init__(self, data_dir: Path, kept: bool, store: Store | None = None, free_bytes: int = 0) -> None:
        self.folder = data_dir / "sessions"
        self.kept = kept
        self.artifacts = Contents(data_dir / "artifacts", free_bytes)
        self._store = store

    def prepare(self) -> None:
        """Raises BadSetting rather than forget what was to be kept."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.kept and any(not folder.name.startswith(GONE) for folder in self.folder.iterdir()):
            raise BadSetting(f"{self.folder} has sessions that are kept: use another data_dir, or keep disk")
        if not self.kept:
            shutil.rmtree(self._passing, ignore_errors=True)
        self.artifacts.prepare()

    @property
    def _passing(self) -> Path:
        """Of sessions that end with the gateway, what they made."""
        return self.artifacts.folder / "passing"

    def drawer(self, journal: Journal | None) -> Drawer:
        """For the artifacts of a session that is new or was found, wherever it is put away to."""
        if journal is not None:
            return Drawer(self.artifacts, lambda: journal.folder / ARTIFACTS)
        return Drawer(self.artifacts, partial(Path, self._passing, uuid.uuid4().hex))

    def close(self) -> None:
        """The end of the gateway."""
        self.artifacts.threads.shutdown()
        if not self.kept:
            shutil.rmtree(self._passing, ignore_errors=True)
            self.artifacts.sweep()

    def journal(self, session_id: str, limit: int) -> Journal | None:
        """Of a session that is new or was found; nothing is on disk before it is written to."""
        if not self.kept:
            return None
        journal = Journal(self.folder / session_id, limit)
        if self._store is not None:
            journal.flushed = partial(self._store.changed, session_id)
            journal.followed = partial(self._store.read_to, session_id)
        return journal

    def found(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each session that an earlier gateway left, and how its journal begins."""
        for folder in sorted(self.folder.iterdir()):
            beginning = None if folder.name.startswith(GONE) else Journal(folder, 0).beginning()
            if beginning is None:
                # It was being removed, or its first write was cut off: nobody was told of it.
                shutil.rmtree(folder, ignore_errors=True)
            else:
                yield folder.name, beginning

    def age(self, session_id: str) -> float:
        """Seconds since something was last written of it."""
        newest = max((path.stat().st_mtime for path in (self.folder / session_id).iterdir()), default=time.time())
        return max(0.0, time.time() - newest)

    def put_away(self, journal: Journal | None) -> None:
        """Its id may be used again at once, while its session still ends."""
        if journal is not None:
            journal.move(self.folder / f"{GONE}{uuid.uuid4().hex}")

    async def remove(self, journal: Journal | None, artifacts: Path) -> None:
        """All that there is of a session."""
        await asyncio.to_thread(self._remove, artifacts if journal is None else journal.folder, artifacts)

    def _remove(self, folder: Path, artifacts: Path) -> None:
        made = [path.name for path in artifacts.iterdir()] if artifacts.is_dir() else []
        shutil.rmtree(folder, ignore_errors=True)
        self.artifacts.release(made)
