"""A session as its journal tells it: what its events say happened is done again, without a kernel."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..events.event import Event
from ..events.log import EventLog
from ..events.translate import Happening
from . import notes
from .artifacts import FACTS, Artifacts
from .execution import Execution, Status
from .history import History
from .lifecycle import State
from .recorder import Recorder

OUTPUT = "output."
OUTPUTS = OUTPUT.encode()
log = logging.getLogger("kernelgw.session")


@dataclass(eq=False)
class Found:
    """What is known of one kernel of a session. `language`: None for that of the session itself."""

    language: str | None = None
    state: State = State.NEW
    reason: str | None = None
    generation: int = 0
    current: Execution | None = None
    queue: deque[Execution] = field(default_factory=deque)
    kernel: dict[str, Any] | None = None
    debugging: dict[str, str] = field(default_factory=dict)
    paused: dict[str, Any] | None = None


class Restored:
    """The state that a session had, as far as it goes by what was told: `replay` takes all of it, or `take` piece by
    piece. `recorder`: that of a kernel, by its key."""

    def __init__(
        self,
        session_id: str,
        log: EventLog,
        history: History,
        recorder: Callable[[str], Recorder],
        artifacts: Artifacts,
        output_bytes: int,
    ) -> None:
        self.lanes = {"": Found()}
        self.created_at = datetime.now(UTC)
        self.workspace: dict[str, Any] | None = None
        self._lost_told: dict[str, int] = {}
        self._last = 0
        self._session_id = session_id
        self._log = log
        self._history = history
        self._recorder = recorder
        self._artifacts = artifacts
        self.output_bytes = output_bytes
        # Of an execution that is told of; see `Execution`.
        self.recall: Callable[[], None] | None = self._recall

    @property
    def main(self) -> Found:
        return self.lanes[""]

    @property
    def running(self) -> list[Execution]:
        return [lane.current for lane in self.lanes.values() if lane.current is not None]

    def _lane(self, key: str) -> Found:
        """One that is not known any more is as good as the session's own: what it did is over."""
        return self.lanes.get(key, self.main)

    def replay(self) -> None:
        assert self._log.journal is not None
        for item in self._log.journal.load(skipped=OUTPUTS):
            self.take(item)
        self._log.restored()
        self._artifacts.sweep()
        waiting = [execution for lane in self.lanes.values() for execution in lane.queue]
        for execution in (*waiting, *self.running):
            self._artifacts.watch(execution, restored=True)
        self._last = self._log.last
        self._history.forgotten |= self._log.first > 1

    def take(self, item: Event | notes.Note) -> None:
        try:
            if isinstance(item, Event):
                self._event(item)
            else:
                self._note(item)
        except (KeyError, TypeError, ValueError) as error:
            # Written by another version; the rest is still worth having.
            log.warning("session %s: skipped a part of its journal: %s", self._session_id, error)

    def _recall(self) -> None:
        """Outputs of all executions, since one may change those of another: once, and only when somebody looks."""
        executions = self._history.executions.values()
        for execution in executions:
            execution.recall = None
        for event in self._log.each(self._last):
            self.show(event)
        for execution in executions:
            if execution.finished:
                self._history.completed(execution)

    def show(self, event: Event) -> Execution | None:
        """What an event does to outputs. Returns whose it is, if it is an output."""
        whose = self.whose(event)
        if event.type.startswith(OUTPUT):
            happening = Happening(event.type, event.data, event.size)
            self._recorder(whose.lane if whose is not None else "").apply(event.seq, whose, happening)
            return whose
        if event.type == "session.state" and event.data.get("state") == State.DEAD.value:
            self._recorder(event.data.get("kernel", "")).forget_displays()
        return None

    def whose(self, event: Event) -> Execution | None:
        return self._history.executions.get(event.execution_id or event.data.get("late_execution_id") or "")

    def _note(self, note: notes.Note) -> None:
        lane = self._lane(note.get("of", ""))
        if "session" in note:
            facts = note["session"]
            self.created_at = datetime.fromisoformat(facts["created_at"])
            self._facts(self.main, facts)
        elif "lane" in note:
            facts = note["lane"]
            self._facts(self.lanes.setdefault(facts["name"], Found(facts["language"])), facts)
        elif "lane_ended" in note:
            self.lanes.pop(note["lane_ended"], None)
        elif "queued" in note:
            if note["queued"]["id"] not in self._history.executions:
                self._add(note["queued"])
        elif "running" in note:
            self._running(note["running"])
        elif (current := self._current(note)) is not None:
            self._note_of_current(current, note)
        elif "kernel" in note:
            lane.kernel = note["kernel"]
            lane.generation = note["generation"]
        elif "workspace" in note:
            self.workspace = note["workspace"]
        elif "artifact" in note:
            self._artifacts.known(note["artifact"])
        elif "debugging" in note:
            lane.debugging, lane.paused = note["debugging"], note.get("paused", lane.paused)

    @staticmethod
    def _facts(lane: Found, facts: notes.Note) -> None:
        lane.generation = facts["generation"]
        lane.state, lane.reason = State(facts["state"]), facts["reason"]

    def _running(self, note: notes.Note) -> None:
        if note["id"] in self._history.executions:
            return
        execution = self._add(note)
        self._begin(execution, note["started_at"], note["first_seq"])
        execution.execution_count = note["execution_count"]
        execution.entered = execution.execution_count is not None
        execution.held_s = note.get("held_s", 0.0)

    def _current(self, note: notes.Note) -> Execution | None:
        """Which of those that run the note is about."""
        return next((each for each in self.running if each.id in note.values()), None)

    @staticmethod
    def _note_of_current(execution: Execution, note: notes.Note) -> None:
        if "entered" in note:
            execution.entered, execution.execution_count = True, note["execution_count"]
        elif "stopping" in note:
            execution.stopping = Status(note["why"])
        elif "replied" in note:
            execution.reply = note["reply"]
        elif "idle" in note:
            execution.idle = True
        elif "held" in note:
            execution.held_s = note["held_s"]
        elif "answered" in note:
            execution.waiting_for_input = False
        elif "changed" in note:
            execution.changed, execution.files_left_out = note["files"], note["more"]
            execution.files_whole = note["whole"]
        elif "ended" in note:
            execution.error, execution.state_lost = note["error"], note["state_lost"]
            execution.execution_count = note["execution_count"]
            execution.end(Status(note["status"]))
            execution.lasted(note["duration_s"])

    def _add(self, note: notes.Note) -> Execution:
        execution = notes.execution_of(self._session_id, note, self.output_bytes)
        execution.recall = self.recall
        self._history.add(execution)
        self._lane(execution.lane).queue.append(execution)
        return execution

    def _begin(self, execution: Execution, started_at: str, first_seq: int, in_kernel: bool = True) -> None:
        lane = self._lane(execution.lane)
        if execution in lane.queue:
            lane.queue.remove(execution)
        execution.start(datetime.fromisoformat(started_at))
        execution.first_seq = first_seq
        if in_kernel:
            lane.current = execution

    def _event(self, event: Event) -> None:
        data = event.data
        execution = self.whose(event)
        if event.type == "session.state":
            self._state(self._lane(data.get("kernel", "")), event)
        elif event.type == "execution.started" and execution is not None:
            first = self._lost_told.pop(execution.id, event.seq)
            # What a browser shows begins and ends beside what a kernel runs.
            self._begin(execution, data["started_at"], first, in_kernel="engine" not in data)
        elif event.type == "execution.completed" and execution is not None:
            self._complete(execution, event)
        elif event.type == "artifact.created":
            self._artifacts.known(data)
            if execution is not None and event.execution_id is not None:
                execution.artifacts.append({name: data[name] for name in FACTS})
        elif event.type == "artifact.deleted":
            self._artifacts.forget(data["id"])
        elif event.type == "input.requested" and execution is not None:
            execution.waiting_for_input = True

    def _state(self, lane: Found, event: Event) -> None:
        data = event.data
        if "paused" in data:
            lane.paused = data["paused"]
        elif event.execution_id is not None:
            # That it begins without what earlier ones had left.
            self._lost_told[event.execution_id] = event.seq
        else:
            lane.state, lane.reason = State(data["state"]), data.get("reason")
            if lane.state is State.DEAD:
                lane.kernel = lane.paused = None
                lane.debugging = {}

    def _complete(self, execution: Execution, event: Event) -> None:
        data = event.data
        lane = self._lane(execution.lane)
        if execution in lane.queue:
            lane.queue.remove(execution)
            execution.first_seq = event.seq
        if execution is lane.current:
            lane.current = None
        execution.execution_count, execution.error = data["execution_count"], data["error"]
        execution.state_lost = data["state_lost"]
        execution.changed, execution.artifacts = data.get("files"), data.get("artifacts", [])
        execution.files_left_out, execution.files_whole = data.get("files_left_out", 0), data.get("files_whole", True)
        execution.keep_text(data.get("full_text"))
        execution.finish(Status(data["status"]))
        execution.lasted(data["duration_s"])
        execution.last_seq = event.seq
