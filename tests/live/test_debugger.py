"""A developer's debugger at a chat's kernel: all of it, what the chat is told meanwhile, and how it goes on."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from . import proc
from .client import House, Session, problem, text
from .conftest import MakeGateway
from .debugger import Debugger
from .gateway import TOKEN, Gateway
from .jupyter import Message, attached, kernel_of
from .jupyter import text as printed

pytestmark = pytest.mark.live
CODE = """
def double(n):
    twice = n * 2
    return twice
total = 0
for i in (1, 2):
    total += double(i)
print('total', total)
"""
# Where `double` is called, and what it does.
CALL, FIRST, SECOND = 7, 3, 4
LOOP = "for i in range(10 ** 9):\n    i += 1\n"
AWAITING = "import asyncio\nfor i in range(10 ** 9):\n    await asyncio.sleep(0)\n    i += 1\n"


@pytest.fixture
def chat(session: Session) -> Session:
    session.run("x = 20")
    return session


@contextlib.contextmanager
def debugging(gateway: Gateway, chat: Session, session: str = "") -> Iterator[Debugger]:
    with attached(gateway, kernel_of(chat), session=session) as client:
        debugger = Debugger(client)
        debugger.attach()
        yield debugger


@contextlib.contextmanager
def asked_by(chat: Session, code: str, **body: Any) -> Iterator[dict[str, Any]]:
    """A chat that waits for its cell; the execution is in what this gives, afterwards."""
    answer: dict[str, Any] = {}

    def ask() -> None:
        answer.update(chat.run(code, **body))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answer
    finally:
        thread.join()


def listed(gateway: Gateway) -> str:
    """As an operator sees it."""
    command = [sys.executable, "-m", "kernelgw.cli", "sessions", "list", "--url", gateway.url, "--token", TOKEN]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def debug(debugger: Debugger) -> list[Message]:
    """All that people do with one; what came of the cell."""
    debugger.break_at(CODE, CALL)
    before = len(debugger.client.seen)
    id_ = debugger.client.execute(CODE)
    thread = debugger.stopped(before)
    frame = debugger.where(thread)
    assert (frame["line"], frame["name"]) == (CALL, "<module>")
    values = debugger.variables(frame)
    assert (values["total"], values["i"]) == ("0", "1")
    inside = debugger.go("stepIn", thread)
    assert (inside["line"], inside["name"]) == (FIRST, "double")
    inside = debugger.go("next", thread)
    assert (inside["line"], debugger.variables(inside)["twice"]) == (SECOND, "2")
    assert debugger.ask("evaluate", expression="twice + 40", frameId=inside["id"])["result"] == "42"
    assert debugger.go("stepOut", thread)["name"] == "<module>"
    again = debugger.go("continue", thread)
    assert (again["line"], debugger.variables(again)["total"]) == (CALL, "2")
    debugger.ask("continue", threadId=thread)
    found, reply = debugger.client.ended(id_)
    assert reply.content["status"] == "ok"
    return found


@pytest.mark.parametrize("isolation", ["auto", "none"])
def test_a_debugger_does_all_that_it_does(make_house: Callable[..., House], isolation: str) -> None:
    house = make_house(isolation=isolation)
    chat = house.session()
    chat.run("x = 20")
    for _ in ("the first kernel", "the next"):
        with debugging(house.gateway, chat) as debugger:
            for _ in ("once", "again"):
                found = debug(debugger)
                assert printed(found) == "total 6\n"
                assert [each for each in found if each.content.get("name") == "stderr"] == []
                debugger.ask("disconnect", restart=False, terminateDebuggee=False)
                # Nothing of it is left.
                assert debugger.client.run(CODE)[0] == "total 6\n"
                assert debugger.client.run("import sys; print(sys.gettrace())")[0] == "None\n"
                debugger.attach()
        chat.restart()
        assert chat.value("print('x' in globals())") == "False\n"
    chat.delete()


def test_a_cell_of_the_bot_s_is_held_as_well(house: House, chat: Session) -> None:
    with debugging(house.gateway, chat) as debugger:
        debugger.break_at(CODE, CALL)
        with asked_by(chat, CODE) as answer:
            thread = debugger.stopped()
            assert debugger.where(thread)["line"] == CALL
            debugger.go("continue", thread)
            debugger.ask("continue", threadId=thread)
        assert (answer["status"], text(answer)) == ("completed", "total 6\n")


def test_breakpoint_stops_in_the_debugger_when_there_is_one(house: House, chat: Session) -> None:
    with debugging(house.gateway, chat) as debugger:
        with asked_by(chat, "y = 1\nbreakpoint()\ny = 2\nprint(y)", stdin=True) as answer:
            thread = debugger.stopped()
            assert debugger.where(thread)["line"] == 3
            debugger.ask("continue", threadId=thread)
        assert text(answer) == "2\n"


def test_a_debugger_is_had_while_a_cell_runs(house: House, chat: Session) -> None:
    code = "import os\nwhile not os.path.exists('go'):\n    n = 1\nprint('went')"
    with chat.stream("print('there', flush=True)\n" + code) as stream:
        stream.until_text("there")
        with debugging(house.gateway, chat) as debugger:
            chat.touch("go")
            stream.until_text("went")
            stream.until("execution.completed")
            debugger.break_at("z = 1\nz = 2", 2)
            id_ = debugger.client.execute("z = 1\nz = 2")
            debugger.ask("continue", threadId=debugger.stopped())
            assert debugger.client.ended(id_)[1].content["status"] == "ok"


# what is told


def test_a_pause_is_told_to_all(house: House, chat: Session) -> None:
    with debugging(house.gateway, chat) as debugger, chat.follow(after=0) as events:
        assert chat.look()["paused"] is None
        path = debugger.break_at(CODE, CALL)
        id_ = debugger.client.execute(CODE)
        thread = debugger.stopped()
        debugger.where(thread)
        said = events.until("session.state", state="busy", reason="Paused in the debugger.")
        assert said.data["execution_id"] == id_
        where = {"file": path, "line": CALL, "function": "<module>"}
        reason = f"Paused in the debugger at line {CALL} of a cell."
        said = events.until("session.state", state="busy", reason=reason)
        found = chat.look()
        assert (found["state"], found["reason"], found["running"]) == ("busy", reason, id_)
        paused = found["paused"]
        assert (paused["where"], paused["by"], paused["username"]) == (where, "jupyter", "ada")
        assert said.data["paused"] == paused
        assert f"{chat.id}  busy, paused" in listed(house.gateway)
        debugger.go("continue", thread)
        assert events.until("session.state", state="busy", paused=None).data["execution_id"] == id_
        debugger.ask("continue", threadId=thread)
        debugger.client.ended(id_)
        events.until("session.state", state="busy", paused=None)
        events.until("execution.completed", execution_id=id_)
    found = chat.look()
    assert (found["state"], found["reason"], found["paused"]) == ("idle", None, None)


def test_a_chat_that_asks_meanwhile_is_answered_at_once(house: House, chat: Session) -> None:
    with debugging(house.gateway, chat) as debugger:
        debugger.break_at(CODE, CALL)
        id_ = debugger.client.execute(CODE)
        thread = debugger.stopped()
        debugger.where(thread)
        error = problem(chat.post("1"), 409, "paused_in_debugger")
        assert f"at line {CALL} of a cell" in error["message"]
        assert error["details"]["paused"] == chat.look()["paused"]
        # What the developer asks for waits, as in any notebook.
        waiting = debugger.client.execute("'mine'")
        debugger.go("continue", thread)
        debugger.ask("continue", threadId=thread)
        assert debugger.client.ended(id_)[1].content["status"] == "ok"
        assert printed(debugger.client.ended(waiting)[0]) == "'mine'"
        assert chat.value("print(total)") == "6\n"


THREAD = """
import os, threading
def late():
    while not os.path.exists('go'): pass
    return 1
