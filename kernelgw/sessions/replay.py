"""A session's successful cells once more, in a fresh kernel and an empty workspace; and what came out differently."""

from __future__ import annotations

import re
import uuid
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from . import browser
from .execution import Execution, Status
from .older import everything
from .session import Session

if TYPE_CHECKING:
    from .registry import Registry

Output = dict[str, Any]
# Where an object lies differs from one process to the next, and means nothing.
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")
LONGEST_SHOWN = 500
# Of a session's name, so that its replay's fits an id.
LONGEST_NAME = 100


async def replay(house: Registry, session: Session, keep: bool) -> dict[str, Any]:
    """Runs them one after the other, also after one that fails this time. `keep`: whether the session in which they ran
    is to stay. Raises GatewayError when there is no room for it."""
    cells = [each for each in await everything(house.store, session) if each["status"] == Status.COMPLETED.value]
    name = f"{session.id[:LONGEST_NAME]}.replay-{uuid.uuid4().hex[:8]}"
    again, _ = house.get_or_create(name, session.plan.wishes)
    try:
        found = [await _run_again(house, again, cell, session.executions.get(cell["id"])) for cell in cells]
    finally:
        if not keep and name in house.sessions:
            await house.delete(name)
    different = sum(not cell["same"] for cell in found)
    return {
        "session_id": name if keep else None,
        "cells": found,
        "same": len(found) - different,
        "different": different,
    }


async def _run_again(house: Registry, again: Session, cell: dict[str, Any], before: Execution | None) -> dict[str, Any]:
    """`before`: the execution itself, if the session still has it, with what it was run with."""
    if shown := browser.LANGUAGES.get(cell["language"]):
        execution = browser.show(again, cell["code"], shown)
    else:
        timeout_s, given = (before.timeout_s, before.given) if before is not None else (None, None)
        what = (cell["code"], cell["language"], timeout_s)
        execution = house.execute(again, *what, stdin=False, kernel=cell.get("kernel"), given=given)
    await execution.done()
    differences = [*_differences(cell["outputs"], execution.outputs.as_json())]
    same = execution.status is Status.COMPLETED and not differences
    return {
        "execution_id": cell["id"],
        "replay_execution_id": execution.id,
        "code": cell["code"],
        "status": execution.status.value,
        "error": execution.error,
        "same": same,
        "differences": differences,
    }


def _differences(before: list[Output], after: list[Output]) -> list[dict[str, Any]]:
    found = []
    for index, (was, now) in enumerate(zip_longest(map(_essence, before), map(_essence, after))):
        if was != now:
            found.append({"output": index, "was": _shown(was), "is": _shown(now)})
    return found


def _essence(output: Output) -> Output:
    """Without what differs each time: numbers of events and cells, addresses."""
    kept = {name: value for name, value in output.items() if name not in ("seq", "execution_count", "metadata")}
    if isinstance(kept.get("text"), str):
        kept["text"] = ADDRESS.sub("0x…", kept["text"])
    if "artifacts" in kept:
        # By content: each session has addresses of its own.
        kept["artifacts"] = {kind: artifact["id"] for kind, artifact in kept["artifacts"].items()}
    data = kept.get("data")
    if isinstance(data, dict):
        kept["data"] = {kind: _without_addresses(kind, value) for kind, value in data.items()}
    return kept


def _without_addresses(kind: str, value: Any) -> Any:
    return ADDRESS.sub("0x…", value) if isinstance(value, str) and kind.startswith("text/") else value


def _shown(output: Output | None) -> Any:
    """Short: enough to see what it is about."""
    if output is None:
        return None
    if "text" in output:
        return output["text"][:LONGEST_SHOWN]
    if "data" in output:
        plain = output["data"].get("text/plain")
        return plain[:LONGEST_SHOWN] if isinstance(plain, str) else sorted(output["data"])
    return f"{output.get('ename')}: {output.get('evalue')}"[:LONGEST_SHOWN]
