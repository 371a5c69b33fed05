"""What a session made that stands outside its events: told by `artifact.created`, kept within a quota.

What was told stays for as long as the session does, or until its caller deletes it: an address that a chat has shown
does not stop working because something else was made. So what is over the quota is refused, and told with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from ..artifacts import kinds, reading, text
from ..artifacts.contents import Contents, Drawer, charge
from ..artifacts.reading import NotKept
from ..errors import ArtifactNotFound
from ..events.log import EventLog
from ..events.translate import Happening, weight
from ..kernel.kernel import Kernel
from ..settings import Settings
from ..workspace.writing import Mark
from .execution import Execution

JSON = dict[str, Any]
# Of one execution; of more files there is only what was told of them.
MOST_FILES_KEPT = 50
# What a cell made is waited for, before its end is told, so long.
COLLECT_S = 10.0
FULL_TEXT = "output.txt"
# What an execution has of one, and each part of an output.
FACTS = ("id", "name", "type", "size", "url")
# Of what is read into memory at once.
LARGEST_ANSWER = 128 << 20
# What the event of one takes in memory, roughly.
EVENT_BYTES = 600
log = logging.getLogger("kernelgw.artifacts")


@dataclass(frozen=True, slots=True)
class Allowance:
    """In bytes: all of a session's, the largest of them, the whole text of one execution; and from what size on a part
    of an output is one."""

    session: int = 512 << 20
    largest: int = 64 << 20
    text: int = 256 << 20
    inline: int = 1 << 20

    @classmethod
    def of(cls, settings: Settings) -> Allowance:
        return cls(
            settings.artifact_bytes, settings.largest_artifact_bytes, settings.full_text_bytes, settings.inline_bytes
        )


class Unchanged(Exception):
    """It is as its caller sent it."""


class Artifacts:
    """One session's. Without a drawer nothing is kept."""

    def __init__(
        self,
        session_id: str,
        events: EventLog,
        drawer: Drawer | None = None,
        allowance: Allowance = Allowance(),
    ) -> None:
        self.entries: dict[str, JSON] = {}
        self.used = 0
        # Files of the workspace that a caller sent, by path; as long as they are as they came, no cell made them.
        self.brought: dict[str, Mark] = {}
        self.allowance = allowance
        self._session_id = session_id
        self._events = events
        self._store = drawer.store if drawer is not None else None
        self._where = drawer.where if drawer is not None else Path
        self._running: set[asyncio.Future[Any]] = set()

    @property
    def folder(self) -> Path:
        return self._where()

    # what doors call

    def find(self, id_: str) -> tuple[JSON, Path]:
        """What is known of it, and where its content is. Raises ArtifactNotFound."""
        entry = self.entries.get(id_)
        if entry is None:
            raise ArtifactNotFound(f"There is no artifact {id_[:200]!r} in session {self._session_id!r}.")
        return entry, self.folder / id_

    def listing(self) -> JSON:
        return {"artifacts": list(self.entries.values()), "used": self.used, "limit": self.allowance.session}

    async def contents(self, entries: Iterable[JSON]) -> dict[str, bytes]:
        """What is in them, by id, as far as it is no more than one answer should have."""
        wanted: dict[str, int] = {}
        for entry in entries:
            if entry["id"] in self.entries and sum(wanted.values()) + entry["size"] <= LARGEST_ANSWER:
                wanted[entry["id"]] = entry["size"]
        return await self._in_thread(_read_all, self.folder, list(wanted)) if wanted else {}

    def content(self, entry: JSON, most: int) -> dict[str, bytes]:
        """The same of one, at once, if it is no larger than that."""
        here = entry["id"] in self.entries and entry["size"] <= most
        return _read_all(self.folder, [entry["id"]]) if here else {}

    def expire(self, after_s: float) -> None:
        """Deletes those that were told longer ago. The oldest comes first."""
        before = (datetime.now(UTC) - timedelta(seconds=after_s)).isoformat()
        while (oldest := next(iter(self.entries.values()), None)) is not None and oldest["created_at"] < before:
            self.delete(oldest["id"], f"the gateway keeps artifacts for {after_s:,.0f} s")

    def delete(self, id_: str, reason: str) -> None:
        """Raises ArtifactNotFound."""
        self.find(id_)
        self._events.append("artifact.deleted", {"id": id_, "reason": reason})
        self.forget(id_)
        self._remove(id_)

    # what is known

    def known(self, data: JSON) -> None:
        """By its event, now or in an earlier gateway's time."""
        self.forget(data["id"])
        entry = {name: data[name] for name in (*FACTS, "created_at")}
        entry["execution_id"] = data.get("execution_id") or data.get("late_execution_id")
        self.used += charge(data["size"])
        self.entries[data["id"]] = entry

    def forget(self, id_: str) -> None:
        if (entry := self.entries.pop(id_, None)) is not None:
            self.used -= charge(entry["size"])

    def tell(self, execution: Execution | None, entry: JSON) -> None:
        """That there is one. Once for each name that an execution gives it."""
        if execution is not None and entry in execution.artifacts:
            return
        data = {**entry, "created_at": datetime.now(UTC).isoformat()}
        if execution is not None and not execution.finished:
            execution.artifacts.append(entry)
            self._events.append("artifact.created", data, execution.id, EVENT_BYTES)
        else:
            if execution is not None:
                data["late_execution_id"] = execution.id
            self._events.append("artifact.created", data, None, EVENT_BYTES)
        self.known(data)

    def sweep(self) -> None:
        """Removes links to what nobody was told of: an earlier gateway was cut off before it could."""
        if self._store is not None and self.folder.is_dir():
            for path in self.folder.iterdir():
                if path.name not in self.entries:
                    self._remove(path.name)

    def _remove(self, id_: str) -> None:
        (self.folder / id_).unlink(missing_ok=True)
        if self._store is not None:
            self._store.release([id_])

    # large parts of outputs

    async def take_out(self, happening: Happening) -> tuple[Happening, list[JSON]]:
        """The same without its large parts, and what became of those. Whatever finds no place stays where it is."""
        bundle, size = dict(happening.data["data"]), happening.size
        made: dict[str, JSON] = {}
        entries = []
        for type_, value in happening.data["data"].items():
            large = kinds.size_of(type_, value)
            if type_ == "text/plain" or large <= self.allowance.inline:
                continue
            encoding, content = kinds.content_of(type_, value)
            try:
                self._check_room(large)
                entry = await self._keep("output" + kinds.extension_of(type_), type_, content)
            except (NotKept, ValueError) as why:
                log.info("session %s: a large output stays in its event: %s", self._session_id, why)
                continue
            entries.append(entry)
            made[type_] = {**entry, "encoding": encoding}
            del bundle[type_]
            size -= weight(value) if isinstance(value, str) else large
        if not made:
            return happening, []
        return Happening(happening.type, {**happening.data, "data": bundle, "artifacts": made}, max(0, size)), entries

    # files of the workspace

    async def collect(self, execution: Execution, kernel: Kernel | None) -> None:
        """Keeps what the execution's files have in them now, and all of its text, and tells of each. `kernel`: the one
        that it ran in."""
        await self._finish_text(execution)
        files = [entry for entry in execution.files if entry["change"] != "deleted" and entry["artifact"] is None]
        if not files:
            return
        if kernel is None:
            _refuse(files, "its kernel has ended, and nobody has its folder")
            return
        try:
            root = await kernel.open_workspace()
        except OSError as error:
            _refuse(files, f"its folder cannot be read: {error.strerror or error}")
            return
        try:
            async with asyncio.timeout(COLLECT_S):
                for entry in files[:MOST_FILES_KEPT]:
                    await self._collect_one(execution, root, entry)
            _refuse(files[MOST_FILES_KEPT:], f"of one execution the first {MOST_FILES_KEPT} are kept")
        except TimeoutError:
            _refuse(files, "there was no time for it")
        finally:
            os.close(root)

    async def _collect_one(self, execution: Execution, root: int, entry: JSON) -> None:
        name = kinds.plain_name(entry["path"])
        try:
            self._check_room(entry["size"])
            links = self._open_links()
            # The thread's own, which closes it: this may be given up while that still reads.
            folder, most = os.dup(root), self.allowance.largest
            path, brought = entry["path"], self.brought.get(entry["path"])
            digest, size = await self._in_thread(_write_file, self._store, links, folder, path, most, brought)
            kept = self._entered(digest, size, name, kinds.of_name(name))
        except Unchanged:
            execution.files.remove(entry)
        except NotKept as why:
            entry["reason"] = str(why)
        else:
            entry["artifact"], entry["reason"] = kept, None
            self.tell(execution, kept)

    # the whole text

    def watch(self, execution: Execution, restored: bool = False) -> None:
        """Before it prints; or later, when what it printed before is had from the journal."""
        execution.kept_outputs.spill = partial(self._spill, execution, restored)

    def _spill(self, execution: Execution, restored: bool, before: list[str]) -> Callable[[str], None] | None:
        """Called when not all of its text can be kept, with what there was: what takes it from then on."""
        if self._store is None:
            return None
        execution.text = text.FullText(self._store, self.allowance.text)
        execution.kept_outputs.whole_text = "the whole text comes with the execution's end"
        execution.text.begin(before, not restored or self._events.first <= execution.first_seq)
        return execution.text.add

    async def _finish_text(self, execution: Execution) -> None:
        outputs = execution.kept_outputs
        outputs.seal()
        if (whole := execution.text) is None:
            return
        execution.text = None
        try:
            digest, size = await self._in_thread(whole.finish, self._open_links())
            entry = self._entered(digest, size, FULL_TEXT, "text/plain")
        except NotKept as why:
            outputs.whole_text = f"the whole text is not kept: {why}"
            return
        execution.keep_text({**entry, "whole": whole.whole})
        self.tell(execution, entry)

    # keeping

    def _check_room(self, size: int) -> None:
        """Raises NotKept."""
        if self._store is None:
            raise NotKept("this gateway keeps none")
        if size > self.allowance.largest:
            raise NotKept(f"it is larger than {self.allowance.largest:,} bytes")
        self._check_quota(size)
        self._store.check_room(size)

    def _check_quota(self, size: int) -> None:
        if self.used + charge(size) > self.allowance.session:
            raise NotKept(f"the session's artifacts may have {self.allowance.session:,} bytes; delete some of them")

    async def _keep(self, name: str, type_: str, content: Iterator[bytes]) -> JSON:
        """`content` is run in a thread. Raises NotKept, and what `content` raises."""
        assert self._store is not None
        digest, size = await self._in_thread(_write, self._store, self._open_links(), content)
        return self._entered(digest, size, name, type_)

    def _entered(self, digest: str, size: int, name: str, type_: str) -> JSON:
        if digest not in self.entries:
            try:
                self._check_quota(size)
            except NotKept:
                self._remove(digest)
                raise
        url = f"/v1/sessions/{self._session_id}/artifacts/{digest}"
        return {"id": digest, "name": name, "type": type_, "size": size, "url": url}

    def _open_links(self) -> int:
        """The folder itself, wherever it is moved to meanwhile. Raises NotKept."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _cannot(error) from None

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Goes on to its end also when nobody waits for it any more: it has descriptors to close."""
        assert self._store is not None
        running = asyncio.get_running_loop().run_in_executor(self._store.threads, work, *arguments)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await asyncio.shield(running)

    async def settled(self) -> None:
        """Returns when nothing is being written any more."""
        while self._running:
            await asyncio.wait(self._running)


