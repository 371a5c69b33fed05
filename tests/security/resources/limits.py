"""What sessions may use in these tests, and how they are asked what they got."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.live.client import JSON, Session

from .. import matrix

MB = 1 << 20
GRACE_S = 1.0
LIMITS = {
    "memory_bytes": 512 * MB,
    "processes": 48,
    "open_files": 128,
    "file_bytes": 24 * MB,
    "workspace_bytes": 32 * MB,
    "tmp_bytes": 16 * MB,
}
FORKING = [each for each in matrix.configurations() if each.start == "fork"]


def outside(code: str) -> Any:
    """What the code prints as JSON where nothing limits it."""
    command = [sys.executable, "-c", code]
    return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=50, check=True).stdout)


def inside(session: Session, code: str) -> Any:
    return json.loads(session.value(code, timeout_s=50))


def ended_for_memory(execution: JSON) -> bool:
    error = execution["error"]
    if execution["status"] == "killed":
        return "out of memory" in error["value"] and "less data" in error["hint"] and execution["state_lost"]
    return (
        execution["status"] == "failed"
        and error["name"] == "MemoryError"
        and ("memory" in error.get("hint", "") or "ended by signal" in error["value"])
    )
