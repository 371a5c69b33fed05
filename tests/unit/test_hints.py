"""Which exceptions come with a next step: those that a session's own limits cause, as Python words them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess

import pytest

from kernelgw.sessions.hints import hint


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
        (errno.ENOMEM, "memory is used up"),
        (errno.EAGAIN, "processes and threads"),
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
        ("MemoryError", "", "memory is used up"),
        ("_ArrayMemoryError", "Unable to allocate 8.00 GiB for an array", "memory is used up"),
        ("RuntimeError", "can't start new thread", "processes and threads"),
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
    ],
)
def test_errors_of_the_code_itself_come_without(error: BaseException) -> None:
    assert told(error) is None


def test_no_network_is_told_only_where_there_is_none() -> None:
    offline = hint("gaierror", "[Errno -3] Temporary failure in name resolution", online=False)
    assert offline is not None
    assert "no network" in offline
    online = hint("gaierror", "[Errno -3] Temporary failure in name resolution", online=True)
    assert online is not None
    assert online.startswith("A session reaches its hosts only through the proxy")
