"""input(): asked by an event, answered by a call."""

from __future__ import annotations

import pytest

from .client import Session, problem, text, types

pytestmark = pytest.mark.live


def test_input(session: Session) -> None:
    with session.stream("name = input('Who? ')\nprint('Hello', name)", stdin=True) as stream:
        asked = stream.until("input.requested")
        assert (asked.data["prompt"], asked.data["password"]) == ("Who? ", False)
        answer = session.answer(asked.data["execution_id"], "Ünï 🐍")
        assert answer.status_code == 202
        stream.until_text("Hello Ünï 🐍\n")
        assert stream.until("execution.completed").data["status"] == "completed"
    assert session.value("print(name)") == "Ünï 🐍\n"


def test_several_inputs(session: Session) -> None:
    with session.stream("print(sum(int(input(f'{n}: ')) for n in range(5)))", stdin=True) as stream:
        for n in range(5):
            asked = stream.until("input.requested")
            assert asked.data["prompt"] == f"{n}: "
            assert session.answer(asked.data["execution_id"], str(n)).status_code == 202
        stream.until_text("10\n")


@pytest.mark.parametrize(
    "value", ["", " ", "two\nlines", "x" * 1_000_000, "quote \" ' \\ \x1b"], ids=lambda v: ascii(v[:12])
)
def test_values(session: Session, value: str) -> None:
    with session.stream("value = input()", stdin=True) as stream:
        asked = stream.until("input.requested")
        assert session.answer(asked.data["execution_id"], value).status_code == 202
        assert stream.until("execution.completed").data["status"] == "completed"
    assert (
        session.value(f"print(value == {value!r})" if len(value) < 100 else "print(len(value) == 1_000_000)")
        == "True\n"
    )


def test_password(session: Session) -> None:
    with session.stream("import getpass; word = getpass.getpass('Secret: ')", stdin=True) as stream:
        asked = stream.until("input.requested")
        assert (asked.data["prompt"], asked.data["password"]) == ("Secret: ", True)
        session.answer(asked.data["execution_id"], "s3cret")
        assert stream.until("execution.completed").data["status"] == "completed"
    assert session.value("print(word)") == "s3cret\n"


def test_output_before_the_question_comes_before_it(session: Session) -> None:
    with session.stream("print('first')\ninput()", stdin=True) as stream:
        seen = []
        for event in stream:
            seen.append(event)
            if event.type == "input.requested":
                session.answer(event.data["execution_id"], "x")
    assert types(seen) == [
        "execution.started",
        "output.stream",
        "input.requested",
        "output.result",
        "execution.completed",
    ]


def test_answer_that_nobody_waits_for(session: Session) -> None:
    done = session.run("1", stdin=True)["id"]
    problem(session.answer(done, "x"), 409, "not_waiting_for_input")
    with session.stream("print('go', flush=True); import time; time.sleep(50)", stdin=True) as stream:
        id_ = stream.until_text("go").data["execution_id"]
        problem(session.answer(id_, "x"), 409, "not_waiting_for_input")
        session.interrupt()
        stream.until("execution.completed")


def test_one_question_takes_one_answer(session: Session) -> None:
    with session.stream("a = input()\nimport time; time.sleep(50)", stdin=True) as stream:
        id_ = stream.until("input.requested").data["execution_id"]
        assert session.answer(id_, "first").status_code == 202
        problem(session.answer(id_, "second"), 409, "not_waiting_for_input")
        session.interrupt()
        stream.until("execution.completed")


@pytest.mark.parametrize("call", ["input('?')", "__import__('getpass').getpass()"])
def test_without_stdin(session: Session, call: str) -> None:
    execution = session.run(call)
    assert execution["status"] == "failed"
    assert execution["error"]["name"] == "StdinNotImplementedError"


def test_interrupt_while_waiting(session: Session) -> None:
    session.value("kept = 1")
    with session.stream("input()", stdin=True) as stream:
        id_ = stream.until("input.requested").data["execution_id"]
        session.interrupt()
        end = stream.until("execution.completed")
    assert end.data["status"] == "interrupted"
    problem(session.answer(id_, "late"), 409, "not_waiting_for_input")
    # An answer that came too late must not be taken for the next one's.
    with session.stream("print(input() + '!')", stdin=True) as stream:
        session.answer(stream.until("input.requested").data["execution_id"], "mine")
        stream.until_text("mine!")
    assert session.value("print(kept)") == "1\n"


def test_deadline_while_waiting(session: Session) -> None:
    execution = session.run("kept = 1\ninput()", stdin=True, timeout_s=0.3)
    assert execution["status"] == "timed_out"
    assert execution["state_lost"] is False
    assert session.value("print(kept)") == "1\n"


def test_restart_while_waiting(session: Session) -> None:
    with session.stream("input()", stdin=True) as stream:
        stream.until("input.requested")
        session.restart()
        assert stream.until("execution.completed").data["status"] == "killed"
    assert session.value("print('on')") == "on\n"


def test_answer_by_a_caller_that_came_later(session: Session) -> None:
    """Whoever asked has gone; somebody else finds the question and answers it."""
    with session.stream("print(input('Still there? '))", stdin=True) as stream:
        asked = stream.until("input.requested")
    id_ = asked.data["execution_id"]
    with session.follow(id_) as again:
        assert again.until("input.requested") == asked
        assert session.answer(id_, "yes").status_code == 202
        assert again.until("execution.completed").data["status"] == "completed"
    assert text(session.execution(id_)) == "yes\n"