def _write(store: Contents, links: int, content: Iterator[bytes]) -> tuple[str, int]:
    try:
        writer = store.writer()
        try:
            for piece in content:
                writer.write(piece)
            return writer.keep(links), writer.size
        finally:
            writer.close()
    except OSError as error:
        raise _cannot(error) from None
    finally:
        os.close(links)


def _read_all(folder: Path, ids: Iterable[str]) -> dict[str, bytes]:
    found = {}
    for id_ in ids:
        with contextlib.suppress(FileNotFoundError):
            found[id_] = (folder / id_).read_bytes()
    return found


def _write_file(store: Contents, links: int, root: int, path: str, most: int, brought: Mark | None) -> tuple[str, int]:
    try:
        file = reading.open_file(root, path, most)
        if brought is not None and Mark.of(file) == brought:
            os.close(file)
            raise Unchanged
    except BaseException:
        os.close(links)
        raise
    finally:
        os.close(root)
    try:
        return _write(store, links, reading.pieces(file, most))
    finally:
        os.close(file)


def _cannot(error: OSError) -> NotKept:
    return NotKept(f"it cannot be stored: {(error.strerror or str(error)).lower()}")


def _refuse(files: Iterable[JSON], why: str) -> None:
    for entry in files:
        if entry["artifact"] is None and entry["reason"] is None:
            entry["reason"] = why
