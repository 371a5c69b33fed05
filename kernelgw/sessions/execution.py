"""One run of one cell: what was asked, what came of it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from ..artifacts.text import FullText
from ..errors import GatewayStopping
from ..events.outputs import Outputs
from ..events.translate import error_size, weight


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    TIMED_OUT = "timed_out"
    KILLED = "killed"


# An awaiting cell is interrupted by cancelling it; a kernel that was interrupted may give no name at all.
INTERRUPT_NAMES = frozenset({"KeyboardInterrupt", "CancelledError", ""})
# What is known of a file or an artifact, without its name.
FILE_BYTES = 600
FINISHED = frozenset(Status) - {Status.QUEUED, Status.RUNNING}


@dataclass(frozen=True, slots=True)
class Order:
    """By whom a cell was asked for through another door than our own. `id`: what they call it. `header`: of their
    message, which all that comes of it refers to. `stops`: whether what they have waiting behind it is not to run
    once it has failed. `silent`: the kernel does not say when it begins it."""

    id: str
    by: str
    username: str
    header: dict[str, Any]
    stops: bool = False
    silent: bool = False
    # What they want to know of the variables after it: code too, run by the kernel as a part of the cell.
    expressions: dict[str, str] = field(default_factory=dict)
    # Their message, until it is sent to the kernel as it is.
    request: tuple[bytes, ...] = ()

    @property
    def asker(self) -> str:
        return str(self.header.get("session", ""))

    def as_json(self) -> dict[str, Any]:
        asked = {"user_expressions": self.expressions} if self.expressions else {}
        return {"by": self.by, "username": self.username, **asked}

    def sent(self) -> Order:
        """What of it is kept."""
        return replace(self, request=())


@dataclass(eq=False)
class Execution:
    """Also the state of its run: `entered` once the kernel has begun it, `idle` and `reply` as they come in."""

    session_id: str
    code: str
    language: str
    kept_outputs: Outputs
    timeout_s: float | None = None
    stdin: bool = False
    order: Order | None = None
    id: str = ""
    # The kernel's name, and by what the journal knows that.
    kernel: str = ""
    lane: str = ""
    # All that it may read from its standard input.
    given: str | None = None
    # Whether other kernels change files too.
    shared: bool = False
    status: Status = Status.QUEUED
    execution_count: int | None = None
    error: dict[str, Any] | None = None
    state_lost: bool = False
    first_seq: int = 0
    last_seq: int = 0
    entered: bool = False
    idle: bool = False
    reply: dict[str, Any] | None = None
    waiting_for_input: bool = False
    kept: int = 0
    stopping: Status | None = None
    timer: asyncio.TimerHandle | None = None
    straggler: asyncio.TimerHandle | None = None
    # By a debugger, all its stops together; it does not count towards the deadline.
    held_s: float = 0.0
    # How it ended, while what it made is still being kept.
    ended: Status | None = None
    # Files of the workspace that it made, changed or deleted, as the kernel told; None until it has.
    changed: list[dict[str, Any]] | None = None
    files_left_out: int = 0
    files_whole: bool = True
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    # Where its text goes once that is too much; and what came of it.
    text: FullText | None = None
    full_text: dict[str, Any] | None = None
    # Of one that an earlier gateway ran: brings its outputs back, before anybody looks at them.
    recall: Callable[[], None] | None = None
    _started: float | None = None
    _started_at: datetime | None = None
    _duration: float | None = None
    _done: list[asyncio.Future[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.id = self.id or (self.order.id if self.order is not None else uuid.uuid4().hex)

    @property
    def outputs(self) -> Outputs:
        if self.recall is not None:
            self.recall()
        return self.kept_outputs

    @property
    def files(self) -> list[dict[str, Any]]:
        return self.changed or []

    @property
    def finished(self) -> bool:
        return self.status in FINISHED

    def outcome(self, failed: bool) -> Status:
        """How it ended, given whether its reply was an error: a stop that was asked for counts if it worked."""
        if self.stopping is Status.TIMED_OUT:
            return Status.TIMED_OUT
        if not failed:
            return Status.COMPLETED
        if self.stopping is not None and self.error and self.error["name"] in INTERRUPT_NAMES:
            return self.stopping
        return Status.FAILED

    def start(self, at: datetime | None = None) -> None:
        """Now, or when it really was, as an earlier gateway wrote it down."""
        now = datetime.now(UTC)
        self.status = Status.RUNNING
        self._started_at = at or now
        self._started = time.monotonic() - max(0.0, (now - self._started_at).total_seconds())

    def lasted(self, duration_s: float | None) -> None:
        self._duration = duration_s

    def end(self, status: Status) -> None:
        """The code is over, and nothing can stop it any more; `finish` follows."""
        self.ended = status
        if self._started is not None and self._duration is None:
            self._duration = time.monotonic() - self._started
        for timer in (self.timer, self.straggler):
            if timer is not None:
                timer.cancel()
        self.timer = self.straggler = None
        self.waiting_for_input = False
        self.reply = None

    def finish(self, status: Status) -> None:
        """Wakes whoever waits in `done`. Called once."""
        self.end(status)
        self.kept_outputs.seal()
        self.status = status
        waiting, self._done = self._done, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def part(self) -> None:
        """Nobody can wait for it any longer here, though it may go on."""
        waiting, self._done = self._done, []
        for future in waiting:
            if not future.done():
                future.set_exception(GatewayStopping("The gateway is being stopped; the execution goes on without it."))

    async def done(self) -> None:
        """Raises GatewayStopping."""
        if not self.finished:
            future = asyncio.get_running_loop().create_future()
            self._done.append(future)
            await future

    def duration(self) -> float | None:
        if self._duration is None and self._started is not None:
            return time.monotonic() - self._started
        return self._duration

    def keep_text(self, artifact: dict[str, Any] | None) -> None:
        """All of its text is there, if it is `whole`."""
        self.full_text = artifact
        if artifact is not None:
            what = "the whole text is" if artifact["whole"] else "more of the text, not all of it, is"
            self.kept_outputs.whole_text = f"{what} {artifact['url']}"

    @property
    def summary_size(self) -> int:
        """Bytes that its summary takes in memory, roughly."""
        files = sum(FILE_BYTES + weight(entry["path"]) for entry in self.files)
        return (error_size(self.error) if self.error else 0) + files + FILE_BYTES * len(self.artifacts)

    def summary(self) -> dict[str, Any]:
        """The execution object without its outputs."""
        duration = self.duration()
        return {
            "id": self.id,
            "session_id": self.session_id,
            "language": self.language,
            "kernel": self.kernel,
            "status": self.status.value,
            "execution_count": self.execution_count,
            "error": self.error,
            "started_at": self._started_at.isoformat() if self._started_at else None,
            "duration_s": round(duration, 6) if duration is not None else None,
            "state_lost": self.state_lost,
            "artifacts": self.artifacts,
            "files": self.files,
            "files_left_out": self.files_left_out,
            "files_whole": self.files_whole,
            "full_text": self.full_text,
            **(self.order.as_json() if self.order is not None else {}),
        }

    def as_begun(self) -> dict[str, Any]:
        """What is told when it starts."""
        facts = {"code": self.code, "language": self.language, "kernel": self.kernel}
        facts["started_at"] = self.summary()["started_at"]
        return facts | (self.order.as_json() if self.order is not None else {})

    def as_metadata(self) -> dict[str, Any]:
        """What our kernels are told of a cell besides its code: `language`, which of theirs; `stdin`, all that it may
        read from standard input; `shared`, that files may have been changed by others since the last one."""
        given = {} if self.given is None else {"stdin": self.given}
        return {"language": self.language, **given, **({"shared": True} if self.shared else {})}

    def lost(self, name: str, why: str, hint: str) -> None:
        """Its kernel ended under it."""
        self.error = {"name": name, "value": why, "traceback": []} | ({"hint": hint} if hint else {})
        self.state_lost = True

    def as_json(self) -> dict[str, Any]:
        return {**self.summary(), "code": self.code, "outputs": self.outputs.as_json()}
