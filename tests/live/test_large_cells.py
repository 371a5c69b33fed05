"""Cells of many lines: they do what they always do, and what IPython does to each line does not keep them."""

from __future__ import annotations

import pytest

from .client import Session, text

pytestmark = pytest.mark.live

MUCH = "x = 1\n" * 40_000


def test_many_lines_take_no_longer_than_their_number(session: Session) -> None:
    # It was 4 s, of which Python has a tenth.
    execution = session.run(MUCH + "print(x)")
    assert text(execution) == "1\n"
    assert execution["duration_s"] < 2.5


def test_the_last_of_many_statements_is_shown(session: Session) -> None:
    execution = session.run(MUCH + "x + 1")
    (shown,) = execution["outputs"]
    assert shown["data"]["text/plain"] == "2"
    assert session.value("print(_ + 1)") == "3\n"


def test_many_lines_may_await(session: Session) -> None:
    assert session.value(MUCH + "import asyncio\nprint(await asyncio.sleep(0, 'awaited'))") == "awaited\n"


def test_many_lines_may_have_magics(session: Session) -> None:
    assert session.value(MUCH[: 6 * 20_000] + "!echo shell\n%pwd\nprint(x)") == "shell\n1\n"


def test_an_error_among_many_lines_is_told_where_it_is(session: Session) -> None:
    error = session.run("kept = 1\n" + MUCH + "1 / 0\n" + MUCH)["error"]
    assert (error["name"], error["frames"][-1]["line"]) == ("ZeroDivisionError", 40_002)
    assert session.value("print(kept)") == "1\n"
    error = session.run(MUCH + "x = = 1\n")["error"]
    assert (error["name"], error["frames"][-1]["line"]) == ("SyntaxError", 40_001)


def test_many_lines_are_stopped_among_them(session: Session) -> None:
    execution = session.run(MUCH + "while True: pass\n" + MUCH, timeout_s=3)
    assert (execution["status"], execution["state_lost"]) == ("timed_out", False)
    assert session.value("print(x)") == "1\n"
