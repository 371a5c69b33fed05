"""What to do about an error: one hint where there is a real one. A pure table of what the session's own walls cause;
what is not there has a module of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from ..events.translate import Happening
from ..kernel.exits import LOST
from ..sandbox.policy import HOME, WORKSPACE
from . import missing
from .execution import INTERRUPT_NAMES, Execution, Status
from .missing import NO_NETWORK

# Name and value are the code's own, of any length; what a limit caused is said at the beginning or at the end.
LONGEST_NAME = 200
LOOKED_AT = 2000


@dataclass(frozen=True, slots=True)
class _Hint:
    names: re.Pattern[str]
    values: tuple[re.Pattern[str], ...]
    text: str
    online: bool | None = None

    def fits(self, value: str) -> bool:
        return all(pattern.search(value) for pattern in self.values)


def _hint(names: str, value: str | tuple[str, ...], text: str, online: bool | None = None) -> _Hint:
    """`value`: what it has to contain, each of several. `online`: only in sessions that have a network, or only in
    those that have none."""
    values = (value,) if isinstance(value, str) else value
    return _Hint(re.compile(names), tuple(re.compile(each, re.IGNORECASE) for each in values), text, online)


_UNREACHABLE = r"name resolution|name or service|unreachable|failed to resolve"
# As Node and curl call it, in whatever error.
_UNREACHABLE_SURELY = r"\b(EAI_AGAIN|ENOTFOUND|ENETUNREACH)\b|could not resolve host"
_NOBODY = (
    "Nothing listens at this address. In a session without a network only its own programs can be reached, "
    "while they run."
)
_DIRECT = r"name resolution|name or service|network is unreachable"
_BY_PROXY = (
    "A session reaches its hosts only through the proxy in HTTPS_PROXY, by HTTP and TLS: "
    "names are not resolved and addresses not reached without it."
)
_FETCHERS = (r"\b(pip3?|uv|npm|npx|yarn|pnpm|curl|wget|git)\b", r"returned non-zero exit status")
# As a shell's kernel names a command that failed: those that surely wanted the network.
_FETCHING = (
    r" from `(?:(?:python3? -m )?pip3? install|uv (?:add|pip install)|(?:npm|pnpm|yarn) (?:install|i|add|ci)|npx"
    r"|git (?:clone|fetch|pull|push))\b|exit code 6 from `curl\b|exit code 4 from `wget\b"
)
_CONNECTING = r"(?=\w*Connect)\w+"
_NOT_ALLOWED = 'The session may not reach this host: name it in "network": {"allow": [...]} when creating the session.'
_PRIVATE = "The host leads to an address of a private network: only the operator can allow that, by --network-private."
_FULL = (
    "The workspace, /tmp, /dev/shm or the home is full: delete files, or create the session with higher limits "
    "workspace_bytes or tmp_bytes."
)
_OPEN_FILES = "Close files and sockets, or create the session with a higher limit open_files."
# In Python the system says no more than that; it means this where a process is begun.
_BEGINS = re.compile(r"/subprocess\.py\Z|/multiprocessing/popen_\w{1,20}\.py\Z")
_FORKS = re.compile(r"\b(?:fork|forkpty|posix_spawnp?)\(")
_RAISES = re.compile(r"\s*raise\b")
_PROCESSES = (
    "The session's limit on processes and threads is reached; a new one can be created with a higher processes."
)
_MEMORY = "The session's memory is used up: work on less data at once, or create it with a higher limit memory_bytes."
_REQUEST = "It asked for more memory at once than it could have; a session's limit is its memory_bytes."
_STDIN = 'Nobody is asked: run the cell with "stdin": true, and answer by POST …/input.'
_STDIN_ONCE = 'Nobody is asked: give all that it is to read as "stdin", a text.'
_KILLED = "A process of the session was killed, most often because its memory was used up: work on less data at once."
_HINTS = (
    _hint(rf"gaierror|URLError|{_CONNECTING}|HTTPError|OSError|SSLError|\w*Timeout", _UNREACHABLE, NO_NETWORK, False),
    _hint(r"\w+", _UNREACHABLE_SURELY, NO_NETWORK, False),
    _hint(rf"URLError|{_CONNECTING}|OSError", "connection refused", _NOBODY, False),
    _hint(r"\w*Error", r"\bECONNREFUSED\b", _NOBODY, False),
    _hint("CalledProcessError", _FETCHERS, NO_NETWORK, False),
    _hint("ExitCode", _FETCHING, NO_NETWORK, False),
    _hint(r"\w*Error", r"may not be reached: ", _PRIVATE),
    _hint(r"\w*Error", r"tunnel connection failed: 403|not among the hosts that this session may reach", _NOT_ALLOWED),
    _hint(rf"gaierror|URLError|{_CONNECTING}|OSError", _DIRECT, _BY_PROXY, True),
    _hint("OSError", "read-only file system", f"Only {WORKSPACE}, {HOME} and /tmp can be written."),
    _hint("OSError", "no space left|quota exceeded", _FULL),
    _hint("OperationalError", "disk is full", _FULL),
    _hint("StdinNotImplementedError", "", _STDIN),
    _hint("OSError", "file too large", "The file is larger than the session's limit file_bytes."),
    _hint("OSError", "too many open files", _OPEN_FILES),
    _hint("RuntimeError", "can't start new thread", _PROCESSES),
    _hint(r"\w*MemoryError", r"\A\Z|allocat|out of memory", _REQUEST),
    _hint("OSError", "cannot allocate memory", _REQUEST),
    _hint("RangeError", "array buffer allocation failed", _REQUEST),
    _hint(r"CalledProcessError|BrokenProcessPool|\w*WorkerError", "SIGKILL|terminated abruptly", _KILLED),
)


# As Node writes it; its `fetch` says no more by itself.
_CAUSE = re.compile(r"\[cause\]: (\w{1,50}): (.{1,300})")


def hint(error: Mapping[str, Any], network: Any, language: str, once: bool = False) -> str | None:
    """`error`: as `translate.error` gives it; `network`: as the session was created with, "open" where it has no walls;
    `language`: of the cell; `once`: in a session that is gone with it."""
    if len(error["name"]) > LONGEST_NAME:
        return None
    error = {**error, "value": _ends(error["value"])}
    found = missing.of(error, network, language) or _of_place(error) or _of_walls(error, network)
    return _STDIN_ONCE if once and found == _STDIN else found


def _of_place(error: Mapping[str, Any]) -> str | None:
    """Where it was raised says what it means."""
    if error["name"] != "BlockingIOError" or not error.get("frames"):
        return None
    begins = _BEGINS.search(error["frames"][-1]["file"]) or _FORKS.search(_line(error))
    return _PROCESSES if begins else None


def _line(error: Mapping[str, Any]) -> str:
    """Of code, that raised it."""
    frames = error.get("frames") or [{"line": 0, "source": ()}]
    return next((text for number, text in frames[-1].get("source", ()) if number == frames[-1]["line"]), "")


def _of_walls(error: Mapping[str, Any], network: Any) -> str | None:
    if error["name"].endswith("MemoryError") and _RAISES.match(_line(error)) and not error["frames"][-1]["library"]:
        # The code's own word for something.
        return None
    # What it was raised from may say more than itself.
    causes = takewhile(lambda cause: cause["relation"] == "cause", error.get("causes", ()))
    known = [(each["name"], _ends(each["value"])) for each in causes]
    if error["value"] == "fetch failed":
        known += _CAUSE.findall("\n".join(error.get("traceback", ()))[-LOOKED_AT:])
    for name, value in (error["name"], error["value"]), *known:
        for each in _HINTS:
            if each.online is not None and (network == "open" or each.online != (network != "off")):
                continue
            if each.names.fullmatch(name) and each.fits(value):
                return each.text
    return None


def _ends(value: str) -> str:
    return value if len(value) <= 2 * LOOKED_AT else f"{value[:LOOKED_AT]}\n{value[-LOOKED_AT:]}"


def stopped(execution: Execution, name: str = "", lost: bool = False, once: bool = False) -> str | None:
    """Of one that was stopped, if that is what its error, of this name, is of. `lost`: its kernel, and with it the
    variables; `once`: its session is over with it."""
    state = "" if once else f" {LOST}" if lost else " The session's variables are as it left them."
    if execution.stopping is Status.TIMED_OUT:
        after = f" of {execution.timeout_s:g} s" if execution.timeout_s else ""
        return f"It was stopped at its deadline{after}.{state} A higher timeout_s gives it more time."
    if execution.stopping is Status.INTERRUPTED and name in INTERRUPT_NAMES:
        return f"It was interrupted on request.{state}"
    return None


def went_on(execution: Execution, once: bool = False) -> dict[str, Any]:
    """The error of one that was stopped at its deadline, and has none of its own."""
    said = "It was interrupted at its deadline, and ended without an error after that."
    return {"name": "TimedOut", "value": said, "traceback": [], "hint": stopped(execution, once=once)}


def ended_for_memory(count: int) -> Happening:
    """For a cell that may know nothing of it: a pool of processes for one starts others in their place, and waits."""
    programs = "a program of the session was" if count == 1 else f"{count} programs of the session were"
    text = f"kernelgw: memory was used up, and {programs} ended for it. {_MEMORY}\n"
    return Happening("output.stream", {"name": "stderr", "text": text}, len(text))
