"""Which exceptions come with a next step: those that a session's own limits cause, as Python words them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess

import pytest

from kernelgw.events.outputs import Outputs
from kernelgw.sessions import hints
from kernelgw.sessions.execution import Execution, Status
from kernelgw.sessions.hints import LONGEST_NAME, LOOKED_AT
from kernelgw.sessions.missing import NO_NETWORK


def hint(name: str, value: str, online: bool) -> str | None:
    return hints.hint({"name": name, "value": value}, "packages" if online else "off", "python")


def told(error: BaseException) -> str | None:
    return hint(type(error).__name__, str(error), online=True)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "full"),
        (errno.EDQUOT, "full"),
        (errno.EFBIG, "file_bytes"),
        (errno.EMFILE, "open_files"),
        (errno.ENFILE, "open_files"),
        (errno.ENOMEM, "more memory at once"),
        (errno.EROFS, "can be written"),
    ],
)
def test_errors_of_the_system_that_limits_cause(code: int, words: str) -> None:
    found = told(OSError(code, os.strerror(code), "/workspace/x"))
    assert found is not None
    assert words in found


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MemoryError", "", "more memory at once"),
        ("_ArrayMemoryError", "Unable to allocate 8.00 GiB for an array", "more memory at once"),
        ("RuntimeError", "can't start new thread", "processes and threads"),
        ("RangeError", "Array buffer allocation failed", "more memory at once"),
        ("BrokenProcessPool", "A process in the process pool was terminated abruptly", "was killed"),
        ("TerminatedWorkerError", "The exit codes of the workers are {SIGKILL(-9)}", "was killed"),
    ],
)
def test_errors_of_libraries_that_limits_cause(name: str, value: str, words: str) -> None:
    found = hint(name, value, online=True)
    assert found is not None
    assert words in found


def test_a_program_that_was_killed_is_told_to_have_wanted_too_much() -> None:
    found = told(subprocess.CalledProcessError(-signal.SIGKILL, ["sort", "huge"]))
    assert found is not None
    assert "was killed" in found
    assert told(subprocess.CalledProcessError(1, ["sort", "huge"])) is None
    assert told(subprocess.CalledProcessError(-signal.SIGTERM, ["sort", "huge"])) is None


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "no space left"),
        ValueError("too many values to unpack"),
        RuntimeError("memory"),
        KeyError("MemoryError"),
        OSError(errno.EIO, os.strerror(errno.EIO)),
        MemoryError("mine"),
        BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)),
    ],
)
def test_errors_of_the_code_itself_come_without(error: BaseException) -> None:
    assert told(error) is None


def raised(name: str, value: str, file: str, line: str) -> str | None:
    frame = {"file": file, "line": 7, "function": "f", "library": not file.startswith("cell"), "source": [[7, line]]}
    return hints.hint({"name": name, "value": value, "frames": [frame]}, "off", "python")


@pytest.mark.parametrize(
    ("file", "line", "begins"),
    [
        ("/usr/lib/python3.11/subprocess.py", "self.pid = _fork_exec(", True),
        ("/usr/lib/python3.11/multiprocessing/popen_fork.py", "self.pid = os.fork()", True),
        ("cell 1", "pid = os.fork()", True),
        ("cell 1", "fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)", False),
        ("cell 1", "data = connection.recv(10)", False),
        ("/usr/lib/python3.11/socket.py", "fd, addr = self._accept()", False),
    ],
)
def test_what_cannot_be_had_now_is_a_process_only_where_one_is_begun(file: str, line: str, begins: bool) -> None:
    found = raised("BlockingIOError", "[Errno 11] Resource temporarily unavailable", file, line)
    assert (found is not None and "processes and threads" in found) == begins
    assert begins or found is None


def test_the_code_s_own_memory_error_is_its_own() -> None:
    assert raised("MemoryError", "", "cell 1", "    raise MemoryError") is None
    assert raised("MemoryError", "", "cell 1", "x = [0] * 10**15") is not None


def test_nobody_answers_what_runs_once() -> None:
    error = {"name": "StdinNotImplementedError", "value": "x"}
    assert "POST" in str(hints.hint(error, "off", "python"))
    once = str(hints.hint(error, "off", "python", once=True))
    assert '"stdin", a text' in once
    assert "POST" not in once


@pytest.mark.parametrize("lost", [False, True])
def test_a_stop_of_what_runs_once_says_nothing_of_what_comes_after(lost: bool) -> None:
    execution = Execution("s", "", "python", Outputs(1000), timeout_s=2.5, stopping=Status.TIMED_OUT)
    found = hints.stopped(execution, "", lost, once=True)
    assert found == "It was stopped at its deadline of 2.5 s. A higher timeout_s gives it more time."
    assert hints.went_on(execution, once=True)["hint"] == found


def test_no_network_is_told_only_where_there_is_none() -> None:
    offline = hint("gaierror", "[Errno -3] Temporary failure in name resolution", online=False)
    assert offline is not None
    assert "no network" in offline
    online = hint("gaierror", "[Errno -3] Temporary failure in name resolution", online=True)
    assert online is not None
    assert "proxy" in online


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Error", "getaddrinfo EAI_AGAIN example.org"),
        ("Error", "getaddrinfo ENOTFOUND example.org"),
        ("Error", "connect ENETUNREACH 1.1.1.1:443 - Local (0.0.0.0:0)"),
        ("ExitCode", "6: curl: (6) Could not resolve host: example.org"),
        ("ExitCode", "exit code 6 from `curl -sS https://example.org`"),
        ("ExitCode", "exit code 1 from `pip install iniconfig`"),
        ("ExitCode", "exit code 128 from `git clone https://example.org/x`"),
    ],
)
def test_other_languages_words_for_no_network(name: str, value: str) -> None:
    found = hint(name, value, online=False)
    assert found is not None
    assert "no network" in found
    assert hint(name, value, online=True) is None
    assert hints.hint({"name": name, "value": value}, "open", "javascript") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ConnectionRefusedError", "[Errno 111] Connection refused"),
        ("URLError", "<urlopen error [Errno 111] Connection refused>"),
        ("Error", "connect ECONNREFUSED 127.0.0.1:3000"),
    ],
)
def test_an_address_at_which_nothing_listens_is_not_a_lack_of_network(name: str, value: str) -> None:
    found = hint(name, value, online=False)
    assert found is not None
    assert found.startswith("Nothing listens")
    assert hint(name, value, online=True) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ExitCode", "exit code 1 from `npm test`"),
        ("ExitCode", "exit code 22 from `curl -f http://127.0.0.1`"),
        ("ExitCode", "exit code 1 from `git diff --exit-code`"),
        ("ValueError", "state 3 is unreachable"),
        ("AssertionError", "unreachable"),
        ("Error", "ENOTFOUNDED"),
    ],
)
def test_words_that_others_use_too_are_not_taken_for_the_network_s(name: str, value: str) -> None:
    assert hint(name, value, online=False) is None


def test_node_s_fetch_tells_why_in_its_traceback_alone() -> None:
    lines = [
        "TypeError: fetch failed",
        "    at f (cell 1:1:1) {",
        "  [cause]: Error: getaddrinfo EAI_AGAIN example.org",
    ]
    failed = {"name": "TypeError", "value": "fetch failed", "traceback": lines}
    assert hints.hint(failed, "off", "javascript") == NO_NETWORK
    assert hints.hint(failed, "full", "javascript") is None
    refused = [*lines[:2], "  [cause]: Error: connect ECONNREFUSED 127.0.0.1:3000"]
    assert str(hints.hint({**failed, "traceback": refused}, "off", "javascript")).startswith("Nothing listens")
    assert hints.hint({**failed, "traceback": lines[:2]}, "off", "javascript") is None


def test_what_an_error_was_raised_from_is_looked_at_too() -> None:
    cause = {"relation": "cause", "name": "Error", "value": "getaddrinfo EAI_AGAIN example.org", "frames": []}
    failed = {"name": "TypeError", "value": "fetch failed", "causes": [cause]}
    assert hints.hint(failed, "off", "javascript") == NO_NETWORK
    # What was being handled when something else went wrong is another matter.
    other = {**failed, "causes": [{**cause, "relation": "context"}]}
    assert hints.hint(other, "off", "javascript") is None


@pytest.mark.parametrize("name", ["ConnectError", "NewConnectionError", "ConnectTimeout", "ReadTimeout", "URLError"])
def test_failures_to_connect_by_whatever_name(name: str) -> None:
    assert hint(name, "Network is unreachable", online=False) is not None


def test_a_fetcher_that_failed_without_a_network() -> None:
    failed = subprocess.CalledProcessError(1, ["pip", "install", "x"])
    assert hint("CalledProcessError", str(failed), online=False) is not None
    assert hint("CalledProcessError", str(subprocess.CalledProcessError(1, ["sort", "x"])), online=False) is None


def test_the_beginning_and_the_end_of_a_value_are_looked_at_and_nothing_between() -> None:
    reason, much = "No space left on device", "x " * LOOKED_AT
    assert hint("OSError", reason + much, online=False) is not None
    assert hint("OSError", much + reason, online=False) is not None
    assert hint("OSError", much + reason + much, online=False) is None


def test_a_name_that_is_no_name_gets_none() -> None:
    assert hint("x" * (LONGEST_NAME - 5) + "Error", "may not be reached: x", online=False) is not None
    assert hint("x" * LONGEST_NAME + "Error", "may not be reached: x", online=False) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CalledProcessError", "pip " * 1_000_000),
        ("Connect" * 1_000_000 + "\n", "x"),
        ("Connect" * (LONGEST_NAME // 7) + "\n", "x"),
    ],
    ids=["value", "name", "short name"],
)
def test_what_was_made_to_be_searched_for_long_is_not(name: str, value: str) -> None:
    # Searched from every word to its end, the first two would take hours.
    assert hint(name, value, online=False) is None


@pytest.mark.parametrize(
    ("stopping", "name", "lost", "words"),
    [
        (Status.TIMED_OUT, "KeyboardInterrupt", False, "deadline of 2.5 s"),
        (Status.TIMED_OUT, "ValueError", False, "as it left them"),
        (Status.TIMED_OUT, "", True, "variables are gone"),
        (Status.TIMED_OUT, "", True, "timeout_s"),
        (Status.INTERRUPTED, "KeyboardInterrupt", False, "interrupted on request"),
    ],
)
def test_a_stop_is_told_as_one(stopping: Status, name: str, lost: bool, words: str) -> None:
    execution = Execution("s", "", "python", Outputs(1000), timeout_s=2.5, stopping=stopping)
    found = hints.stopped(execution, name, lost)
    assert found is not None
    assert words in found


@pytest.mark.parametrize(("stopping", "name"), [(None, "KeyboardInterrupt"), (Status.INTERRUPTED, "ValueError")])
def test_what_was_not_stopped_is_not_told_as_stopped(stopping: Status | None, name: str) -> None:
    execution = Execution("s", "", "python", Outputs(1000), timeout_s=2.5, stopping=stopping)
    assert hints.stopped(execution, name) is None