thread = threading.Thread(target=late)
thread.start()
"""


def test_what_is_held_between_cells_is_told_too_and_not_put_to_sleep(house: House) -> None:
    chat, other = house.session(idle_timeout_s=1), house.session(idle_timeout_s=1)
    chat.run("x = 20")
    with debugging(house.gateway, chat) as debugger:
        debugger.break_at(THREAD, 5)
        before = len(debugger.client.seen)
        debugger.client.run(THREAD)
        chat.touch("go")
        debugger.stopped(before)
        with other.follow(after=0) as events:
            other.run("1")
            events.until("session.state", state="dead")
        found = chat.look()
        assert (found["state"], found["paused"]["username"]) == ("idle", "ada")
        problem(chat.post("1"), 409, "paused_in_debugger")
        # Whoever interrupts wants it to go on.
        chat.interrupt()
        assert chat.value("thread.join(); print(x)") == "20\n"
    assert chat.look()["paused"] is None


# deadlines


def test_a_deadline_waits_and_then_goes_on(house: House, chat: Session) -> None:
    code = "n = 1\nn = 2\nwhile True: n += 1"
    with debugging(house.gateway, chat) as debugger:
        debugger.break_at(code, 2)
        with asked_by(chat, code, timeout_s=1) as answer:
            thread = debugger.stopped()
            # So long that it has passed.
            assert house.session().run("while True: pass", timeout_s=1)["status"] == "timed_out"
            assert chat.look()["paused"] is not None
            debugger.ask("continue", threadId=thread)
        assert answer["status"] == "timed_out"
        assert answer["state_lost"] is False
        assert chat.look()["paused"] is None


def test_nobody_holds_a_cell_for_longer_than_the_operator_lets(make_house: Callable[..., House]) -> None:
    house = make_house(pause_s=1)
    chat = house.session()
    chat.run("x = 20")
    with debugging(house.gateway, chat) as debugger:
        debugger.break_at(CODE, CALL)
        with asked_by(chat, CODE) as answer:
            debugger.stopped()
        # The breakpoints are gone too, or it would be held again.
        assert text(answer) == "total 6\n"
        assert chat.value(CODE) == "total 6\n"
    chat.delete()


# its end


@pytest.mark.parametrize("code", [LOOP, AWAITING], ids=["running", "awaiting"])
def test_an_interrupt_ends_what_is_held(house: House, chat: Session, code: str) -> None:
    last = len(code.splitlines())
    with debugging(house.gateway, chat) as debugger:
        debugger.break_at(code, last)
        for _ in range(2):
            before = len(debugger.client.seen)
            with asked_by(chat, code) as answer:
                # Still traced, the second time.
                debugger.stopped(before)
                chat.interrupt()
            assert (answer["status"], answer["state_lost"]) == ("interrupted", False)
            assert chat.value("print(x)") == "20\n"


def test_an_interrupt_ends_what_is_evaluated_for_the_debugger_too(house: House, chat: Session) -> None:
    with debugging(house.gateway, chat) as debugger:
        chat.run("def forever():\n    print('evaluating', flush=True)\n    while True: pass")
        debugger.break_at(CODE, CALL)
        with asked_by(chat, CODE) as answer:
            frame = debugger.where(debugger.stopped())
            debugger.send("evaluate", expression="forever()", frameId=frame["id"])
            debugger.client.until(lambda message: message.content.get("text") == "evaluating\n")
            chat.interrupt()
        assert answer["status"] == "interrupted"
        assert chat.value("print(x)") == "20\n"


def test_a_restart_ends_what_is_held(house: House, chat: Session) -> None:
    with debugging(house.gateway, chat) as debugger:
        debugger.break_at(CODE, CALL)
        with asked_by(chat, CODE) as answer:
            debugger.stopped()
            chat.restart()
        assert answer["status"] == "killed"
        assert chat.value("print('x' in globals())") == "False\n"
        assert chat.look()["paused"] is None


@contextlib.contextmanager
def silent(gateway: Gateway, chat: Session, debugger: Debugger) -> Iterator[None]:
    """Another connection of the same client's, by which nothing is said: servers between lose sight of some."""
    with attached(gateway, kernel_of(chat), session=debugger.client.session):
        yield


