"""Code that fails is data: HTTP 200, a name, a value, a traceback; and the session goes on."""

from __future__ import annotations

import re

import pytest

from .client import JSON, Session, displays, text, types

pytestmark = pytest.mark.live

COLORS = re.compile(r"\x1b\[[0-9;]*m")


def plain(error: JSON) -> str:
    return COLORS.sub("", "\n".join(error["traceback"]))


def test_division_by_zero(session: Session) -> None:
    execution = session.run("def ratio(a):\n    return a / 0  # the user's line\nprint('before')\nratio(1)")
    assert execution["status"] == "failed"
    error = execution["error"]
    assert (error["name"], error["value"]) == ("ZeroDivisionError", "division by zero")
    assert "return a / 0  # the user's line" in plain(error)
    assert "ratio(1)" in plain(error)
    assert "kernels/" not in plain(error)
    assert text(execution) == "before\n"
    last = execution["outputs"][-1]
    assert (last["output_type"], last["ename"], last["evalue"]) == ("error", error["name"], error["value"])
    assert last["traceback"] == error["traceback"]


def test_events_of_an_error(session: Session) -> None:
    events = session.events("print('x')\n1 / 0")
    assert types(events) == ["execution.started", "output.stream", "output.error", "execution.completed"]
    error, completed = events[-2:]
    assert error.data["name"] == "ZeroDivisionError"
    assert error.data["traceback"]
    assert completed.data["status"] == "failed"
    assert completed.data["error"]["name"] == "ZeroDivisionError"
    assert "outputs" not in completed.data


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("if True print(1)", "SyntaxError"),
        ("x = 'open", "SyntaxError"),
        ("  x = 1\n y = 2", "IndentationError"),
        ("undefined_name", "NameError"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("raise ValueError()", "ValueError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise BaseException('x')", "BaseException"),
        ("raise ExceptionGroup('many', [ValueError(1), KeyError(2)])", "ExceptionGroup"),
        ("def f(): f()\nf()", "RecursionError"),
        ("assert 1 == 2, 'no'", "AssertionError"),
        ("await_this = 1\nawait await_this", "TypeError"),
        ("%no_such_magic", "UsageError"),
        # Which of them depends on Python's version.
        ("print('nul \0 byte')", "SyntaxError|ValueError"),
        ("return 5", "SyntaxError"),
    ],
)
def test_errors(session: Session, code: str, name: str) -> None:
    session.value("kept = 1")
    execution = session.run(code)
    if name == "UsageError":
        # IPython only says this one.
        assert "no_such_magic" in text(execution, "stderr")
    else:
        assert execution["status"] == "failed"
        assert execution["error"]["name"] in name.split("|")
        assert plain(execution["error"])
    assert execution["state_lost"] is False
    assert session.value("print(kept)") == "1\n"


@pytest.mark.parametrize("code", ["raise SystemExit(1)", "import sys; sys.exit(3)", "import sys; sys.exit('message')"])
def test_system_exit_leaves_the_kernel_alive(session: Session, code: str) -> None:
    session.value("kept = 1")
    execution = session.run(code)
    assert execution["status"] == "failed"
    assert execution["error"]["name"] == "SystemExit"
    assert execution["state_lost"] is False
    assert session.value("print(kept)") == "1\n"


def test_error_that_cannot_be_shown(session: Session) -> None:
    execution = session.run("class Odd(Exception):\n    def __str__(self): raise RuntimeError\nraise Odd")
    assert execution["status"] == "failed"
    assert execution["error"]["name"] in ("Odd", "RuntimeError")
    assert session.value("print('on')") == "on\n"


def test_error_in_a_repr(session: Session) -> None:
    execution = session.run("class Bad:\n    def __repr__(self): raise ValueError('in repr')\nBad()")
    shown = text(execution, "stderr") + str(execution["error"]) + str(execution["outputs"])
    assert "in repr" in shown
    assert session.value("print('on')") == "on\n"


def test_error_in_one_of_several_formatters(session: Session) -> None:
    code = """
class Half:
    def _repr_html_(self): raise ValueError('in html')
    def __repr__(self): return 'half'
Half()
"""
    execution = session.run(code)
    assert displays(execution) == [{"text/plain": "half"}]


def test_a_failed_cell_does_not_cancel_those_behind_it(session: Session) -> None:
    with session.stream("import time; time.sleep(0.1); 1 / 0") as failing:
        assert session.value("print('ran')") == "ran\n"
        assert failing.until("execution.completed").data["status"] == "failed"


def test_long_traceback_is_whole(session: Session) -> None:
    code = "def f(n):\n    if n: return f(n - 1)\n    raise ValueError('deep' * 1000)\nf(50)"
    error = session.run(code)["error"]
    assert error["value"] == "deep" * 1000
