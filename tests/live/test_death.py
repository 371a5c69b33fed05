"""Kernels that end: told at once, with the reason, exactly once; and the session goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.security.matrix import usable

from .client import JSON, House, Session, text

pytestmark = pytest.mark.live


def assert_died(execution: JSON, *words: str) -> None:
    """Killed, with a reason that has these words and a hint."""
    assert execution["status"] == "killed"
    assert execution["state_lost"] is True
    error = execution["error"]
    assert error["name"]
    assert error["hint"]
    for word in words:
        assert word in error["value"]


def assert_goes_on(session: Session, *words: str) -> None:
    """In a fresh kernel, whose first execution is told what was lost."""
    with session.stream("print('alive', 'gone' in globals())") as stream:
        first = next(iter(stream))
        assert first.type == "session.state"
        for word in (*words, "ost"):
            assert word in first.data["reason"]
        stream.until_text("alive False")
        assert stream.until("execution.completed").data["status"] == "completed"


def test_exit_code(session: Session) -> None:
    session.value("gone = 1")
    execution = session.run("import os\nprint('last words')\nos._exit(3)")
    assert_died(execution, "code 3")
    assert text(execution) == "last words\n"
    assert_goes_on(session, "code 3")


@pytest.mark.parametrize("flush", [True, False])
def test_much_is_printed_before_the_end(session: Session, flush: bool) -> None:
    execution = session.run(f"import os\nfor n in range(20000): print(n, flush={flush})\nos._exit(1)")
    assert text(execution) == "".join(f"{n}\n" for n in range(20000))


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("import os; os.abort()", "SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGBUS)", "SIGBUS"),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL"),
        ("import os; os.kill(os.getpid(), 15)", "SIGTERM"),
    ],
)
def test_signals(session: Session, code: str, name: str) -> None:
    session.value("gone = 1")
    assert_died(session.run(code), name)
    assert_goes_on(session, name)


def test_killed_from_outside(session: Session) -> None:
    session.value("gone = 1")
    with session.stream("print('running', flush=True)\nwhile True: pass") as stream:
        stream.until_text("running")
        os.kill(session.look()["kernel"]["pid"], signal.SIGKILL)
        events = list(stream)
    ends = [event for event in events if event.type == "execution.completed"]
    assert len(ends) == 1
    assert_died(ends[0].data, "SIGKILL")
    assert_died(session.execution(ends[0].data["id"]), "SIGKILL")
    assert_goes_on(session, "SIGKILL")


def test_killed_while_idle(session: Session) -> None:
    session.value("gone = 1")
    look = session.look()
    with session.follow() as stream:
        os.kill(look["kernel"]["pid"], signal.SIGKILL)
        state = stream.until("session.state", state="dead")
    assert "SIGKILL" in state.data["reason"]
    assert "SIGKILL" in session.look()["reason"]
    assert session.look()["kernel"] is None
    assert_goes_on(session, "SIGKILL")


def test_everything_in_the_sandbox_ends_with_the_kernel(session: Session) -> None:
    session.value("import subprocess; child = subprocess.Popen(['sleep', '1000'], start_new_session=True)")
    session.run("import os; os._exit(0)")
    show = """
import os
commands = [open(f'/proc/{pid}/cmdline').read() for pid in os.listdir('/proc') if pid.isdigit()]
print(sum('sleep' in command and '1000' in command for command in commands))
"""
    assert session.value(show) == "0\n"


def test_exit_and_quit(session: Session) -> None:
    for call in ("exit()", "quit()", "exit", "quit"):
        session.value("gone = 1")
        execution = session.run(f"print('bye')\n{call}")
        assert execution["status"] in ("completed", "failed", "killed")
        assert text(execution).startswith("bye\n")
        assert session.value("print('on')") == "on\n"


def test_those_that_wait_get_an_end(session: Session) -> None:
    with session.stream("print('running', flush=True); input()", stdin=True) as running:
        running.until_text("running")
        with session.stream("print('a')") as first, session.stream("print('b')") as second:
            os.kill(session.look()["kernel"]["pid"], signal.SIGKILL)
            ends = [list(stream)[-1] for stream in (running, first, second)]
    assert [end.type for end in ends] == ["execution.completed"] * 3
    assert [end.data["status"] for end in ends] == ["killed"] * 3
    assert all("SIGKILL" in end.data["error"]["value"] for end in ends)
    assert session.value("print('on')") == "on\n"


def test_memory(make_house: Callable[..., House]) -> None:
    """Beyond the limit: an exception or a death with a reason, and never a hang."""
    session = make_house(memory_bytes=600 << 20).session()
    session.value("kept = 1")
    execution = session.run("hoard = []\nwhile True: hoard.append(bytearray(50 << 20))", timeout_s=30)
    if execution["status"] == "failed":
        assert execution["error"]["name"] == "MemoryError"
        assert session.value("hoard = None; print(kept)") == "1\n"
    else:
        assert_died(execution, "memory")
    assert session.run("import numpy; numpy.ones(1 << 31)", timeout_s=30)["error"]["name"] in (
        "MemoryError",
        "KernelDied",
        "_ArrayMemoryError",
    )
    execution = session.run("small = [str(n) * 10 for n in range(10**9)]", timeout_s=40)
    assert execution["status"] in ("failed", "killed")
    assert execution["error"]["name"] in ("MemoryError", "KernelDied")
    assert session.value("small = None; print('on')") == "on\n"


@pytest.mark.skipif(
    not (usable("v1") or usable("v2")), reason="no cgroup counts memory here, so the kernel itself ends"
)
def test_programs_that_were_ended_for_memory_are_told(make_house: Callable[..., House]) -> None:
    """The cell itself may notice nothing."""
    session = make_house(memory_bytes=600 << 20).session()
    session.value("kept = 1")
    hungry = (
        "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'b = bytearray(900 << 20)']).returncode)"
    )
    execution = session.run(hungry, timeout_s=40)
    assert (execution["status"], text(execution)) == ("completed", "-9\n")
    assert text(execution, "stderr").startswith("kernelgw: memory was used up, and a program of the session was ended")
    quiet = session.run("print(kept)")
    assert (text(quiet), text(quiet, "stderr")) == ("1\n", "")


def test_death_is_told_in_the_json_answer_too(session: Session) -> None:
    """Also to somebody who waits with a plain POST and reads no stream."""
    response = session.post("import os; os._exit(7)")
    assert response.status_code == 200
    assert_died(response.json(), "code 7")


def test_many_deaths(session: Session) -> None:
    for n in range(1, 6):
        assert_died(session.run(f"import os; os._exit({n})"), f"code {n}")
    assert session.value("print('on')") == "on\n"
    assert session.look()["generation"] == 6
