"""Deadlines, interrupts and restarts: what stops, what is kept, what is said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from . import proc
from .client import Event, House, Session, text, types
from .forging import FORGING

pytestmark = pytest.mark.live

SWALLOWS = """
import time
print('running', flush=True)
while True:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print('no', flush=True)
"""


def completed(events: list[Event]) -> Event:
    (event,) = (event for event in events if event.type == "execution.completed")
    return event


def test_deadline_keeps_the_state(session: Session) -> None:
    session.value("kept = 1")
    execution = session.run("print('x'); also = 2\nwhile True: pass", timeout_s=0.3)
    assert execution["status"] == "timed_out"
    assert execution["error"]["name"]
    assert execution["state_lost"] is False
    assert 0.3 <= execution["duration_s"] < 5
    assert text(execution) == "x\n"
    assert session.value("print(kept, also)") == "1 2\n"


def test_default_deadline(make_house: Callable[..., House]) -> None:
    session = make_house(timeout_s=0.3, grace_s=0.3, pool_size=1).session()
    assert session.run("import time; time.sleep(50)")["status"] == "timed_out"
    assert session.value("print(1)", timeout_s=20) == "1\n"


def test_no_deadline_for_a_quick_cell(session: Session) -> None:
    assert session.value("print(1)", timeout_s=0.5) == "1\n"
    assert session.value("import time; time.sleep(0.6); print(2)") == "2\n"


def test_deadline_that_is_ignored_kills(make_house: Callable[..., House]) -> None:
    session = make_house(grace_s=0.3).session()
    session.value("gone = 1; open('kept', 'w').close()")
    execution = session.run(SWALLOWS, timeout_s=0.3)
    assert execution["status"] == "timed_out"
    assert execution["state_lost"] is True
    assert "deadline" in execution["error"]["value"]
    assert execution["error"]["hint"]
    assert text(execution) == "running\nno\n"
    after = session.events("import os; print('gone' in globals(), os.listdir())")
    assert after[0].type == "session.state"
    assert "deadline" in after[0].data["reason"]
    assert "lost" in after[0].data["reason"].lower()
    assert text(session.execution(completed(after).data["id"])) == "False ['kept']\n"
    # Said once: the next one begins as usual.
    assert session.events("1")[0].type == "execution.started"


def test_interrupt(session: Session) -> None:
    session.value("kept = 1")
    with session.stream("print('running', flush=True)\nwhile True: pass") as stream:
        stream.until_text("running")
        session.interrupt()
        end = stream.until("execution.completed")
    assert end.data["status"] == "interrupted"
    assert end.data["error"]["name"] == "KeyboardInterrupt"
    assert end.data["state_lost"] is False
    assert session.value("print(kept)") == "1\n"


@pytest.mark.parametrize(
    "wait",
    [
        "import time; time.sleep(50)",
        "import asyncio; await asyncio.sleep(50)",
        "import asyncio; await asyncio.gather(asyncio.sleep(50), asyncio.sleep(50))",
        "import threading; threading.Event().wait()",
        "import select; select.select([], [], [])",
        "import queue; queue.Queue().get()",
        "import socket; socket.create_server(('', 0)).accept()",
        "import numpy\nwhile True: numpy.ones((500, 500)) @ numpy.ones((500, 500))",
        "while True: print('x' * 1000)",
        "for _ in iter(int, 1): pass",
    ],
)
def test_interrupt_while(session: Session, wait: str) -> None:
    with session.stream(f"print('running', flush=True)\n{wait}") as stream:
        stream.until_text("running")
        session.interrupt()
        end = stream.until("execution.completed")
    assert end.data["status"] == "interrupted", end.data["error"]
    assert end.data["duration_s"] < 20
    assert session.value("print('on')") == "on\n"


@pytest.mark.parametrize(
    "wait", ["import subprocess; subprocess.run(['sleep', '50'])", "import os; os.system('sleep 50')", "!sleep 50"]
)
def test_interrupt_of_a_command(session: Session, wait: str) -> None:
    """It ends by the same signal; what comes of that is its caller's business."""
    with session.stream(f"print('running', flush=True)\n{wait}") as stream:
        stream.until_text("running")
        kernel = session.look()["kernel"]["pid"]
        proc.wait_until(
            lambda: any("sleep" in proc.command(pid).split() for pid in proc.descendants(kernel)), 10, "the command"
        )
        session.interrupt()
        end = stream.until("execution.completed")
    assert end.data["status"] in ("interrupted", "completed"), end.data["error"]
    assert end.data["duration_s"] < 20
    assert session.value("print('on')") == "on\n"


def test_interrupt_while_awaiting_keeps_the_loop(session: Session) -> None:
    with session.stream("import asyncio\nprint('running', flush=True)\nawait asyncio.sleep(50)") as stream:
        stream.until_text("running")
        session.interrupt()
        assert stream.until("execution.completed").data["status"] == "interrupted"
    assert session.value("await asyncio.sleep(0); print('on')") == "on\n"