@pytest.fixture
def brief(make_house: Callable[..., House]) -> House:
    return make_house(debugger_grace_s=0.5)


def test_who_goes_away_holds_nothing_any_more(brief: House) -> None:
    chat = brief.session()
    chat.run("x = 20")
    held = "import os\nwhile not os.path.exists('go'): pass\nx = 21"
    with debugging(brief.gateway, chat) as debugger:
        debugger.break_at(held, 3)
        id_ = debugger.client.execute(held)
        debugger.client.until(lambda message: message.type == "execute_input" and message.of == id_)
        # Asked for before anybody could know.
        with silent(brief.gateway, chat, debugger), asked_by(chat, "print(x)") as answer:
            proc.wait_until(lambda: chat.look()["queued"], 10, "nothing waits")
            chat.touch("go")
            debugger.stopped()
            debugger.client.connection.close()
    assert text(answer) == "21\n"
    assert chat.execution(id_)["status"] == "completed"
    # Nor does what comes later stop where they would have had it.
    assert chat.run(held)["status"] == "completed"
    chat.delete()


def test_who_comes_back_in_time_finds_it_held(house: House, chat: Session) -> None:
    with debugging(house.gateway, chat, "one") as debugger:
        debugger.break_at(CODE, CALL)
        id_ = debugger.client.execute(CODE)
        thread = debugger.stopped()
    with attached(house.gateway, kernel_of(chat), session="one") as client:
        again = Debugger(client)
        assert again.ask("debugInfo")["stoppedThreads"] == [thread]
        assert again.where(thread)["line"] == CALL
        again.go("continue", thread)
        again.ask("continue", threadId=thread)
        assert printed(client.ended(id_)[0]) == "total 6\n"


