"""One session's journal, followed: what came since is told as rows. The same at once, later, and from the beginning."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ..events.event import Event
from ..events.log import EventLog
from ..events.tail import Replaced, Tail, files_of, name_of
from ..events.translate import Happening
from ..sessions.artifacts import Artifacts
from ..sessions.execution import Execution
from ..sessions.history import History, texts
from ..sessions.lifecycle import State
from ..sessions.recorder import Recorder
from ..sessions.restore import Restored
from ..store.rows import Changes, Known, Row

# Of an execution's outputs at most, and of those that later events may still change, in bytes; and so many of these.
MOST_OUTPUTS, MOST_RECENT, MOST_EXECUTIONS = 8 << 20, 16 << 20, 1000
# Stands between texts, so that no search finds what lies across two of them.
BETWEEN = "\x1f"
ROW_BYTES = 500
log = logging.getLogger("kernelgw.store")


def is_level(folder: Path, known: Known) -> bool:
    """Whether all of the journal was read. Its files are only looked at."""
    files = files_of(folder)
    if not files or files[-1] != known.place.file:
        return False
    try:
        return (folder / name_of(files[-1])).stat().st_size == known.place.offset
    except FileNotFoundError:
        return False


class Follower:
    """`known`: what is stored. The journal is read from its beginning all the same, since what comes may change outputs
    of before; but only what comes after the known place is told. `output_bytes`: kept of an execution's outputs, when a
    session asked for no less."""

    def __init__(self, folder: Path, output_bytes: int, known: Known | None = None) -> None:
        self.known = known
        self._output_bytes = output_bytes
        self._tail = Tail(folder)
        self._history = History(MOST_EXECUTIONS, MOST_RECENT)
        self._history.touched = self._touch
        nothing = EventLog(0)
        self._recorders: defaultdict[str, Recorder] = defaultdict(lambda: Recorder(nothing))
        self._restored = Restored(
            folder.name,
            nothing,
            self._history,
            self._recorders.__getitem__,
            Artifacts(folder.name, nothing),
            self._most(None),
        )
        self._restored.recall = None
        self._summaries: dict[str, dict[str, Any]] = {}
        self._seen: set[str] = set()
        self._wishes: dict[str, Any] = {}
        self._seq = 0
        self._new = False
        self._next = _Next()
        self._unwritten: Changes | None = None

    @property
    def cost(self) -> int:
        """Bytes of memory, roughly."""
        return sum(each.kept_outputs.cost + len(each.code) for each in self._history.executions.values())

    @property
    def begun(self) -> bool:
        return self._tail.place.file > 0

    def advance(self, most_bytes: int) -> Changes | None:
        """What some `most_bytes` more say; the same again until it is `written`. None at the end, for now.

        Raises Replaced, OSError.
        """
        if self._unwritten is not None:
            return self._unwritten
        while pieces := self._tail.read(most_bytes):
            for piece in pieces:
                self._new = self.known is None or piece.at >= self.known.place
                self._take(piece.item)
            if self.known is None or self._tail.place > self.known.place:
                self._unwritten = self._changes()
                return self._unwritten
        return None

    def written(self, known: Known) -> None:
        self.known = known
        self._unwritten = None

    def close(self) -> None:
        self._tail.close()

    def _most(self, wanted: int | None) -> int:
        return min(MOST_OUTPUTS, self._output_bytes, wanted or MOST_OUTPUTS)

    def _take(self, item: Event | dict[str, Any]) -> None:
        self._restored.take(item)
        if isinstance(item, Event):
            if item.seq > self._seq + 1:
                self._missed(self._seq + 1, item.seq - 1)
            self._seq = item.seq
            self._event(item)
        elif "session" in item:
            self._facts(item["session"])
        elif told := item.get("queued") or item.get("running"):
            self._asked(told["id"])

    def _missed(self, first: int, last: int) -> None:
        """Of a journal that did not keep them for so long, or not at all for want of disk."""
        for running in self._restored.running:
            text = f"\n[events {first:,} to {last:,} left out here: the journal did not have them any more]\n"
            told = Happening("output.stream", {"name": "stderr", "text": text}, len(text))
            self._recorders[running.lane].apply(last, running, told)

    def _facts(self, facts: dict[str, Any]) -> None:
        if self.known is not None and facts["created_at"] != self.known.created_at:
            raise Replaced
        self._wishes = facts.get("wishes") or {}
        self._restored.output_bytes = self._most((self._wishes.get("limits") or {}).get("output_bytes"))

    def _asked(self, id_: str) -> None:
        if id_ not in self._seen and (execution := self._history.executions.get(id_)) is not None:
            self._seen.add(id_)
            if self._new:
                self._next.fresh.append(id_)
            self._touch(execution)

    def _touch(self, execution: Execution) -> None:
        if self._new:
            self._next.changed[execution.id] = execution

    def _event(self, event: Event) -> None:
        self._restored.show(event)
        execution = self._restored.whose(event)
        if event.type == "execution.completed" and execution is not None:
            self._summaries[execution.id] = {k: v for k, v in event.data.items() if k != "execution_id"}
            self._touch(execution)
            self._history.completed(execution)
        elif event.type == "execution.started" and execution is not None:
            self._touch(execution)
        elif event.type == "session.state" and event.execution_id is None and self._new:
            if event.data["state"] in (State.DEAD.value, State.ENDED.value):
                self._next.ends.append({"seq": event.seq, **event.data})
        elif event.type == "artifact.created" and self._new:
            self._next.artifacts.append({**event.data, "seq": event.seq, "execution_id": event.execution_id})
        elif event.type == "artifact.deleted" and self._new:
            self._next.artifacts = [each for each in self._next.artifacts if each["id"] != event.data["id"]]
            self._next.deleted.append(event.data["id"])

    def _changes(self) -> Changes:
        told, self._next = self._next, _Next()
        restored = self._restored
        rows = [self._row(execution) for execution in told.changed.values()]
        if len(self._summaries) > 2 * len(self._history.executions):
            self._summaries = {id_: self._summaries[id_] for id_ in self._history.executions if id_ in self._summaries}
            self._seen &= self._history.executions.keys()
        return Changes(
            created_at=restored.created_at.isoformat(),
            state=restored.main.state.value,
            reason=restored.main.reason,
            generation=restored.main.generation,
            wishes=_shown(self._wishes),
            place=self._tail.place,
            seq=self._seq,
            executions=rows,
            fresh=told.fresh,
            ends=told.ends,
            artifacts=told.artifacts,
            deleted=told.deleted,
        )

    def _row(self, execution: Execution) -> Row:
        summary = self._summaries.get(execution.id) or execution.summary()
        # What runs is asked of the gateway, which has it anyway.
        outputs = execution.kept_outputs.as_json() if execution.finished else []
        shown = {**summary, "code": execution.code, "outputs": outputs}
        words = BETWEEN.join(texts(shown)).casefold()
        encoded = orjson.dumps(outputs, option=orjson.OPT_NON_STR_KEYS)
        return {
            **{name: summary[name] for name in ("id", "status", "language", "error", "started_at", "duration_s")},
            **{name: summary[name] for name in ("state_lost", "execution_count")},
            "first_seq": execution.first_seq,
            "last_seq": execution.last_seq,
            "code": execution.code,
            "summary": summary,
            "outputs": orjson.Fragment(encoded),
            "words": words,
            "size": len(encoded) + len(words) + len(execution.code) + ROW_BYTES,
        }


@dataclass(slots=True)
class _Next:
    """What the next transaction will have. `fresh`: executions that were never told of before, in order."""

    changed: dict[str, Execution] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


def _shown(wishes: dict[str, Any]) -> dict[str, Any]:
    """Of variables the names alone: their values may be secrets, and a database may be far away."""
    return {**wishes, "env": sorted(wishes["env"])} if wishes.get("env") else wishes
