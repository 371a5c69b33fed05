"""An error in few words, for people and models: the user's own lines, what libraries did between them folded. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from types import MappingProxyType
from typing import Any

Json = Mapping[str, Any]
LONGEST_TEXT, LONGEST_VALUE, LONGEST_CAUSE = 8 << 10, 2 << 10, 300
# Of the user's frames, those that are shown: the first and the last.
MOST_SHOWN, MOST_NAMED = 10, 3
ESCAPES = re.compile(r"\x1b(?:\[[0-?]{0,100}[ -/]{0,10}[@-~]|\][^\x07\x1b]{0,500}(?:\x07|\x1b\\)|[@-Z\\^_])")
PACKAGE = re.compile(r"(?:\A|/)(?:site-packages|dist-packages|node_modules)/(@[^/]+/[^/]+|[^/]+)")
# The engine that runs cells stands between the user's code and itself, and tells nobody anything.
UNSEEN = "IPython"
# What Python says of where, by a file name that means nothing.
SYNTAX_PLACE = re.compile(r" \(\d{1,12}\.py, line \d{1,9}\)\Z")
BETWEEN = MappingProxyType({"cause": "That was the cause of:", "context": "While that was handled:"})


def text(error: Json) -> str:
    """`error`: with name, value, traceback, frames and causes. Without colours, some thousand characters at most."""
    if not error["frames"]:
        lines = error["traceback"] or [_last_line(error)]
        return _fitting(clean("\n".join(lines)))
    before = [each for each in error.get("causes", ()) if each["relation"] != "member"]
    members = [each for each in error.get("causes", ()) if each["relation"] == "member"]
    parts: list[str] = []
    for cause in reversed(before):
        mine = any(not each["library"] for each in cause["frames"])
        parts += [
            *(_frames(cause["frames"], 0) if mine else ()),
            _last_line(cause, LONGEST_CAUSE),
            BETWEEN[cause["relation"]],
        ]
    parts += [*_frames(error["frames"], 2), _last_line(error)]
    parts += [f"  - {_last_line(each, LONGEST_CAUSE)}{_where(each['frames'])}" for each in members]
    return _fitting(clean("\n".join(parts)))


def clean(text: str) -> str:
    """Without what colours it in a terminal."""
    return ESCAPES.sub("", text).replace("\x1b", "")


def _last_line(error: Json, most: int = LONGEST_VALUE) -> str:
    name, value = error["name"], SYNTAX_PLACE.sub("", error["value"])
    if len(value) > most:
        value = f"{value[: most // 2]} … {value[-most // 2 :]}"
    return f"{name}: {value}" if value else str(name)


def _where(frames: list[Json]) -> str:
    mine = [each for each in frames if not each["library"]]
    return f" ({mine[-1]['file']}, line {mine[-1]['line']})" if mine else ""


def _frames(frames: list[Json], around: int) -> Iterator[str]:
    """`around`: how many lines of source are shown on each side, of the innermost that is the user's."""
    runs = [list(run) for _, run in groupby(frames, _place)]
    mine = [run for run in runs if not run[0]["library"]]
    hidden = [id(run) for run in mine[MOST_SHOWN // 2 : -MOST_SHOWN // 2]] if len(mine) > MOST_SHOWN else []
    for shown, group in groupby(runs, lambda run: not run[0]["library"] and id(run) not in hidden):
        some = list(group)
        if shown:
            for run in some:
                yield from _shown(run, around if run is mine[-1] else 0)
        else:
            yield from _folded([each for run in some for each in run])


def _place(frame: Json) -> tuple[Any, ...]:
    return (True,) if frame["library"] else (False, frame["file"], frame["line"], frame["function"])


def _shown(run: list[Json], around: int) -> Iterator[str]:
    frame = run[0]
    if left_out := frame.get("left_out"):
        yield f"… {left_out} frames left out"
    column = f", column {frame['column']}" if "column" in frame else ""
    function = f", in {frame['function']}" if frame["function"] else ""
    yield f"{frame['file']}, line {frame['line']}{column}{function}"
    for number, line in frame["source"]:
        if abs(number - frame["line"]) <= around:
            yield f"{'>' if number == frame['line'] else ' '} {number:>4} | {line}".rstrip()
    if len(run) > 1:
        yield f"… the same {_count(run[1:])} times more"


def _folded(frames: list[Json]) -> Iterator[str]:
    libraries = [each for each in frames if each["library"]]
    where = _libraries(libraries) if libraries else "your code"
    if where != UNSEEN:
        count = _count(frames)
        yield f"… {count} frame{'' if count == 1 else 's'} in {where}"


def _count(frames: list[Json]) -> int:
    return len(frames) + int(sum(each.get("left_out", 0) for each in frames))


def _libraries(frames: list[Json]) -> str:
    names = list(dict.fromkeys(_library(each["file"]) for each in frames))
    return ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")


def _library(file: str) -> str:
    """pandas, of …/site-packages/pandas/core/frame.py; json, of …/lib/python3.11/json/decoder.py."""
    if (found := list(PACKAGE.finditer(file))) or file.startswith("node:"):
        return found[-1].group(1).removesuffix(".py") if found else "Node"
    if file.startswith("<frozen "):
        return file[8:].partition(".")[0].rstrip(">")
    _, _, inside = file.partition("/lib/python3")
    parts = (inside.partition("/")[2] or file.rpartition("/")[2]).split("/")
    return parts[0].removesuffix(".py") or "a library"


def _fitting(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    head, tail = LONGEST_TEXT * 2 // 5, LONGEST_TEXT * 3 // 5
    return f"{text[:head]}\n[{len(text) - head - tail:,} characters left out here]\n{text[-tail:]}"
