"""A session as its callers see it."""

from __future__ import annotations

import time
from typing import Any

from .lane import Lane
from .session import Session


def view(session: Session) -> dict[str, Any]:
    lanes = list(session.lanes.values())
    main = session.main
    pause = main.debugging.pause
    kernel = main.kernel
    running = [lane.current.id for lane in lanes if lane.current is not None]
    return {
        "id": session.id,
        "state": session.state.value,
        "reason": pause.reason if pause is not None else main.reason,
        "paused": pause.as_json() if pause is not None else None,
        "language": session.plan.language,
        "environment": session.plan.environment,
        "created_at": session.created_at.isoformat(),
        "idle_s": round(time.monotonic() - session.active_at, 3),
        "executions": len(session.executions),
        "queued": sum(len(lane.waiting) for lane in lanes),
        "running": running[0] if running else None,
        "last_seq": session.log.last,
        "generation": main.generation,
        **session.plan.allowed(),
        "kernel": {"id": kernel.id, "pid": kernel.pid} if kernel else None,
        "kernels": [view_of(lane) for lane in lanes],
    }


def view_of(lane: Lane) -> dict[str, Any]:
    """One of its kernels."""
    kernel, pause = lane.kernel, lane.debugging.pause
    return {
        "name": lane.name,
        "language": lane.language.name,
        "state": lane.state.value,
        "reason": pause.reason if pause is not None else lane.reason,
        "queued": len(lane.waiting),
        "running": lane.current.id if lane.current else None,
        "generation": lane.generation,
        "pid": kernel.pid if kernel else None,
    }
