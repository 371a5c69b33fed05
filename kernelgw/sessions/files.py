"""What a kernel says of the files that a cell changed. It may say anything: this reads what can be of use. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST = 200
LONGEST_PATH = 4096
CHANGES = frozenset({"created", "modified", "deleted"})
LARGEST = 1 << 60


def parse(content: Mapping[str, Any]) -> tuple[list[dict[str, Any]], int, bool]:
    """The files, each with path, change, size, artifact and reason; how many more there are; and whether none can have
    been missed."""
    given = content.get("files")
    found: dict[str, dict[str, Any]] = {}
    for each in given if isinstance(given, list) else ():
        if len(found) < MOST and (entry := _entry(each)) is not None:
            found.setdefault(entry["path"], entry)
    return list(found.values()), _count(content.get("more")), content.get("whole") is True


def _entry(given: Any) -> dict[str, Any] | None:
    if not isinstance(given, dict):
        return None
    path, change = given.get("path"), given.get("change")
    if not isinstance(path, str) or not 0 < len(path) <= LONGEST_PATH:
        return None
    if not isinstance(change, str) or change not in CHANGES:
        return None
    return {"path": path, "change": change, "size": _count(given.get("size")), "artifact": None, "reason": None}


def _count(given: Any) -> int:
    return min(given, LARGEST) if isinstance(given, int) and given >= 0 else 0
