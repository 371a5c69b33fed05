"""What is said of a cell that failed: only what the shell surely knows."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from ..hosted import Failure
from .shell import Report

NOT_FOUND, NOT_RUN = 127, 126
SIGNALLED = 128
CELL = re.compile(r"(?:^|/)cell-(\d+)$")
UNREAD = re.compile(r"^.*?: line (\d+): (.*)$", re.MULTILINE)
# The cell is read as a group; whoever wrote it knows nothing of that.
UNFINISHED = re.compile(r"unexpected token `\}'|unexpected end of file")
AROUND = 2
# Of `__kgw_failed` before its frames, and of each frame.
HEAD, FRAME = 7, 3
# How the kernel's own functions end; and their files, in the last of which lines are others than in the user's.
OURS = '\\builtin return "$status"'
OWN_FILES = ("/prelude", "/state")
LIBRARIES = ("/usr/", "/lib/", "/opt/", "/bin/", "/etc/")

Sources = Mapping[int, Sequence[str]]


def explain(report: Report, number: int, sources: Sources, workspace: str) -> Failure:
    """`sources`: lines of cells, by number; `number`: of the cell that ended."""
    if report.unread and (found := UNREAD.search(report.unread)):
        return _unread(int(found[1]), found[2], number, sources)
    known = _known(report)
    frames = _frames(known[HEAD:], sources, workspace) if known else []
    name, value = _said(report, known)
    return Failure(name, value, _traceback(name, value, frames), frames)


def with_nul(line: int, number: int, sources: Sources) -> Failure:
    """For a cell that was not handed to the shell, which would leave the character out and say nothing."""
    return _unread(line, "a NUL character, which no program of Bash can have", number, sources)


def _unread(line: int, told: str, number: int, sources: Sources) -> Failure:
    lines = sources.get(number, ())
    value = told
    if UNFINISHED.search(told) and line > len(lines):
        value = "syntax error: unexpected end of the cell"
    line = max(1, min(line, len(lines)))
    frame = _frame("", number, "", line, sources, "")
    value = f"line {line}: {value}"
    return Failure("SyntaxError", value, _traceback("SyntaxError", value, [frame]), [frame])


def _known(report: Report) -> tuple[str, ...]:
    """What failed last, if that is what the cell's status comes from: by `set -e`, or as its last command."""
    failed = report.failed
    if len(failed) < HEAD or failed[0] != str(report.status):
        return ()
    if report.last is not None and report.last != (report.status, failed[2]) and report.last[1] != OURS:
        return ()
    return failed


def _said(report: Report, known: tuple[str, ...]) -> tuple[str, str]:
    status = report.status
    if not known:
        after = report.last is not None and report.last[1] != OURS and report.last[1]
        return "ExitCode", f"{_code(status)}; the last command was `{_short(after)}`" if after else _code(status)
    _, line, command, missing, _, parts, last = known[:HEAD]
    if command == f"exit {status}":
        return "ExitCode", f"{_code(status)} by `exit` in line {line}"
    if missing and "/" in missing:
        return "CommandNotFound", f"{missing}: No such file or directory (exit code {status}, line {line})"
    if missing:
        return "CommandNotFound", f"{missing}: command not found (exit code {status}, line {line})"
    if int(parts) > 1:
        # Of several, with pipefail, any; else the last, which is the one that is named.
        of = "from" if last == str(status) else "in a pipeline that ends with"
        return "ExitCode", f"{_code(status)} {of} `{_short(command)}`"
    return "ExitCode", f"{_code(status)} from `{_short(command)}`"


def _code(status: int) -> str:
    number = status - SIGNALLED
    if number in signal.valid_signals():
        return f"exit code {status} (128 + {number}, {signal.Signals(number).name})"
    return f"exit code {status}"


def _short(command: str) -> str:
    return command if len(command) <= 200 else command[:200] + "…"


def _frames(fields: Sequence[str], sources: Sources, workspace: str) -> list[dict[str, Any]]:
    calls = [fields[at : at + FRAME] for at in range(0, len(fields) - FRAME + 1, FRAME)]
    found = []
    for function, file, line in calls:
        if file.endswith(OWN_FILES):
            continue
        cell = CELL.search(file)
        number = int(cell[1]) if cell else None
        called = "" if function in ("source", "main") else function
        found.append(_frame(file, number, called, int(line), sources, workspace))
    return found[::-1]


def _frame(file: str, number: int | None, function: str, line: int, sources: Sources, workspace: str) -> dict[str, Any]:
    if number is not None:
        lines, file = sources.get(number, ()), f"cell {number}"
    else:
        file = os.path.normpath(os.path.join(workspace, file))
        lines = _lines(file, line)
    library = file.startswith(LIBRARIES) and not file.startswith(f"{workspace}/")
    shown = range(max(1, line - AROUND), min(len(lines), line + AROUND) + 1)
    return {
        "file": file.removeprefix(f"{workspace}/"),
        "line": line,
        "function": function,
        "library": library,
        "source": [[at, lines[at - 1]] for at in shown],
    }


def _lines(path: str, line: int) -> Sequence[str]:
    try:
        with open(path, errors="replace") as file:
            return file.read(1 << 18).split("\n")[: line + AROUND]
    except OSError:
        return ()


def _traceback(name: str, value: str, frames: list[dict[str, Any]]) -> list[str]:
    told = []
    for frame in frames:
        function = f", in {frame['function']}" if frame["function"] else ""
        told.append(f"{frame['file']}, line {frame['line']}{function}")
        told += [f"{'--> ' if at == frame['line'] else '    '}{at:>4} {text}" for at, text in frame["source"]]
    return [*told, f"{name}: {value}"]
