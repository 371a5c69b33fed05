"""Why a kernel ended, in words that claim no more than is known."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from kernelgw.kernel.exits import Exit, explain, host_oom_kills, with_memory

KILLED = {"code": None, "signal": int(signal.SIGKILL)}
FATAL = "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n"


def told(
    event: dict[str, Any], wanted: str | None = None, crash_log: str = "", oom_kills: int = 0, by_session: bool = False
) -> Exit:
    return explain(event, wanted, crash_log, oom_kills, by_session)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("deadline", "ran past its deadline"),
        ("restarted", "was restarted"),
        ("ended", "session was ended"),
        ("idle", "idle for too long"),
        ("disconnected", "closed its connection"),
        ("out_of_memory", "ran out of memory"),
        ("workspace_full", "files grew past their limit"),
        ("some new reason", "some new reason"),
    ],
)
def test_what_we_did_ourselves_is_said_to_be_ours(wanted: str, words: str) -> None:
    # Even when the host was short of memory at the time, and whatever the crash log says.
    found = told(KILLED, wanted, FATAL, oom_kills=3)
    assert found.cause == wanted
    assert words in found.reason
    assert found.signal == signal.SIGKILL


def test_out_of_memory_is_said_when_the_host_killed_for_memory() -> None:
    found = told(KILLED, oom_kills=1)
    assert found.cause == "out_of_memory"
    assert "out of memory" in found.reason
    assert "less data" in found.hint


def test_a_session_that_used_up_its_own_memory_is_told_so() -> None:
    found = told(KILLED, oom_kills=1, by_session=True)
    assert found.cause == "out_of_memory"
    assert found.reason.startswith("The session ran out of memory")


@pytest.mark.parametrize(
    ("wanted", "step"),
    [("out_of_memory", "more memory"), ("workspace_full", "workspace_bytes"), ("ended", "fresh kernel")],
)
def test_a_limit_that_was_reached_comes_with_what_to_do(wanted: str, step: str) -> None:
    assert step in told(KILLED, wanted).hint


def test_one_that_was_lost_while_its_session_ran_out_of_memory_was_lost_to_that() -> None:
    assert told(KILLED, "disconnected", oom_kills=1, by_session=True).cause == "out_of_memory"
    assert told(KILLED, "disconnected", oom_kills=1).cause == "disconnected"
    assert told(KILLED, "disconnected", by_session=True).cause == "disconnected"


def test_a_session_that_was_short_of_memory_did_not_die_of_it_when_it_crashed_or_left() -> None:
    # Only a program of it had been killed for memory then, and the kernel had lived on.
    assert told({"code": None, "signal": int(signal.SIGSEGV)}, oom_kills=1, by_session=True).cause == "crashed"
    assert told({"code": 3, "signal": None}, oom_kills=1, by_session=True).cause == "exited"
    assert told(KILLED, "deadline", oom_kills=1, by_session=True).cause == "deadline"


def test_a_kill_for_no_known_reason_is_not_called_out_of_memory() -> None:
    found = told(KILLED)
    assert found.cause == "killed"
    assert "memory" not in found.reason
    assert "SIGKILL" in found.reason


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE])
def test_a_crash_names_its_signal(number: signal.Signals) -> None:
    found = told({"code": None, "signal": int(number)}, oom_kills=5)
    assert found.cause == "crashed"
    assert found.signal == number
    assert number.name in found.reason
    assert "Native code" in found.hint


def test_a_crash_says_what_python_said_of_it() -> None:
    found = told({"code": None, "signal": int(signal.SIGSEGV)}, crash_log="noise\n" + FATAL)
    assert "(SIGSEGV: Segmentation fault)" in found.reason


FRAMES = """Thread 0x2 (most recent call first):
  File "/tmp/ipykernel_2/7.py", line 9 in elsewhere
{current}  File "/opt/lib/python3.11/ctypes/__init__.py", line 511 in string_at
  File "/tmp/ipykernel_2/1170175023.py", line 3 in {name}
  File "/tmp/ipykernel_2/99.py", line 4 in <module>