@pytest.mark.parametrize("returns", [True, False], ids=["comes-back", "stays-away"])
def test_the_next_gateway_knows_and_lets_go_in_time(make_gateway: MakeGateway, returns: bool) -> None:
    gateway = make_gateway(on_stop="keep")
    chat = Session(gateway.client(), "kept")
    chat.run("x = 1")
    kernel = kernel_of(chat)
    with debugging(gateway, chat, "one") as debugger:
        debugger.break_at(CODE, CALL)
        id_ = debugger.client.execute(CODE)
        thread = debugger.stopped()
        debugger.where(thread)
        paused = chat.look()["paused"]
        gateway.kill()
    chat.client.close()
    with make_gateway(gateway.data_dir, debugger_grace_s=60 if returns else 0.5).client() as client:
        again = Session(client, "kept")
        gateway.url = str(client.base_url).rstrip("/")
        if returns:
            assert again.look()["paused"] == paused
            with attached(gateway, kernel, session="one") as lab:
                debugger = Debugger(lab)
                debugger.go("continue", thread)
                debugger.ask("continue", threadId=thread)
                assert printed(lab.ended(id_)[0]) == "total 6\n"
                debugger.ask("disconnect", restart=False, terminateDebuggee=False)
        else:
            with again.follow(id_, after=0) as stream:
                assert stream.until("execution.completed").data["status"] == "completed"
        assert text(again.execution(id_)) == "total 6\n"
        assert again.value(CODE) == "total 6\n"
        assert again.look()["paused"] is None
        again.delete()


def test_a_debugger_that_is_refused_is_told_so_and_others_are_served(house: House, chat: Session) -> None:
    with attached(house.gateway, kernel_of(chat)) as client:
        debugger = Debugger(client)
        # Without the name of an adapter debugpy lets nobody in.
        debugger.ask("initialize", clientID="tests")
        _, reply = client.ended(debugger.send("attach"))
        assert reply.content["success"] is False
        assert client.ended(client.send("kernel_info_request", {}, "control"))[1].content["status"] == "ok"
        # Nor does it harm to turn off what is not on.
        for _ in range(2):
            client.ended(debugger.send("disconnect", restart=False, terminateDebuggee=False))
        debugger.attach()
        assert printed(debug(debugger)) == "total 6\n"
