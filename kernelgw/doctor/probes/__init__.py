"""The properties that one session can show by itself: code that tries to break them, and what came of it.

Every probe tries something that must fail, or looks for something that must not be there; it returns None or "" when
the property holds, else what it saw. The files beside this one are sent as text and run inside the session.

Expectations: `entries` (of /), `hidden` (paths that must not be there), `secrets` (texts that must be in no
environment, command line or mount), `backwards` (texts that must not be in memory, written backwards), `ports` (host
and port pairs that must not answer), `sockets` (unix sockets, abstract ones after an @), `name` (that is not resolved).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..properties import PROPERTIES

MARK = "KERNELGW-PROBES "
FILES = ("filesystem", "processes", "system")
# Without these expectations a probe would pass whatever happens.
NEEDS = MappingProxyType({"FS02": "hidden", "FS12": "secrets", "PR10": "backwards", "NE02": "ports", "NE04": "sockets"})
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
    # All of them first: a probe that gets through, outside of a session, may leave nothing to import from.
    for module in [_module(name, text, tools=tools) for name, text in {files!r}]:
        for id, function in module.PROBES:
            if id in {ids!r}:
                yield dict(id=id, seen=_tried(function, expected) or "")

print({mark!r} + json.dumps(list(_run({expected!r}))))
"""


@dataclass(frozen=True, slots=True)
class Result:
    """`seen`: what speaks against the property, in words; "" when it holds."""

    id: str
    seen: str

    @property
    def outcome(self) -> str:
        """enforced, or missing, or weaker when the property is one that may be missing."""
        if not self.seen:
            return "enforced"
        return "missing" if PROPERTIES[self.id].mandatory else "weaker"


def ids(name: str) -> list[str]:
    """Of the properties that one of FILES tries, in order."""
    return re.findall(r'^    \("([A-Z]{2}\d\d)", ', _text(name), re.MULTILINE)


def source(expected: Mapping[str, Any], only: str | None = None) -> str:
    """One cell, with all probes or one; without those that have nothing to look for."""
    files = [(name, _text(name)) for name in FILES]
    ids = [only] if only else [id_ for id_ in PROPERTIES if id_ not in NEEDS or expected.get(NEEDS[id_])]
    return CELL.format(tools=_text("tools"), files=files, mark=MARK, expected=dict(expected), ids=ids)


def _text(name: str) -> str:
    """In the session there is no package to import from; what is imported here is given there."""
    return Path(__file__).with_name(f"{name}.py").read_text().replace("from . import tools\n", "")


def parse(printed: str) -> list[Result]:
    """What that cell printed. Raises ValueError when it is not all there."""
    line = next((line for line in printed.splitlines() if line.startswith(MARK)), None)
    if line is None:
        raise ValueError("the probes did not come to their end")
    found = json.loads(line.removeprefix(MARK))
    if not found:
        raise ValueError("the probes gave no results")
    return [Result(str(each["id"]), str(each["seen"])) for each in found]
