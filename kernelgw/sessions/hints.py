"""What to do about an exception that comes from the session's own walls rather than from the code. A pure table."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..events.translate import Happening
from ..sandbox.policy import HOME, WORKSPACE

# Name and value are the code's own, of any length; what a limit caused is said at the beginning or at the end.
LONGEST_NAME = 200
LOOKED_AT = 2000


@dataclass(frozen=True, slots=True)
class _Hint:
    names: re.Pattern[str]
    values: tuple[re.Pattern[str], ...]
    text: str
    online: bool | None = None


def _hint(names: str, value: str | tuple[str, ...], text: str, online: bool | None = None) -> _Hint:
    """`value`: what it has to contain, each of several. `online`: only in sessions that have a network, or only in
    those that have none."""
    values = (value,) if isinstance(value, str) else value
    return _Hint(re.compile(names), tuple(re.compile(each, re.IGNORECASE) for each in values), text, online)


_NO_NETWORK = (
    "This session has no network. What a session may reach is said when it is created: end it, then create it with "
    '"network": "packages" for pip and npm, or {"allow": ["example.org"]}.'
)
_UNREACHABLE = (
    r"name resolution|name or service|unreachable|failed to resolve|connection refused|urlopen error|max retries"
)
_DIRECT = r"name resolution|name or service|network is unreachable"
_BY_PROXY = (
    "A session reaches its hosts only through the proxy in HTTPS_PROXY, by HTTP and TLS: "
    "names are not resolved and addresses not reached without it."
)
_FETCHERS = (r"\b(pip3?|uv|npm|npx|yarn|pnpm|curl|wget|git)\b", r"returned non-zero exit status")
_CONNECTING = r"(?=\w*Connect)\w+"
_NOT_ALLOWED = 'The session may not reach this host: name it in "network": {"allow": [...]} when creating the session.'
_PRIVATE = "The host leads to an address of a private network: only the operator can allow that, by --network-private."
_FULL = (
    "The workspace, /tmp, /dev/shm or the home is full: delete files, or create the session with higher limits "
    "workspace_bytes or tmp_bytes."
)
_OPEN_FILES = "Close files and sockets, or create the session with a higher limit open_files."
_PROCESSES = (
    "The session's limit on processes and threads is reached; a new one can be created with a higher processes."
)
_MEMORY = "The session's memory is used up: work on less data at once, or create it with a higher limit memory_bytes."
_STDIN = 'Nobody is asked: run the cell with "stdin": true, and answer by POST …/input.'
_KILLED = "A process of the session was killed, most often because its memory was used up: work on less data at once."
_HINTS = (
    _hint(rf"gaierror|URLError|{_CONNECTING}|HTTPError|OSError|SSLError|\w*Timeout", _UNREACHABLE, _NO_NETWORK, False),
    _hint("CalledProcessError", _FETCHERS, _NO_NETWORK, False),
    _hint(r"\w*Error", r"may not be reached: ", _PRIVATE),
    _hint(r"\w*Error", r"tunnel connection failed: 403|not among the hosts that this session may reach", _NOT_ALLOWED),
    _hint(rf"gaierror|URLError|{_CONNECTING}|OSError", _DIRECT, _BY_PROXY, True),
    _hint("OSError", "read-only file system", f"Only {WORKSPACE}, {HOME} and /tmp can be written."),
    _hint("OSError", "no space left|quota exceeded", _FULL),
    _hint("OperationalError", "disk is full", _FULL),
    _hint("StdinNotImplementedError", "", _STDIN),
    _hint("OSError", "file too large", "The file is larger than the session's limit file_bytes."),
    _hint("OSError", "too many open files", _OPEN_FILES),
    _hint("RuntimeError|BlockingIOError", "can't start new thread|resource temporarily unavailable", _PROCESSES),
    _hint(r"\w*MemoryError", "", _MEMORY),
    _hint("OSError", "cannot allocate memory", _MEMORY),
    _hint(r"CalledProcessError|BrokenProcessPool|\w*WorkerError", "SIGKILL|terminated abruptly", _KILLED),
)


def hint(name: str, value: str, online: bool) -> str | None:
    """`name`, `value` of an exception; `online`: whether the session has any network."""
    if len(name) > LONGEST_NAME:
        return None
    if len(value) > 2 * LOOKED_AT:
        value = f"{value[:LOOKED_AT]}\n{value[-LOOKED_AT:]}"
    for each in _HINTS:
        if each.online is not None and each.online != online:
            continue
        if each.names.fullmatch(name) and all(pattern.search(value) for pattern in each.values):
            return each.text
    return None


def ended_for_memory(count: int) -> Happening:
    """For a cell that may know nothing of it: a pool of processes for one starts others in their place, and waits."""
    programs = "a program of the session was" if count == 1 else f"{count} programs of the session were"
    text = f"kernelgw: memory was used up, and {programs} ended for it. {_MEMORY}\n"
    return Happening("output.stream", {"name": "stderr", "text": text}, len(text))
