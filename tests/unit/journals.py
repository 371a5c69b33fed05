"""Journals as sessions write them, without a session: what ran, in the order in which it is told."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from kernelgw.events.event import Event
from kernelgw.events.journal import Journal
from kernelgw.events.outputs import Outputs
from kernelgw.sessions import notes
from kernelgw.sessions.execution import Execution, Status

LIMIT = 1 << 20


class Writer:
    """Of a session that begins now. `limit`: bytes that its journal keeps."""

    def __init__(
        self,
        folder: Path,
        created_at: str = "2026-01-05T10:00:00+00:00",
        limit: int = 64 << 20,
        wishes: dict[str, Any] | None = None,
    ) -> None:
        facts: dict[str, Any] = {"created_at": created_at, "generation": 1, "wishes": wishes or {}, "state": "idle"}
        self.facts = {**facts, "reason": None}
        self.journal = Journal(folder, limit, self._heading)
        self.running: Execution | None = None
        self.told: list[dict[str, Any]] = []
        self._seq = itertools.count(1)
        self._ids = itertools.count(1)
        self.journal.note({"begun": folder.name})
        self.journal.flush()

    def _heading(self) -> list[dict[str, Any]]:
        return [{"session": self.facts}, *([notes.running(self.running)] if self.running else [])]

    def event(self, type_: str, execution: Execution | None = None, **data: Any) -> int:
        seq = next(self._seq)
        whose = {"execution_id": execution.id} if execution else {}
        self.journal.append(seq, Event(seq, type_, execution.id if execution else None, {**data, **whose}, 0).frame())
        return seq

    def begin(self, code: str) -> Execution:
        id_ = f"{self.journal.folder.name}-{next(self._ids)}"
        self.running = execution = Execution(self.journal.folder.name, code, "python", Outputs(LIMIT), id=id_)
        self.journal.note(notes.queued(execution))
        execution.start()
        execution.first_seq = self.event(
            "execution.started", execution, code=code, language="python", started_at=execution.summary()["started_at"]
        )
        self.journal.flush()
        return execution

    def print(self, text: str, execution: Execution | None = None, **data: Any) -> None:
        self.event("output.stream", execution, name="stdout", text=text, **data)
        self.journal.flush()

    def end(self, execution: Execution, status: Status = Status.COMPLETED) -> None:
        execution.finish(status)
        self.running = None
        self.told.append({**execution.summary(), "code": execution.code})
        execution.last_seq = self.event("execution.completed", execution, **execution.summary())
        self.journal.flush()

    def run(self, code: str, *prints: str) -> Execution:
        execution = self.begin(code)
        for text in prints:
            self.print(text, execution)
        self.end(execution)
        return execution
