"""What clients ask of a kernel's history, for their arrow keys: its own cells, out of its memory.

IPython answers these out of a database of all kernels, which would show one chat's code to another: there is none.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

Line = tuple[int, int, Any]


def newest(
    manager: Any, output: bool, raw: bool, n: int | None, pattern: str = "*", unique: bool = False
) -> list[Line]:
    """The last `n` cells like `pattern`, which has wildcards as a file name; with `unique` the last of those alike."""
    found = [line for line in manager.get_range(0, 1, None, raw, output) if fnmatchcase(_code(line), pattern)]
    if unique:
        last = {_code(line): number for number, line in enumerate(found)}
        found = [found[number] for number in sorted(last.values())]
    return found[-n:] if n else found


def _code(line: Line) -> str:
    """Beside it stands its output, when that was asked for."""
    said = line[2]
    return str(said[0] if isinstance(said, tuple) else said)
