"""What programs of Bash cells read: a text, answers, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from .client import House, Session, problem, text

pytestmark = pytest.mark.live

PYTHON = "python3 -c '{}'"
EOF = "\x04"


@pytest.fixture
def bash(house: House) -> Session:
    return house.session(language="bash")


def answered(session: Session, code: str, *answers: str) -> tuple[list[tuple[str, bool]], dict[str, Any]]:
    """What was asked, with whether it is a password, and the execution."""
    asked, left = [], list(answers)
    with session.stream(code, stdin=True, timeout_s=20) as stream:
        for event in stream:
            if event.type == "input.requested":
                asked.append((event.data["prompt"], event.data["password"]))
                assert session.answer(event.data["execution_id"], left.pop(0)).status_code == 202
            if event.type == "execution.completed":
                assert not left
                return asked, session.execution(event.data["id"])
    raise AssertionError("the stream ended early")


@pytest.mark.parametrize(
    "code", ['read x; echo "<$x>"', "cat; echo '<>'", PYTHON.format("print(input())") + "|| echo '<>'"]
)
def test_nobody_to_ask(bash: Session, code: str) -> None:
    execution = bash.run(code)
    assert (execution["status"], text(execution)) == ("completed", "<>\n")
    assert execution["duration_s"] < 10


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("read a b; echo \"$b\"; cat; echo '<>'", "two\n3\n4<>\n"),
        ('while read -r line; do echo "[$line]"; done', "[one two]\n[3]\n"),
        (PYTHON.format("print(input()); print(input())"), "one two\n3\n"),
    ],
)
def test_a_text(bash: Session, code: str, printed: str) -> None:
    assert bash.value(code, stdin="one two\n3\n4") == printed
    assert bash.value("cat; read x || echo end") == "end\n"


@pytest.mark.parametrize(
    ("code", "answers", "asked", "printed"),
    [
        ('read -p "Name: " n; echo "hi $n"', ["Ünï 🐍"], [("Name: ", False)], "hi Ünï 🐍\n"),
        ('read a; echo "<$a>"; read b; echo "<$b>"', ["", "x y"], [("", False)] * 2, "<>\n<x y>\n"),
        ('read -s -p "Secret: " p; echo "${#p}"', ["hush"], [("Secret: ", True)], "4\n"),
        ("cat", ["a", "b\nc", EOF], [("", False)] * 3, "a\nb\nc\n"),
        ("cat | tr a-z A-Z", ["a", EOF], [("", False)] * 2, "A\n"),
        ("select f in a b; do echo $f; break; done", ["2"], [("#? ", False)], "b\n"),
        ('read x; echo "${#x}"', ["y" * 100_000], [("", False)], "100000\n"),
        ('read -r x; printf "%q" "$x"', ["\x03\x7f\x15\\"], [("", False)], "$'\\003\\177\\025\\\\'"),
        (PYTHON.format('x = input("? "); print(x.upper())'), ["abc"], [("? ", False)], "? ABC\n"),
        (PYTHON.format("import getpass; print(getpass.getpass())"), ["s"], [("Password: ", True)], "s\n"),
        (PYTHON.format("import select; select.select([0],[],[]); print(input())"), ["s"], [("", False)], "s\n"),
        (
            PYTHON.format("import select; p=select.poll(); p.register(0, 1); p.poll(); print(input())"),
            ["s"],
            [("", False)],
            "s\n",
        ),
        (
            PYTHON.format("import select; p=select.epoll(); p.register(0, 1); p.poll(); print(input())"),
            ["s"],
            [("", False)],
            "s\n",
        ),
        (
            PYTHON.format("import threading; t=threading.Thread(target=lambda: print(input())); t.start(); t.join()"),
            ["s"],
            [("", False)],
            "s\n",
        ),
    ],
)
def test_a_program_that_reads_is_answered(
    bash: Session, code: str, answers: list[str], asked: list[tuple[str, bool]], printed: str
) -> None:
    found, execution = answered(bash, code, *answers)
    assert found == asked
    assert (execution["status"], text(execution)) == ("completed", printed)


def test_nobody_is_asked_who_does_not_read(bash: Session) -> None:
    asked, execution = answered(bash, "sleep 0.3; (sleep 0.3; echo a); echo x | cat; sleep 0.2 & wait; cat </dev/null")
    assert (asked, execution["status"], text(execution)) == ([], "completed", "a\nx\n")


def test_variables_that_were_read_stay(bash: Session) -> None:
    answered(bash, "read -r name", "Eve")
    assert bash.value('echo "$name"') == "Eve\n"


def test_interrupt_while_waiting(bash: Session) -> None:
    bash.value("kept=1")
    with bash.stream("read x; echo never", stdin=True) as stream:
        id_ = stream.until("input.requested").data["execution_id"]
        bash.interrupt()
        assert stream.until("execution.completed").data["status"] == "interrupted"
    problem(bash.answer(id_, "late"), 409, "not_waiting_for_input")
    asked, execution = answered(bash, 'read x; echo "$x $kept"', "mine")
    assert (asked, text(execution)) == ([("", False)], "mine 1\n")


def test_what_is_left_of_an_answer_is_not_the_next_cell_s(bash: Session) -> None:
    answered(bash, "read a", "one\ntwo\nthree")
    asked, execution = answered(bash, 'read b; echo "$b"', "four")
    assert (asked, text(execution)) == ([("", False)], "four\n")
