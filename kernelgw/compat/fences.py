"""Code as models paste it: in Markdown's fences, with words around them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

OPENING = re.compile(r"(`{3,9}|~{3,9})[ \t]*([^\n`]*)$")
# More are not looked for.
MOST = 100


@dataclass(frozen=True, slots=True)
class Block:
    """`start`: where its fence begins. `label`: the first word behind it, in lower case."""

    start: int
    label: str
    body: str


def blocks(code: str) -> list[Block]:
    """Those that are closed, in order."""
    if "```" not in code and "~~~" not in code:
        return []
    found: list[Block] = []
    start, mark, label = 0, "", ""
    body: list[str] = []
    place = 0
    for line in code.split("\n"):
        if not mark:
            if (opening := _opening(line)) is not None:
                start, mark, label, body = place, opening[1], _label(opening[2]), []
        elif line.startswith(mark) and not line.strip(mark[0] + " \t\r"):
            found.append(Block(start, label, "".join(f"{each}\n" for each in body)))
            mark = ""
            if len(found) >= MOST:
                break
        else:
            body.append(line)
        place += len(line) + 1
    return found


def whole(code: str) -> Block | None:
    """The block that the code is, also when its end is missing; there may be fences in it."""
    bare = code.strip()
    first, _, rest = bare.partition("\n")
    if (opening := _opening(first)) is None:
        return None
    lines = rest.split("\n")
    if lines[-1].startswith(opening[1]) and not lines[-1].strip(opening[1][0] + " \t"):
        del lines[-1]
    return Block(0, _label(opening[2]), "".join(f"{line}\n" for line in lines))


def _opening(line: str) -> re.Match[str] | None:
    return OPENING.match(line.rstrip("\r")) if line.startswith(("```", "~~~")) else None


def _label(text: str) -> str:
    words = text.strip().strip("{}").lstrip(".").split()
    return words[0].rstrip(",;:}").lower() if words else ""
