"""A session as its callers see it."""

from __future__ import annotations

import time
from typing import Any

from .session import Session


def view(session: Session) -> dict[str, Any]:
    kernel, pause = session.kernel, session.debugging.pause
    return {
        "id": session.id,
        "state": session.state.value,
        "reason": pause.reason if pause is not None else session.reason,
        "paused": pause.as_json() if pause is not None else None,
        "language": session.plan.language,
        "environment": session.plan.environment,
        "created_at": session.created_at.isoformat(),
        "idle_s": round(time.monotonic() - session.active_at, 3),
        "executions": len(session.executions),
        "queued": len(session.waiting),
        "running": session.current.id if session.current else None,
        "last_seq": session.log.last,
        "generation": session.generation,
        **session.plan.allowed(),
        "kernel": {"id": kernel.id, "pid": kernel.pid} if kernel else None,
    }
