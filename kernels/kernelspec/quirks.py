"""What kernels of others do their own way, in the form that everybody else's have. Pure."""

from __future__ import annotations

import re
from typing import Any

JSON = dict[str, Any]
ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# xeus-python names the class itself.
CLASS = re.compile(r"<class '(?:[^']*\.)?([^'.]+)'>")
NAMELESS, UNEXPLAINED = "Error", "The cell failed, and the kernel does not say why."
# To what it is asked when nothing is left to read: ipykernel's own sign for the end of a file.
END_OF_FILE = "\x04"
# Subshells misroute output, and debuggers are asked on a channel that is not passed on.
NOT_HERE = frozenset({"kernel subshells", "debugger"})
# Some say the one, some the other, of what they did not run.
NOT_RUN = frozenset({"aborted", "abort"})


def without_colours(content: JSON) -> JSON:
    """Of a display or a result: its text is for whoever shows it to colour."""
    data = content.get("data")
    text = data.get("text/plain") if isinstance(data, dict) else None
    if isinstance(data, dict) and isinstance(text, str) and "\x1b" in text:
        return {**content, "data": {**data, "text/plain": ANSI.sub("", text)}}
    return content


def error(content: JSON, told: JSON | None = None) -> JSON:
    """ename, evalue and traceback, whatever of it was said. `told`: where else to look."""
    found = {**{name: value for name, value in (told or {}).items() if value}, **_said(content)}
    name, value, lines = found.get("ename"), found.get("evalue"), found.get("traceback")
    trace = [str(line) for line in lines] if isinstance(lines, list) else []
    if not name and not value and not trace:
        return {"ename": NAMELESS, "evalue": UNEXPLAINED, "traceback": [UNEXPLAINED]}
    value = str(value or "")
    # Deno's is of the whole class of errors, with the value in it.
    name = CLASS.sub(r"\1", str(name or NAMELESS))
    return {"ename": name, "evalue": value, "traceback": trace or [f"{name}: {value}" if value else name]}


def _said(content: JSON) -> JSON:
    return {name: content[name] for name in ("ename", "evalue", "traceback") if content.get(name)}


def features(info: JSON) -> JSON:
    """What a kernel says of itself, without what cannot be had of it here."""
    offered = info.get("supported_features")
    kept = {name: value for name, value in info.items() if name not in ("status", "debugger")}
    if isinstance(offered, list):
        kept["supported_features"] = [each for each in offered if each not in NOT_HERE]
    return kept


def reason(program: str, lines: list[str], began: bool, interrupted: bool) -> str:
    """Why a program is no more, in one line, beside its exit code. `lines`: the last of its stderr."""
    when = "" if began else " before it was ready"
    why = " when it was interrupted" if interrupted else ""
    said = " | ".join(ANSI.sub("", line).strip() for line in lines)
    return f"{program} ended{when}{why}" + (f": {said}" if said else "")
