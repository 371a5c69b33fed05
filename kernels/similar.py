"""Names like one that is not there: what a file may have been meant to be called. Bounded in what it looks at and in
time, since names are made by whoever's code this is."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import islice
from typing import Any

MOST_NAMES = 2_000
MOST_FOLDERS = 50
LONGEST_NAME = 100
LONGEST_PATH = 1_000
MOST_FOUND = 3
ALIKE = 0.65
ENOUGH_S = 0.05
# What programs say of a path that is not there: Node, then bash and the programs that it runs.
NOT_THERE = (
    re.compile(r"ENOENT: no such file or directory, \w{1,20} '([^'\n]{1,1000})'"),
    re.compile(r"Cannot find module '(\.{0,2}/[^'\n]{1,1000})'"),
    re.compile(r"(?:^|[\n:] )'?([^:'\n]{1,1000})'?: No such file or directory\s*$"),
    re.compile(r"cannot (?:access|stat|open) '([^'\n]{1,1000})'(?: for \w+)?: No such file or directory\s*$"),
)
LOOKED_AT = 2_000
# How a shell names the command that failed; and those whose arguments are files, all of which have to be there.
COMMAND = re.compile(r" from `([^`\n]{1,200})`\Z")
READERS = frozenset(("cat", "cd", "file", "less", "ls", "md5sum", "more", "sha256sum", "source", "tac", "wc", "."))
# What the shell would have made something else of.
EXPANDED = frozenset("$*?~[]{}<>|&;()#!\\")


def facts(said: str, folder: str | None) -> dict[str, Any]:
    """`{"similar": [...]}` when what a program said is of a file that is not there, else {}. `folder`: where it is, if
    that is known."""
    path = missing(said)
    if path is None and folder is not None:
        path = _argument(said, folder)
    return {"similar": found} if path is not None and (found := files(path, folder or os.getcwd())) else {}


def _argument(said: str, folder: str) -> str | None:
    """The first file that a command was given and that is not there."""
    match = COMMAND.search(said[-LOOKED_AT:])
    if match is None or not EXPANDED.isdisjoint(match[1]):
        return None
    try:
        command, *words = shlex.split(match[1])
    except ValueError:
        return None
    paths = [word for word in words if word and not word.startswith("-")] if command in READERS else []
    return next((path for path in paths if not os.path.lexists(os.path.join(folder, path))), None)


def missing(text: str) -> str | None:
    """The path of which a program's message says that it is not there."""
    end = text[-LOOKED_AT:]
    return next((match.group(1) for pattern in NOT_THERE if (match := pattern.search(end))), None)


def files(path: str, folder: str) -> list[str]:
    """Paths that can be used in its place: first in its own folder; then those that have its name in `folder`, which
    relative paths begin at, or right below it."""
    if not 0 < len(path) <= LONGEST_PATH or "\0" in path:
        return []
    parent, name = os.path.split(path.rstrip("/"))
    if not name:
        return []
    where = os.path.join(folder, parent)
    if not os.path.isdir(where):
        return [each for each in _named(name, folder) if each != path]
    if near := close(name, listing(where)):
        return [os.path.join(parent, each) for each in near]
    return [each for each in _named(name, folder) if each != path]


def close(name: str, names: Iterable[str], alike: float = ALIKE) -> list[str]:
    """The closest first; case does not matter."""
    wanted = name.lower()
    if len(wanted) > LONGEST_NAME:
        return []
    end = time.monotonic() + ENOUGH_S
    matcher = SequenceMatcher(b=wanted, autojunk=False)
    found: list[tuple[float, str]] = []
    for each in islice(names, MOST_NAMES):
        if len(each) > LONGEST_NAME or each == name:
            continue
        matcher.set_seq1(each.lower())
        if matcher.real_quick_ratio() >= alike and matcher.quick_ratio() >= alike:
            if (ratio := matcher.ratio()) >= alike:
                found.append((-ratio, each))
            if time.monotonic() > end:
                break
    return [each for _, each in sorted(set(found))[:MOST_FOUND]]


def one_slip(one: str, other: str) -> bool:
    """Whether they are the same but for a letter that is missing, too many, another, or the next one's place."""
    if len(one) > len(other):
        one, other = other, one
    at = next((place for place, letter in enumerate(one) if letter != other[place]), len(one))
    left, right = one[at:], other[at:]
    if len(left) < len(right):
        return left == right[1:]
    return left[1:] == right[1:] or (left[:2] == right[1::-1] and left[2:] == right[2:])


def _named(name: str, folder: str) -> list[str]:
    """Where something of this very name is, relative to `folder`."""
    try:
        with os.scandir(folder) as entries:
            places = ["", *(each.name for each in islice(entries, MOST_NAMES) if _is_folder(each))]
    except OSError:
        return []
    paths = (os.path.join(place, name) for place in places[: MOST_FOLDERS + 1])
    return [path for path in paths if os.path.lexists(os.path.join(folder, path))][:MOST_FOUND]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)


def listing(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from (each.name for each in islice(entries, MOST_NAMES))
    except OSError:
        return
