"""Where an error was raised, as callers, streams, the history and Jupyter's clients have it."""

from __future__ import annotations

import re
from typing import Any

import nbformat
import pytest

from kernelgw.events.frames import MOST_FRAMES

from .client import JSON, House, Session
from .jupyter import Client

pytestmark = pytest.mark.live

HELPERS = "def go(x):\n    rows = [x]\n    return rows[1]\n"
COLORS = re.compile(r"\x1b\[[0-9;]*m")


def fails(session: Session, code: str, **body: Any) -> JSON:
    execution = session.run(code, **body)
    assert execution["error"] is not None, execution
    error: JSON = execution["error"]
    return error


def places(error: JSON) -> list[tuple[str, int, str]]:
    return [(each["file"], each["line"], each["function"]) for each in error["frames"]]


def test_frames_of_cells_and_of_the_workspace(session: Session) -> None:
    session.value(f"import os; os.mkdir('src'); open('src/helpers.py', 'w').write({HELPERS!r})")
    session.value("import sys; sys.path.insert(0, 'src')\nfrom helpers import go\ndef call():\n    go(1)")
    error = fails(session, "x = 1\n\ncall()")
    assert places(error) == [("cell 3", 3, "<module>"), ("cell 2", 4, "call"), ("src/helpers.py", 3, "go")]
    assert not any(frame["library"] for frame in error["frames"])
    last = error["frames"][-1]["source"]
    assert [line for line in last if line[1]] == [[1, "def go(x):"], [2, "    rows = [x]"], [3, "    return rows[1]"]]


def test_a_library_s_frames_are_told_and_folded_in_the_text(session: Session) -> None:
    error = fails(session, "import pandas\nframe = pandas.DataFrame({'a': [1]})\nframe['b']")
    assert [frame["library"] for frame in error["frames"]][:2] == [False, True]
    assert all(len(frame["source"]) <= 1 for frame in error["frames"] if frame["library"])
    lines = error["text"].splitlines()
    assert lines[-1] == "KeyError: 'b'"
    assert lines[-2].startswith("… ")
    assert lines[-2].endswith(" in pandas")
    assert ">    3 | frame['b']" in lines
    assert "\x1b" not in error["text"]
    # A notebook's is what it was.
    assert any("\x1b" in line for line in error["traceback"])


def test_the_same_stands_in_the_stream_the_history_and_the_store(house: House) -> None:
    session = house.session()
    events = session.events("{}['a']")
    told = next(event.data for event in events if event.type == "output.error")
    ended = events[-1].data
    error = ended["error"]
    assert {name: told[name] for name in error} == error
    assert places(error) == [("cell 1", 1, "<module>")]
    assert session.execution(ended["id"])["error"] == error
    history = session.client.get(f"{session.path}/history").raise_for_status().json()["executions"]
    assert [each["error"] for each in history] == [error]


def test_a_notebook_of_it_is_valid(session: Session) -> None:
    session.run("try: {}['a']\nexcept KeyError: 1 / 0")
    session.run("open('nope')")
    found = nbformat.reads(  # type: ignore[no-untyped-call]
        session.client.get(f"{session.path}/notebook").raise_for_status().text, as_version=4
    )
    nbformat.validate(found)
    (output,) = found.cells[0].outputs
    assert output.keys() == {"output_type", "ename", "evalue", "traceback"}


def test_jupyter_s_clients_get_what_a_notebook_may_have(chat: Session, lab: Client) -> None:
    id_ = lab.execute("try: {}['a']\nexcept KeyError: import_me")
    found, reply = lab.ended(id_)
    (error,) = (message.content for message in found if message.type == "error")
    assert error.keys() == {"ename", "evalue", "traceback"}
    assert (error["ename"], reply.content["ename"]) == ("NameError", "NameError")
    # Whoever asks by our interface has it all.
    assert [cause["name"] for cause in chat.execution(id_)["error"]["causes"]] == ["KeyError"]


@pytest.mark.parametrize(
    ("code", "relations"),
    [
        ("try: {}['a']\nexcept KeyError as e: raise ValueError('x') from e", ["cause"]),
        ("try: {}['a']\nexcept KeyError: raise ValueError('x')", ["context"]),
        ("try: {}['a']\nexcept KeyError: raise ValueError('x') from None", []),
        ("raise ExceptionGroup('many', [ValueError(1), KeyError(2)])", ["member", "member"]),
    ],
)
def test_what_is_behind_an_error(session: Session, code: str, relations: list[str]) -> None:
    error = fails(session, code)
    assert [cause["relation"] for cause in error.get("causes", [])] == relations


def test_an_error_in_the_code_itself(session: Session) -> None:
    error = fails(session, "x = 1\nif True print(1)\ny = 2")
    (frame,) = error["frames"]
    assert (frame["file"], frame["line"], frame["column"]) == ("cell 1", 2, 9)
    assert frame["source"] == [[1, "x = 1"], [2, "if True print(1)"], [3, "y = 2"]]
    assert error["text"].endswith("SyntaxError: invalid syntax")


