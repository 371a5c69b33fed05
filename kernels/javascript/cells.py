"""Cells that were run: whose their late words are, and what stood in their lines."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from typing import Any

MOST_CELLS = 500
MOST_CODE = 4 << 20
LARGEST_FILE = 1 << 20
# Lines shown on either side of the one that is meant; of each so many characters.
AROUND = 2
LONGEST_LINE = 500
REWRITTEN = re.compile(r"\s*(?:import|export)\b")


class KnownCells:
    """The newest, by the number under which they ran."""

    def __init__(self) -> None:
        self._parents: OrderedDict[int, Any] = OrderedDict()
        self._code: OrderedDict[str, str] = OrderedDict()
        self._size = 0
        self.current = 0

    def begin(self, code: str, count: int, parent: Any) -> int:
        """Returns the cell's number: its execution count, which its errors show. One that was used before, by a silent
        cell, is used again."""
        self.current = count
        self._parents[count] = parent
        self._parents.move_to_end(count)
        name = f"cell {count}"
        self._size += len(code) - len(self._code.pop(name, ""))
        self._code[name] = code
        while len(self._parents) > MOST_CELLS:
            self._parents.popitem(last=False)
        while self._size > MOST_CODE and len(self._code) > 1:
            self._size -= len(self._code.popitem(last=False)[1])
        return count

    def parent(self, cell: int) -> Any:
        """The request that it came by; None of one that is not known any more."""
        return self._parents.get(cell)

    def with_source(self, frame: dict[str, Any]) -> dict[str, Any]:
        """`frame` with the lines around it, and a file of the workspace named as seen from there."""
        file, line = frame["file"], frame["line"]
        inside = os.path.isabs(file) and file.startswith(os.getcwd() + os.sep)
        lines = self._lines(file, inside and not frame["library"])
        first = max(1, line - AROUND)
        around = [[first + n, text[:LONGEST_LINE]] for n, text in enumerate(lines[first - 1 : line + AROUND])]
        named = os.path.relpath(file) if inside else file
        found = {**frame, "file": named, "source": around}
        if file in self._code and REWRITTEN.match(next((text for number, text in around if number == line), "")):
            # It is of what was run in place of this line.
            found.pop("column", None)
        return found

    def _lines(self, file: str, readable: bool) -> list[str]:
        if file in self._code:
            return self._code[file].split("\n")
        if not readable:
            return []
        try:
            with open(file, encoding="utf-8", errors="replace") as opened:
                return opened.read(LARGEST_FILE).split("\n")
        except OSError:
            return []
