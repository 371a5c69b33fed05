"""An exception as data: where it was raised, and what is behind it.

Attributes are read from the classes that define them, so that a class of the user's cannot say otherwise, nor be run;
only its text is its own to make, and whatever comes of that is bounded.
"""

from __future__ import annotations

import linecache
import os
import stat
import sys
import sysconfig
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from types import CodeType, TracebackType
from typing import Any

MOST_FRAMES, MOST_CAUSES, FRAMES_OF_A_CAUSE = 60, 8, 20
AROUND = 2
LONGEST_LINE, LONGEST_NAME, LONGEST_VALUE = 300, 300, 64 << 10
LARGEST_FILE, MOST_READ = 1 << 20, 8
NO_TEXT = "<its text cannot be had>"
# Compiled: as it was called where that was done.
CYTHON = (".pyx", ".pxi", ".pxd")
# What runs cells.
MACHINERY = ("/IPython/", "/ipykernel/", "/codeop.py")

Json = dict[str, Any]
_trace = BaseException.__dict__["__traceback__"].__get__
_cause = BaseException.__dict__["__cause__"].__get__
_context = BaseException.__dict__["__context__"].__get__
_hides = BaseException.__dict__["__suppress_context__"].__get__
_parts = BaseExceptionGroup.__dict__["exceptions"].__get__
_class_name = type.__dict__["__name__"].__get__


def name_of(value: BaseException) -> str:
    return _plain(_class_name(type(value)), LONGEST_NAME)


def text_of(value: BaseException, most: int = LONGEST_VALUE) -> tuple[str, bool]:
    """And whether that is all that it says: its class may not get it done, or say far too much. An interrupt that comes
    while it makes its text has stopped what it was for."""
    try:
        text = str(value)
    except BaseException:
        return NO_TEXT, False
    if len(text) <= most:
        return _plain(text, most), True
    half = most // 2
    left_out = f"\n[{len(text) - 2 * half:,} characters left out here]\n"
    return _plain(text[:half], half) + left_out + _plain(text[-half:], half), False


def exit_code(value: SystemExit) -> Any:
    return SystemExit.__dict__["code"].__get__(value)


def ends_well(value: SystemExit) -> bool:
    """Whether a program that ends by it has not failed."""
    code = exit_code(value)
    return code is None or (type(code) in (int, bool) and code == 0)


def attribute(value: BaseException, kind: type[BaseException], name: str) -> Any:
    """What C code put there; None when it is no plain text or number."""
    found = kind.__dict__[name].__get__(value)
    return found if type(found) in (str, int) else None