def test_a_recursion_is_told_by_its_ends(session: Session) -> None:
    error = fails(session, "def f(): f()\nf()")
    assert len(error["frames"]) <= MOST_FRAMES
    assert sum(frame.get("left_out", 0) for frame in error["frames"]) > 500
    assert len(error["text"]) < 500
    assert "times more" in error["text"]


ODD = "class Odd(Exception): pass\nraise Odd"
HOSTILE = {
    "no text": "class Odd(Exception):\n    def __str__(self): raise RuntimeError\nraise Odd",
    "text of another kind": "class Odd(Exception):\n    def __str__(self): return 5\nraise Odd",
    "text that ends the program": "class Odd(Exception):\n    def __str__(self): raise SystemExit\nraise Odd",
    "attributes that fail": """
class Odd(Exception):
    def __getattribute__(self, name): raise RuntimeError
raise Odd""",
    "attributes that lie": """
class Odd(Exception):
    __traceback__ = __cause__ = __context__ = 5
    _render_traceback_ = None
raise Odd""",
    "a name that lies": "class Meta(type): __name__ = 5\nclass Odd(Exception, metaclass=Meta): pass\nraise Odd",
    "linecache": "import linecache\nlinecache.getlines = linecache.checkcache = linecache.updatecache = None\n" + ODD,
    "traceback": "import traceback\nfor n in dir(traceback):\n    if n[0] != '_': setattr(traceback, n, None)\n" + ODD,
    "IPython's own": "get_ipython().InteractiveTB = None\n" + ODD,
    "output": "import sys, io\nsys.stdout = io.StringIO(); sys.stdout.close(); sys.stderr = None\n" + ODD,
    "no folder": """
import os
os.mkdir('x'); os.chdir('x'); os.rmdir('../x')
class Odd(FileNotFoundError): pass
raise Odd(2, 'x', 'y')""",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_code_does_its_error_is_told(session: Session, name: str) -> None:
    """At once: what is left without a reply is told after seconds."""
    session.value("kept = 1")
    execution = session.run(HOSTILE[name])
    assert execution["status"] == "failed"
    assert execution["error"]["name"] == "Odd"
    assert execution["duration_s"] < 4
    assert places(execution["error"])[0][0] == "cell 2"
    # A notebook is shown where it was, too.
    assert re.search(r"cell 2|In\[2\]", COLORS.sub("", "\n".join(execution["error"]["traceback"])))
    assert [output["ename"] for output in execution["outputs"] if output["output_type"] == "error"] == ["Odd"]
    assert session.run("assert kept == 1")["status"] == "completed"


def test_a_text_that_is_huge_is_cut_and_told(session: Session) -> None:
    error = fails(session, "raise ValueError('a' + 'x' * 50_000_000 + 'z')")
    assert error["name"] == "ValueError"
    assert len(error["value"]) < 100_000
    assert (error["value"][0], error["value"][-1]) == ("a", "z")
    assert "characters left out" in error["value"]
    assert len(error["text"]) < 10_000


def test_a_text_that_takes_for_ever_is_stopped_at_the_deadline(session: Session) -> None:
    session.value("kept = 1")
    code = "class Odd(Exception):\n    def __str__(self):\n        while True: pass\nraise Odd"
    execution = session.run(code, timeout_s=0.5)
    assert (execution["status"], execution["state_lost"]) == ("timed_out", False)
    assert execution["error"]["name"] == "Odd"
    assert session.value("print(kept)") == "1\n"


def test_a_display_that_fails_is_an_error_with_its_frames(session: Session) -> None:
    error = fails(session, "class Bad:\n    def __repr__(self):\n        raise ValueError('in repr')\nBad()")
    assert error["name"] == "ValueError"
    assert places(error)[-1] == ("cell 1", 3, "Bad.__repr__")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        # A SyntaxError since Python 3.11.4.
        ("x = '\0'", "source code string cannot contain null bytes"),
        ("class Odd:\n    def __repr__(self): return 5\nOdd()", "TypeError: __repr__ returned non-string (type int)"),
        ("return 5", "cell 1, line 1, column 1\n>    1 | return 5\nSyntaxError: 'return' outside function"),
    ],
)
def test_what_no_line_of_the_code_raised_is_told_without_ipython_s(session: Session, code: str, said: str) -> None:
    text = fails(session, code)["text"]
    assert re.fullmatch(f"((Syntax|Value)Error: )?{re.escape(said)}", text)


def test_an_error_does_not_stay_for_the_next_one(session: Session) -> None:
    fails(session, "1 / 0")
    error = fails(session, "raise SystemExit(3)")
    assert error["name"] == "SystemExit"
    assert "ZeroDivision" not in str(error)
    error = fails(session, "%no_such_magic")
    assert "ZeroDivision" not in str(error)
