"""What editors ask of Bash: how a word may go on, and whether a cell is whole."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable
from typing import Any

MOST_MATCHES, LONGEST_WORD = 500, 1000
WORD = re.compile(r"(?:[^\s|;&<>()'\"=`\\]|\\.)*$")
# Before a word that is a command's name.
COMMAND = re.compile(r"(?:^|[|;&({`\n]|\b(?:then|do|else|elif|if|while|until|time)\s|!\s)\s*$")
SPECIAL = re.compile(r"([\s|;&<>()'\"`\\$*?\[\]#~!{}])")
UNFINISHED = re.compile(r"unexpected end of file|unexpected EOF|here-document .* delimited by end-of-file")
CHECK_S = 5.0


async def complete(ask: Callable[[str], Awaitable[str]], code: str, cursor: int) -> dict[str, Any]:
    """`ask`: what a command of the shell says."""
    before = code[:cursor]
    found = WORD.search(before)
    word = found[0] if found else ""
    start = cursor - len(word)
    matches: list[str] = []
    if before.strip() and len(word) <= LONGEST_WORD:
        for action, prefix, rest in _ways(word, COMMAND.search(before[:start]) is not None):
            command = f"__kgw_complete {action} {shlex.quote(rest)}"
            matches += [
                prefix + (_quoted(each) if action == "file" else each)
                for each in (await ask(command)).split("\n")
                if each
            ]
    unique = sorted(dict.fromkeys(matches))[:MOST_MATCHES]
    return {"status": "ok", "matches": unique, "cursor_start": start, "cursor_end": cursor, "metadata": {}}


def _ways(word: str, first: bool) -> list[tuple[str, str, str]]:
    """What compgen is asked for, what stands before each match, and what it begins with."""
    dollar = re.search(r"^(.*\$\{?)(\w*)$", word)
    if dollar:
        return [("variable", dollar[1], dollar[2])]
    plain = re.sub(r"\\(.)", r"\1", word)
    if first and "/" not in word:
        return [("command", "", plain), ("file", "", plain)] if plain else [("command", "", plain)]
    return [("file", "", plain)]


def _quoted(name: str) -> str:
    return SPECIAL.sub(r"\\\1", name)


async def is_complete(code: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        "bash",
        *("-O", "extglob", "-n"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin"},
    )
    try:
        _, told = await asyncio.wait_for(process.communicate(code.encode(errors="replace")), CHECK_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return {"status": "unknown"}
    if UNFINISHED.search(told.decode(errors="replace")) or code.endswith("\\"):
        return {"status": "incomplete", "indent": ""}
    return {"status": "invalid" if process.returncode else "complete"}
