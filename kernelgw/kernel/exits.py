"""Why a kernel ended, in words: a pure function from what is known to a reason and what to do next."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

# What Python writes, and what our kernels do for the programs that they drive.
FATAL_LINE = re.compile(r"^Fatal (?:Python )?error: (.{1,500})", re.MULTILINE)
# What a kernel writes that ends itself.
ENDED_LINE = re.compile(r"^Kernel ended: (.{1,500})", re.MULTILINE)
HEAP = re.compile(r"heap out of memory", re.IGNORECASE)
# The innermost line of a cell, as faulthandler tells it.
CURRENT = "Current thread"
CELL_LINE = re.compile(r'^  File "[^"\n]*/ipykernel_[^"\n]*", line (\d{1,9}) in ([\w<>]{1,100})$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Exit:
    """`cause`: out_of_memory, workspace_full, crashed, killed, exited, deadline, restarted, ended, closed, idle,
    disconnected, server_lost, gateway_gone, host_gone, stopped or unknown.
    `reason` is a sentence, `hint` the next step."""

    cause: str
    reason: str
    hint: str
    code: int | None = None
    signal: int | None = None

    @property
    def hint_once(self) -> str:
        """Where there is no next execution; may be empty."""
        return self.hint.removesuffix(LOST).rstrip()


CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS})
LESS_MEMORY = "Work on less data at once, or give the session more memory."
OUT_OF_MEMORY = "The session ran out of memory, so its kernel was ended."
HEAP_FULL = "It used up the memory that its engine gives to objects, which may be less than the session's limit."
LOST = "Its variables are gone; the next execution starts a fresh kernel."

HOST_GONE = Exit("host_gone", "The machine was restarted, and the kernel ended with it.", LOST)
GATEWAY_GONE = Exit("gateway_gone", "The gateway ended without a word, and the kernel did not outlive it.", LOST)


@dataclass(frozen=True, slots=True)
class Manner:
    """How programs of a language end: by `leaving`, `{code}` in it, and by a crash, for which `native` is to blame."""

    leaving: str
    native: str


MANNERS: Mapping[str, Manner] = MappingProxyType(
    {
        "python": Manner("The code, or a library, called os._exit({code}).", "an extension module"),
        "javascript": Manner("The code, or a library, called process.exit({code}).", "a native addon"),
        "bash": Manner("The code ended its shell with exit status {code}.", "a loadable builtin"),
    }
)
OTHER = Manner("The code, or a library, ended the process with status {code}.", "a library with native code")
ALIASES: Mapping[str, str] = MappingProxyType({"typescript": "javascript"})


def explain(
    event: dict[str, Any],
    wanted: str | None,
    crash_log: str,
    oom_kills: int,
    by_session: bool = False,
    language: str = "python",
) -> Exit:
    """`event`: the fork server's `exit`; `wanted`: why we ended it ourselves, if we did; `crash_log`: the last
    that the process wrote to its crash log; `oom_kills`: processes killed for memory since it was started, those of
    its session alone if `by_session`, else of the whole machine; `language`: that the kernel speaks. Says only what is
    known.
    """
    manner = MANNERS.get(ALIASES.get(language, language), OTHER)
    code, number = event.get("code"), event.get("signal")
    if wanted == "disconnected" and oom_kills and by_session:
        # What was killed for memory need not be the process whose end is told, and the news may take its time.
        return _killed(oom_kills, by_session, signal.SIGKILL)
    if wanted is not None:
        return _wanted(wanted, code, number)
    if event.get("server_lost"):
        return Exit("server_lost", "The fork server that held this kernel ended.", LOST, code, number)
    if number == signal.SIGKILL:
        return _killed(oom_kills, by_session, number)
    if number in CRASHES:
        return _crashed(number, crash_log, manner)
    if code and (ended := ENDED_LINE.search(crash_log)):
        return Exit("exited", f"The kernel ended itself: {ended.group(1).strip().rstrip('.')}.", LOST, code)
    said = _fatal(crash_log)
    if number is not None:
        return Exit("killed", f"The kernel was ended by {_signal_name(number)}{said}.", LOST, None, number)
    if code is None:
        return Exit("unknown", "The kernel ended, and nothing says why.", LOST)
    if code == 0 and not said:
        return Exit("exited", "The code ended its own kernel (exit code 0).", LOST, code)
    # Who has said why did not leave by the code's own word.
    hint = f"{HEAP_FULL} {LESS_MEMORY}" if HEAP.search(said) else "" if said else manner.leaving.format(code=code)
    reason = f"The kernel's process exited with code {code}{said}."
    return Exit("exited", reason, f"{hint} {LOST}".strip(), code)


def with_memory(exit_: Exit, peak: int, limit: int) -> Exit:
    """Says how much there was, in bytes, where that is known."""
    if not limit:
        return exit_
    told = f" It may have {limit >> 20} MiB, and used {min(peak, limit) >> 20} MiB."
    return replace(exit_, reason=exit_.reason + told)


def _wanted(wanted: str, code: int | None, number: int | None) -> Exit:
    sentences = {
        "deadline": "It ran past its deadline and did not stop when interrupted, so its kernel was killed.",
        "restarted": "The kernel was restarted.",
        "ended": "The session was ended.",
        "closed": "The kernel was ended, as somebody asked.",
        "exited": "The code ended its own kernel.",
        "disconnected": "The kernel closed its connection, or sent a message that is too large, and was killed.",
        "out_of_memory": OUT_OF_MEMORY,
        "workspace_full": "The session's files grew past their limit, so its kernel was ended.",
        "stopped": "The gateway was stopped, and the kernel with it.",
        "idle": "The session was idle for too long, so its kernel was ended.",
    }
    advice = {
        "out_of_memory": f"{LESS_MEMORY} {LOST}",
        "workspace_full": f"Delete files, or create the session with a higher limit workspace_bytes. {LOST}",
    }
    sentence = sentences.get(wanted, f"The kernel was ended: {wanted}.")
    return Exit(wanted, sentence, advice.get(wanted, LOST), code, number)


def _killed(oom_kills: int, by_session: bool, number: int) -> Exit:
    hint = f"{LESS_MEMORY} {LOST}"
    if oom_kills and by_session:
        return Exit("out_of_memory", OUT_OF_MEMORY, hint, None, number)
    if oom_kills:
        return Exit("out_of_memory", "The machine ran out of memory and ended the kernel.", hint, None, number)
    return Exit("killed", "The kernel was killed (SIGKILL), and nothing says by whom.", LOST, None, number)


def _crashed(number: int, crash_log: str, manner: Manner) -> Exit:
    said = _fatal(crash_log)
    reason = f"The kernel crashed ({_signal_name(number)}{said}){_place(crash_log)}."
    why = f"Native code crashed the interpreter, most often {manner.native}."
    hint = f"{HEAP_FULL} {LESS_MEMORY}" if HEAP.search(said) else why
    return Exit("crashed", reason, f"{hint} {LOST}", None, number)


def _fatal(crash_log: str) -> str:
    """What the program said last, as the end of a sentence."""
    said = FATAL_LINE.search(crash_log)
    return f": {said.group(1).strip().rstrip('.')}" if said else ""


def _place(crash_log: str) -> str:
    found = CELL_LINE.search(crash_log, max(0, crash_log.find(CURRENT)))
    if found is None:
        return ""
    line, name = found.groups()
    return f" in line {line} of a cell" + ("" if name == "<module>" else f", in {name}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def boot_id() -> str:
    """Of the time since the machine was started."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def host_oom_kills() -> int:
    """How many processes this host has killed for memory since it started; 0 where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    counts = dict(line.split() for line in lines)
    return int(counts.get("oom_kill", 0))
