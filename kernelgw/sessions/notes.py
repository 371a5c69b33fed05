"""What a session writes into its journal for a later gateway, besides its events; and how that is read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..events.outputs import Outputs
from .execution import Execution, Order

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel
    from .lane import Lane
    from .session import Session

Note = dict[str, Any]


def heading(session: Session) -> list[Note]:
    """What has to be known besides when the files before are gone."""
    main = session.main
    facts: dict[str, Any] = {"created_at": session.created_at.isoformat(), "generation": main.generation}
    facts |= {"wishes": session.plan.wishes, "state": main.state.value, "reason": main.reason}
    found: list[Note] = [{"session": facts}]
    if session.workspace is not None:
        found.append({"workspace": session.workspace.as_note()})
    for each in session.lanes.values():
        found += _heading_of(each)
    found += [{"artifact": entry} for entry in session.artifacts.entries.values()]
    return found + [queued(execution) for each in session.lanes.values() for execution in each.waiting]


def _heading_of(lane_: Lane) -> list[Note]:
    found = [lane(lane_)] if lane_.key else []
    if lane_.kernel is not None:
        found.append(kernel(lane_, lane_.kernel))
    if lane_.debugging.clients:
        pause = lane_.debugging.pause
        paused = pause.as_json() if pause is not None else None
        found.append({**debugging(lane_.debugging.clients, lane_.key), "paused": paused})
    current = lane_.current
    if current is not None and not current.finished:
        found.append(running(current))
        found += [changed(current)] if current.changed is not None else []
        found += [ended(current)] if current.ended is not None else []
    return found


def lane(lane: Lane) -> Note:
    """A further kernel, as it is."""
    facts = {"name": lane.key, "language": lane.language.name, "generation": lane.generation}
    return {"lane": {**facts, "state": lane.state.value, "reason": lane.reason}}


def kernel(lane: Lane, kernel: Kernel) -> Note:
    """One that has just been started."""
    return {"kernel": kernel.as_note(), "generation": lane.generation, **_of(lane.key)}


def _of(key: str) -> Note:
    return {"of": key} if key else {}


def queued(execution: Execution) -> Note:
    return {"queued": _asked(execution)}


def running(execution: Execution) -> Note:
    """Stands at the beginning of a file whose forerunners may be gone."""
    began = {"started_at": execution.summary()["started_at"], "first_seq": execution.first_seq}
    began |= {"held_s": execution.held_s}
    return {"running": {**_asked(execution), **began, "execution_count": execution.execution_count}}


def entered(execution: Execution) -> Note:
    return {"entered": execution.id, "execution_count": execution.execution_count}


def stopping(execution: Execution) -> Note:
    return {"stopping": execution.id, "why": execution.stopping}


def replied(execution: Execution) -> Note:
    """Its events come when it is idle too, and until then only this tells of the reply."""
    return {"replied": execution.id, "reply": execution.reply}


def idle(execution: Execution) -> Note:
    return {"idle": execution.id}


def changed(execution: Execution) -> Note:
    more, whole = execution.files_left_out, execution.files_whole
    return {"changed": execution.id, "files": execution.changed, "more": more, "whole": whole}


def ended(execution: Execution) -> Note:
    """How, while what it made is still being kept."""
    facts: dict[str, Any] = {"status": execution.ended, "error": execution.error, "state_lost": execution.state_lost}
    facts |= {"execution_count": execution.execution_count, "duration_s": execution.duration()}
    return {"ended": execution.id, **facts}


def held(execution: Execution) -> Note:
    """By a debugger, all its stops together."""
    return {"held": execution.id, "held_s": execution.held_s}


def debugging(clients: Mapping[str, str], key: str) -> Note:
    """Who is at the debugger of a kernel: what they go by, and their users' names."""
    return {"debugging": dict(clients), **_of(key)}


def answered(execution: Execution) -> Note:
    return {"answered": execution.id}


def _asked(execution: Execution) -> Note:
    return {
        "id": execution.id,
        "code": execution.code,
        "language": execution.language,
        "timeout_s": execution.timeout_s,
        "stdin": execution.stdin,
        "kernel": execution.kernel,
        **({"lane": execution.lane} if execution.lane else {}),
        **({"given": execution.given} if execution.given is not None else {}),
        **({"order": asdict(execution.order.sent())} if execution.order is not None else {}),
    }


def execution_of(session_id: str, note: Note, output_bytes: int) -> Execution:
    """The execution that `queued` or `running` told of."""
    return Execution(
        session_id,
        note["code"],
        note["language"],
        Outputs(output_bytes),
        timeout_s=note["timeout_s"],
        stdin=note["stdin"],
        order=Order(**note["order"]) if "order" in note else None,
        id=note["id"],
        kernel=note.get("kernel", ""),
        lane=note.get("lane", ""),
        given=note.get("given"),
    )