def test_interrupt_stops_those_that_wait(house: House) -> None:
    session = house.session()
    with session.stream("import time; print('running', flush=True); time.sleep(50)") as running:
        running.until_text("running")
        with session.stream("print('never')") as waiting:
            # Its place in the queue is known once the gateway has answered with headers.
            session.interrupt()
            events = list(waiting)
        assert running.until("execution.completed").data["status"] == "interrupted"
    assert types(events) == ["execution.completed"]
    assert events[-1].data["status"] == "interrupted"
    assert events[-1].data["started_at"] is None
    assert session.value("print('on')") == "on\n"


def test_interrupt_of_an_idle_session_does_nothing(session: Session) -> None:
    session.value("kept = 1")
    for _ in range(5):
        session.interrupt()
    assert session.value("print(kept)") == "1\n"


def test_interrupt_right_after_the_start(session: Session) -> None:
    """The signal must not be lost between the request and the first line of the cell, nor hit the one after."""
    session.value("kept = 1")
    for _ in range(20):
        with session.stream("import time; time.sleep(50)") as stream:
            session.interrupt()
            end = stream.until("execution.completed")
        assert end.data["status"] == "interrupted", end.data
        assert session.value("print(kept)") == "1\n"


def test_interrupt_of_what_comes_before_a_cell_is_the_cell_s(session: Session) -> None:
    before = "import time\ndef slow():\n    open('in', 'w').close()\n    time.sleep(50)\n"
    session.run(f"{before}get_ipython().events.register('pre_execute', slow)")
    with session.stream("print('run all the same')") as stream:
        session.value("while [ ! -e in ]; do sleep 0.01; done", language="bash")
        session.client.post(f"{session.path}/kernels/python/interrupt").raise_for_status()
        assert stream.until("execution.completed").data["status"] == "interrupted"
    session.client.post(f"{session.path}/kernels/python/restart").raise_for_status()


def test_interrupt_of_a_session_whose_kernel_starts(make_house: Callable[..., House]) -> None:
    session = make_house(pool_size=0).session()
    with session.stream("import time; time.sleep(50)") as stream:
        session.interrupt()
        assert stream.until("execution.completed").data["status"] == "interrupted"
    assert session.value("print('on')") == "on\n"


def test_interrupt_at_the_end_of_a_cell(session: Session) -> None:
    """Whenever it comes, each cell ends once, with one of two outcomes, and the next one is left in peace."""
    session.value("import time")
    for n in range(20):
        with session.stream(f"time.sleep({n / 1000})") as stream:
            session.interrupt()
            end = stream.until("execution.completed")
        assert end.data["status"] in ("completed", "interrupted"), end.data
        assert session.value("print('on')") == "on\n"


def test_restart_while_running(session: Session) -> None:
    session.value("gone = 1")
    with session.stream("import time; print('running', flush=True); time.sleep(50)") as stream:
        stream.until_text("running")
        session.restart()
        end = stream.until("execution.completed")
    assert end.data["status"] == "killed"
    assert end.data["state_lost"] is True
    assert "restarted" in end.data["error"]["value"]
    after = session.events("gone")
    assert "restarted" in after[0].data["reason"]
    assert completed(after).data["error"]["name"] == "NameError"


def test_restart_while_others_wait(session: Session) -> None:
    with session.stream("import time; print('running', flush=True); time.sleep(50)") as running:
        running.until_text("running")
        with session.stream("print('never')") as waiting:
            session.restart()
            events = list(waiting)
        assert running.until("execution.completed").data["status"] == "killed"
    assert events[-1].data["status"] == "killed"
    assert "restarted" in events[-1].data["error"]["value"]


def test_restarts_in_a_row(session: Session) -> None:
    session.value("1")
    for _ in range(3):
        session.restart()
    assert session.value("print('on')") == "on\n"


def test_restart_of_a_session_without_kernel(session: Session) -> None:
    session.create()
    session.restart()
    assert session.value("print('on')") == "on\n"


def test_a_cell_that_says_again_that_it_has_begun_is_interrupted_once(house: House) -> None:
    session = house.session()
    session.value(FORGING)
    code = """
import signal
times = []
before = signal.signal(signal.SIGINT, lambda *_: times.append(1))
print("running", flush=True)
while not times:
    time.sleep(0.01)
send("iopub", message("iopub", "execute_input", {"execution_count": 1}, this()) * 3000)
print("said", flush=True)
while not os.path.exists("go"):
    time.sleep(0.01)
signal.signal(signal.SIGINT, before)
print(len(times))
"""
    with session.stream(code) as stream:
        stream.until_text("running\n")
        session.interrupt()
        stream.until_text("said\n")
        # Its kernel is asked for after all that the forged ones could have asked for.
        neighbour = house.session()
        assert neighbour.value("print('on')") == "on\n"
        neighbour.restart()
        assert neighbour.value("print('again')") == "again\n"
        session.touch("go")
        stream.until_text("1\n")


def test_code_that_lets_nobody_else_speak_is_interrupted(session: Session) -> None:
    """In C from its first line on, and never out of it: the kernel does not get to say that it has begun."""
    session.value("import re\nkept = 1\npattern = re.compile('(a+)+$')\ntext = 'a' * 40 + 'b'")
    for _ in range(3):
        execution = session.run("pattern.match(text)", timeout_s=0.5)
        assert (execution["status"], execution["state_lost"]) == ("timed_out", False)
    assert session.value("print(kept)") == "1\n"