"""


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("deep", " in line 3 of a cell, in deep."),
        ("<module>", " in line 3 of a cell."),
        # Whoever writes into the log himself tells nothing else by it.
        ("two words", " in line 4 of a cell."),
        ("x" * 101, " in line 4 of a cell."),
    ],
)
def test_a_crash_says_where_in_a_cell_it_was(name: str, place: str) -> None:
    log = FRAMES.format(current="\nCurrent thread 0x1 (most recent call first):\n", name=name)
    found = told({"code": None, "signal": int(signal.SIGSEGV)}, crash_log="Fatal Python error: X\n\n" + log)
    assert found.reason == f"The kernel crashed (SIGSEGV: X){place}"


@pytest.mark.parametrize("log", ["", "x Fatal Python error: not at the start of a line", "\x00\udcff\n"])
def test_a_crash_log_that_says_nothing_adds_nothing(log: str) -> None:
    assert told({"code": None, "signal": int(signal.SIGSEGV)}, crash_log=log).reason == "The kernel crashed (SIGSEGV)."


def test_a_signal_without_a_name_is_told_by_number() -> None:
    assert "signal 99" in told({"code": None, "signal": 99}).reason


def test_code_that_ends_its_kernel_is_told_so() -> None:
    found = told({"code": 0, "signal": None})
    assert (found.cause, found.code) == ("exited", 0)
    assert "ended its own kernel" in found.reason


@pytest.mark.parametrize("code", [1, 42, 255])
def test_an_exit_code_is_told(code: int) -> None:
    found = told({"code": code, "signal": None})
    assert (found.cause, found.code) == ("exited", code)
    assert str(code) in found.reason
    assert f"os._exit({code})" in found.hint


def test_a_fork_server_that_ended_is_the_reason() -> None:
    found = told({"server_lost": True, "code": None, "signal": None})
    assert found.cause == "server_lost"
    assert "fork server" in found.reason


def test_when_nothing_is_known_no_exit_code_is_claimed() -> None:
    found = told({"code": None, "signal": None})
    assert "None" not in found.reason + found.hint
    assert "os._exit" not in found.hint


@pytest.mark.parametrize(
    ("language", "leaving", "native"),
    [
        ("python", "os._exit(3)", "an extension module"),
        ("javascript", "process.exit(3)", "a native addon"),
        ("typescript", "process.exit(3)", "a native addon"),
        ("bash", "exit status 3", "a loadable builtin"),
        ("r", "status 3", "a library with native code"),
    ],
)
def test_an_end_is_told_in_the_words_of_its_language(language: str, leaving: str, native: str) -> None:
    left = explain({"code": 3, "signal": None}, None, "", 0, language=language)
    assert leaving in left.hint
    crashed = explain({"code": None, "signal": int(signal.SIGSEGV)}, None, "", 0, language=language)
    assert native in crashed.hint
    assert ("os._exit" in left.hint) == (language == "python")


def test_a_kernel_that_ended_itself_says_why_in_its_own_words() -> None:
    found = told({"code": 73, "signal": None}, crash_log="noise\nKernel ended: its shell was lost.\n")
    assert (found.cause, found.reason, found.code) == ("exited", "The kernel ended itself: its shell was lost.", 73)
    assert "73" not in found.reason + found.hint


@pytest.mark.parametrize("line", ["Fatal error: the worker was lost.", "Fatal Python error: the worker was lost"])
def test_what_a_program_said_last_is_part_of_the_reason(line: str) -> None:
    log = f"noise\n{line}\nmore"
    assert told({"code": 7, "signal": None}, crash_log=log).reason == (
        "The kernel's process exited with code 7: the worker was lost."
    )
    found = told({"code": None, "signal": int(signal.SIGABRT)}, crash_log=log)
    assert found.reason == "The kernel crashed (SIGABRT: the worker was lost)."


@pytest.mark.parametrize("event", [{"code": None, "signal": int(signal.SIGABRT)}, {"code": 134, "signal": None}])
def test_a_full_heap_is_not_blamed_on_native_code(event: dict[str, Any]) -> None:
    found = explain(event, None, "Fatal error: JavaScript heap out of memory\n", 0, language="javascript")
    assert "JavaScript heap out of memory" in found.reason
    assert "less data" in found.hint
    assert "addon" not in found.hint
    assert "process.exit" not in found.hint


def test_what_a_program_said_last_is_bounded() -> None:
    found = told({"code": 7, "signal": None}, crash_log="Fatal error: " + "x" * 100_000)
    assert len(found.reason) < 1000


@pytest.mark.parametrize("event", [KILLED, {"code": 0}, {"code": 3}, {"signal": 11}, {"server_lost": True}, {}])
@pytest.mark.parametrize("wanted", [None, "deadline"])
def test_every_end_says_that_the_variables_are_gone(event: dict[str, Any], wanted: str | None) -> None:
    found = told(event, wanted)
    assert found.reason.endswith(".")
    assert "variables are gone" in found.hint


def test_the_host_s_count_is_a_number() -> None:
    assert host_oom_kills() >= 0


def test_a_connection_lost_to_a_lack_of_memory_is_told_as_that() -> None:
    """Of several processes, the one that is killed need not be the one whose end is told."""
    found = told(KILLED, "disconnected", oom_kills=1, by_session=True)
    assert found.cause == "out_of_memory"
    assert "ran out of memory" in found.reason
    assert told(KILLED, "disconnected", oom_kills=0, by_session=True).cause == "disconnected"


def test_out_of_memory_says_how_much_there_was() -> None:
    found = told(KILLED, oom_kills=1, by_session=True)
    assert with_memory(found, 700 << 20, 600 << 20).reason == (f"{found.reason} It may have 600 MiB, and used 600 MiB.")
    assert with_memory(found, 0, 0) == found


def test_what_runs_once_is_told_nothing_of_what_comes_after() -> None:
    assert explain(KILLED, None, "", 0).hint_once == ""
    found = explain({"code": None, "signal": int(signal.SIGSEGV)}, None, "", 0)
    assert found.hint_once == "Native code crashed the interpreter, most often an extension module."
