"""The mandatory properties that one session can show by itself: code that tries to break them, and what came of it.

Every probe tries something that must fail, or looks for something that must not be there; it returns None or "" when
the property holds, else what it saw. The files beside this one are sent as text and run inside the session.

Expectations: `entries` (of /), `hidden` (paths that must not be there), `secrets` (texts that must be in no
environment, command line or mount), `ports` (host and port pairs that must not answer), `started` (whether this kernel
was exec'd, which leaves it readable to its own session), `gvisor` (whether another kernel answers than the host's:
what that shows of ids and mount points is its own).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARK = "KERNELGW-PROBES "
OUTCOMES = ("enforced", "weaker", "missing")
FILES = ("filesystem", "processes", "system")
# A probe that fails by itself shows nothing, so its property counts as missing.
CELL = """
import json, types

def _module(name, text, **given):
    module = types.ModuleType(name)
    module.__dict__.update(given)
    exec(compile(text, name, "exec"), module.__dict__)
    return module

def _tried(function, expected):
    try:
        return function(expected)
    except Exception as error:
        return f"the probe failed: {{type(error).__name__}}: {{error}}"

def _run(expected):
    tools = _module("tools", {tools!r})
    for name, text in {files!r}:
        for id, function in _module(name, text, tools=tools).PROBES:
            about = function.__name__.replace("_", " ")
            bad = _tried(function, expected)
            yield dict(id=id, outcome="missing" if bad else "enforced", detail=about + (": " + bad if bad else ""))

print({mark!r} + json.dumps(list(_run({expected!r}))))
"""


@dataclass(frozen=True, slots=True)
class Result:
    """`outcome`: enforced, weaker or missing; `detail`: what was seen, in words."""

    id: str
    outcome: str
    detail: str


def source(expected: Mapping[str, Any]) -> str:
    """One cell."""
    files = [(name, _text(name)) for name in FILES]
    return CELL.format(tools=_text("tools"), files=files, mark=MARK, expected=dict(expected))


def _text(name: str) -> str:
    """In the session there is no package to import from; what is imported here is given there."""
    return Path(__file__).with_name(f"{name}.py").read_text().replace("from . import tools\n", "")


def parse(printed: str) -> list[Result]:
    """What that cell printed. Raises ValueError when it is not all there."""
    line = next((line for line in printed.splitlines() if line.startswith(MARK)), None)
    if line is None:
        raise ValueError("the probes did not come to their end")
    found = json.loads(line.removeprefix(MARK))
    results = [Result(str(each["id"]), str(each["outcome"]), str(each["detail"])) for each in found]
    if not results or any(result.outcome not in OUTCOMES for result in results):
        raise ValueError("the probes gave no results")
    return results
