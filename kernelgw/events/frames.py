"""Where an error was raised, as a kernel tells it: any type, any size. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

Json = dict[str, Any]
MOST_FRAMES, MOST_CAUSES, FRAMES_OF_A_CAUSE, MOST_SOURCE, MOST_SIMILAR = 64, 8, 20, 11, 5
LONGEST_FILE, LONGEST_FUNCTION, LONGEST_LINE, LONGEST_SIMILAR = 1000, 300, 400, 300
LONGEST_CAUSE = 4 << 10
# Of the frames of one exception, in characters, a bit more for each value; their middle goes beyond it.
LONGEST_FRAMES = 64 << 10
RELATIONS = ("cause", "context", "member")
LARGEST_NUMBER = (1 << 31) - 1


def frames(value: Any, most: int = MOST_FRAMES) -> list[Json]:
    """`[{file, line, function, library, source: [[number, text], ...], column?, left_out?}, ...]`, outermost first.
    `left_out`: how many are missing before this one."""
    if not isinstance(value, list):
        return []
    head = _fitting(value, most // 2)
    tail = _fitting(islice(reversed(value), len(value) - len(head)), most // 2)
    found = [*(_frame(each) for each in head), *(_frame(each) for each in reversed(tail))]
    left_out = len(value) - len(head) - len(tail)
    if left_out and tail:
        place = found[len(head)]
        place["left_out"] = place.get("left_out", 0) + left_out
    return found


def causes(value: Any) -> list[Json]:
    """`[{relation, name, value, frames}, ...]`. `relation`: cause, context (what was being handled), or member (of a
    group)."""
    given = value[:MOST_CAUSES] if isinstance(value, list) else []
    return [_cause(each) for each in given if isinstance(each, dict)]


def similar(value: Any) -> list[str]:
    """Names of what is there."""
    given = value[:MOST_SIMILAR] if isinstance(value, list) else []
    return [text for each in given if (text := _text(each, LONGEST_SIMILAR)) and text.isprintable()]


def module(value: Any) -> Json:
    """`{name, installed, standard, file?}` of one that was not found; {} for none."""
    if not isinstance(value, dict) or not (name := _text(value.get("name"), LONGEST_SIMILAR)).isprintable():
        return {}
    file = _text(value.get("file"), LONGEST_FILE)
    known = {"name": name, "installed": value.get("installed") is True, "standard": value.get("standard") is True}
    return {**known, "file": file} if file and file.isprintable() else known


def texts(found: Iterable[Json]) -> Iterator[str]:
    """All texts in frames, for who counts what they take."""
    for frame in found:
        yield frame["file"]
        yield frame["function"]
        yield from (text for _, text in frame["source"])


def _fitting(given: Iterable[Any], most: int) -> list[Json]:
    """Half of what there is room for, at most."""
    found: list[Json] = []
    room = LONGEST_FRAMES // 2
    for each in given:
        frame = each if isinstance(each, dict) else {}
        room -= _length(frame)
        if len(found) >= most or room < 0:
            break
        found.append(frame)
    return found


def _length(frame: Json) -> int:
    source = frame.get("source")
    lines = source[:MOST_SOURCE] if isinstance(source, list) else []
    texts = [str(line[1])[:LONGEST_LINE] if _is_line(line) else "" for line in lines]
    return 200 + sum(map(len, texts)) + len(_text(frame.get("file"), LONGEST_FILE))


def _frame(frame: Json) -> Json:
    source = frame.get("source")
    lines = source[:MOST_SOURCE] if isinstance(source, list) else []
    found: Json = {
        "file": _text(frame.get("file"), LONGEST_FILE),
        "line": _number(frame.get("line")) or 0,
        "function": _text(frame.get("function"), LONGEST_FUNCTION),
        "library": frame.get("library") is True,
        "source": [[_number(line[0]), _text(line[1], LONGEST_LINE)] for line in lines if _is_line(line)],
    }
    for name in ("column", "left_out"):
        if number := _number(frame.get(name)):
            found[name] = number
    return found


def _is_line(line: Any) -> bool:
    is_pair = isinstance(line, list) and len(line) == 2
    return is_pair and _number(line[0]) is not None and isinstance(line[1], str)


def _cause(given: Json) -> Json:
    relation = given.get("relation")
    return {
        "relation": relation if relation in RELATIONS else "cause",
        "name": _text(given.get("name"), LONGEST_FUNCTION),
        "value": _text(given.get("value"), LONGEST_CAUSE),
        "frames": frames(given.get("frames"), FRAMES_OF_A_CAUSE),
    }


def _text(value: Any, most: int) -> str:
    if not isinstance(value, str):
        return ""
    return value if len(value) <= most else value[: most - 1] + "…"


def _number(value: Any) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_NUMBER
    return value if is_number else None