class Describer:
    """A kernel's. `cell`: the execution count of the cell that has a file name, None for others; `workspace`: its
    folder."""

    def __init__(self, cell: Callable[[str], int | None], workspace: str) -> None:
        self._cell = cell
        self.workspace = workspace
        paths = sysconfig.get_paths()
        self._libraries = tuple({paths[name] + "/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})

    def describe(self, value: BaseException) -> Json:
        """`{"frames": [...], "causes": [...]}`."""
        sources = Sources()
        causes = [
            {"relation": relation, "name": name_of(each), "value": text_of(each)[0]}
            | {"frames": self._frames(each, sources, FRAMES_OF_A_CAUSE)}
            for relation, each in islice(_behind(value), MOST_CAUSES)
        ]
        found: Json = {"frames": self._frames(value, sources, MOST_FRAMES)}
        return found | ({"causes": causes} if causes else {})

    def _frames(self, value: BaseException, sources: Sources, most: int) -> list[Json]:
        entries = self._of_user(_trace(value))
        kept = entries if len(entries) <= most else entries[: most // 2] + entries[-most // 2 :]
        frames = [self._frame(each.tb_frame.f_code, each.tb_lineno, sources) for each in kept]
        if len(kept) < len(entries):
            frames[most // 2]["left_out"] = len(entries) - len(kept)
        if issubclass(type(value), SyntaxError) and (place := self._syntax(value, sources)) is not None:
            frames.append(place)
        return frames

    def _of_user(self, tb: TracebackType | None) -> list[TracebackType]:
        """Without what ran the cell."""
        entries = []
        while tb is not None:
            entries.append(tb)
            tb = tb.tb_next
        names = [_plain(each.tb_frame.f_code.co_filename) for each in entries]
        begin = next((place for place, name in enumerate(names) if self._cell(name) is not None), None)
        if begin is None:
            begin = next((place for place, name in enumerate(names) if not _is_machinery(name)), len(names))
        return entries[begin:]

    def _frame(self, code: CodeType, line: int | None, sources: Sources) -> Json:
        path = _plain(code.co_filename)
        file, library = self.place(path)
        function = _plain(getattr(code, "co_qualname", code.co_name), LONGEST_NAME)
        source = sources.around(path, line or 0, 0 if library else AROUND)
        return {"file": file, "line": line or 0, "function": function, "library": library, "source": source}

    def _syntax(self, value: BaseException, sources: Sources) -> Json | None:
        path, line = attribute(value, SyntaxError, "filename"), attribute(value, SyntaxError, "lineno")
        if type(path) is not str or type(line) is not int:
            return None
        file, library = self.place(path)
        source = sources.around(path, line, 0 if library else AROUND)
        text, column = attribute(value, SyntaxError, "text"), attribute(value, SyntaxError, "offset")
        if not source and type(text) is str:
            source = [[line, _line(text.split("\n", 1)[0])]]
        frame = {"file": file, "line": line, "function": "", "library": library, "source": source}
        return frame | ({"column": column} if type(column) is int and column > 0 else {})

    def place(self, path: str) -> tuple[str, bool]:
        """What a file is to be called, and whether it is a library's."""
        if (number := self._cell(path)) is not None:
            return f"cell {number}", False
        library = "/site-packages/" in path or "/dist-packages/" in path or path.startswith("<frozen ")
        library = library or path.startswith(self._libraries) or path.endswith(CYTHON) or _is_machinery(path)
        relative = path.removeprefix(self.workspace + "/")
        return _plain(relative, 4 * LONGEST_NAME), library


class Sources:
    """Lines of files, as Python has them or, of a few, as they are on the disk."""

    def __init__(self) -> None:
        self._read: dict[str, list[Any]] = {}

    def around(self, path: str, line: int, around: int) -> list[list[Any]]:
        """`[[number, text], ...]`."""
        lines = self._lines(path)
        first, last = max(1, line - around), min(len(lines), line + around)
        if not 1 <= line <= len(lines):
            return []
        return [[number, _line(lines[number - 1])] for number in range(first, last + 1)]

    def _lines(self, path: str) -> list[Any]:
        cache = linecache.cache
        entry = cache.get(path) if type(cache) is dict else None
        if type(entry) is tuple and len(entry) == 4 and type(entry[2]) is list:
            return entry[2]
        if path not in self._read:
            self._read[path] = _read(path) if path.startswith("/") and len(self._read) < MOST_READ else []
        return self._read[path]


def _read(path: str) -> list[str]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST_FILE:
                return []
            return os.read(fd, LARGEST_FILE).decode(errors="replace").split("\n")
        finally:
            os.close(fd)
    except (OSError, ValueError):
        return []


def _behind(value: BaseException) -> Iterator[tuple[str, BaseException]]:
    """What caused it, what was being handled then, and the exceptions of a group; then what is behind those."""
    seen, waiting = {id(value)}, deque([value])
    while waiting:
        for relation, each in _next(waiting.popleft()):
            if id(each) not in seen:
                seen.add(id(each))
                waiting.append(each)
                yield relation, each


def _next(value: BaseException) -> Iterator[tuple[str, BaseException]]:
    if (cause := _cause(value)) is not None:
        yield "cause", cause
    elif (context := _context(value)) is not None and not _hides(value):
        yield "context", context
    if issubclass(type(value), BaseExceptionGroup):
        yield from (("member", each) for each in _parts(value)[:MOST_CAUSES])


def _is_machinery(path: str) -> bool:
    return any(part in path for part in MACHINERY) or path.startswith(OURS)


def _plain(text: str, most: int = sys.maxsize) -> str:
    """An object of `str` itself, whatever class of the user's this is."""
    return str.__getitem__(text, slice(0, most))


def _line(text: Any) -> str:
    """Without its end."""
    if not issubclass(type(text), str):
        return ""
    plain = _plain(text, LONGEST_LINE + 1).rstrip("\r\n")
    return plain if len(plain) <= LONGEST_LINE else plain[:LONGEST_LINE] + "…"


# Where this package's own code comes from.
OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/"
