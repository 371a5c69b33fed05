"""What `POST /api/execute` answers, of an execution that is over. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..sessions.execution import Execution, Status
from .router import KERNEL, Route

JSON = dict[str, Any]
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# Of what was printed to stderr, before an error: its end.
MOST_STDERR = 20_000
# Of a run without a session, whose artifacts are gone with it: so much content is in the answer itself.
MOST_INLINE = 8 << 20
GONE = "there was no session to keep it in: give a session_id to fetch it by URL"


def answer(execution: Execution, route: Route, session_id: str | None, ended: bool) -> JSON:
    """`session_id`: of the session in which it ran, if it did. `ended`: whether that is over with it."""
    outputs = execution.outputs.as_json()
    stderr = "".join(_texts(outputs, "stderr"))
    return {
        "success": execution.status is Status.COMPLETED,
        "output": "".join(_printed(outputs)),
        "error": _complaint(execution, stderr),
        "error_details": execution.error,
        "stderr": stderr,
        "session_id": session_id,
        "session_ended": ended,
        "execution_id": execution.id,
        "status": execution.status.value,
        "language": route.language,
        "engine": route.engine,
        "reason": route.reason,
        "outputs": _without_urls(outputs) if ended else outputs,
        "artifacts": execution.artifacts,
        "files": [_without_url(entry) for entry in execution.files] if ended else execution.files,
        "execution_count": execution.execution_count,
        "duration_s": execution.summary()["duration_s"],
        "state_lost": execution.state_lost,
    }


def refusal(name: str, why: str, hint: str, route: Route) -> JSON:
    """For code that was not run, by the same fields."""
    return {
        "success": False,
        "output": "",
        "error": f"{why}\n{hint}",
        "error_details": {"name": name, "value": why, "traceback": [], "hint": hint},
        "stderr": "",
        "session_id": None,
        "session_ended": False,
        "execution_id": None,
        "status": Status.FAILED.value,
        "language": route.language,
        "engine": KERNEL,
        "reason": route.reason,
        "outputs": [],
        "artifacts": [],
        "files": [],
        "execution_count": None,
        "duration_s": 0.0,
        "state_lost": False,
    }


def inlined(entries: Iterable[JSON]) -> list[JSON]:
    """Those artifacts whose content fits into the answer."""
    room, found = MOST_INLINE, []
    for entry in entries:
        if entry["size"] <= room:
            room -= entry["size"]
            found.append(entry)
    return found


def with_contents(entries: Iterable[JSON], contents: Mapping[str, bytes]) -> list[JSON]:
    """Artifacts as they can be had when their addresses lead nowhere any more."""
    return [{**entry, "url": None, **_content(contents.get(entry["id"]))} for entry in entries]


def _content(content: bytes | None) -> JSON:
    if content is None:
        return {"reason": GONE}
    return {"base64": base64.b64encode(content).decode()}


def _without_url(file: JSON) -> JSON:
    return {**file, "artifact": file["artifact"] and {**file["artifact"], "url": None}}


def _without_urls(outputs: list[JSON]) -> list[JSON]:
    return [
        {**each, "artifacts": {kind: {**entry, "url": None} for kind, entry in each["artifacts"].items()}}
        if "artifacts" in each
        else each
        for each in outputs
    ]


def _texts(outputs: Iterable[JSON], name: str) -> Iterator[str]:
    return (each["text"] for each in outputs if each.get("name") == name)


def _printed(outputs: Iterable[JSON]) -> Iterator[str]:
    """What a terminal would show of it, but for errors: results begin on lines of their own."""
    at_start = True
    for each in outputs:
        text = each["text"] if each.get("name") == "stdout" else _plain(each)
        if not text:
            continue
        if "data" in each:
            text = f"{'' if at_start else chr(10)}{text}{'' if text.endswith(chr(10)) else chr(10)}"
        at_start = text.endswith("\n")
        yield text


def _plain(output: JSON) -> str:
    text = output.get("data", {}).get("text/plain", "")
    return text if isinstance(text, str) else ""


def _complaint(execution: Execution, stderr: str) -> str | None:
    """As a terminal would show it, with what happened to it first, and what to do last. None when all went well."""
    if execution.status is Status.COMPLETED:
        return None
    told = []
    if execution.status is Status.TIMED_OUT:
        told.append(f"It was stopped at its time limit of {execution.timeout_s or 0:g} s.")
    elif execution.status is Status.INTERRUPTED:
        told.append("It was interrupted.")
    if text := ANSI.sub("", stderr[-MOST_STDERR:]).strip("\n"):
        told.append(text)
    if (error := execution.error) is not None:
        lines = "\n".join(error.get("traceback") or ()) or f"{error['name']}: {error['value']}".rstrip(": ")
        told.append(error.get("text") or ANSI.sub("", lines))
        told += [f"Hint: {hint}"] if (hint := error.get("hint")) else []
    return "\n".join(told) or f"It ended as {execution.status.value}."
