"""Everything is given back: by sessions that end, fall asleep or are cut off."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from . import proc
from .client import House, Session

pytestmark = pytest.mark.live


def test_50_sessions_leave_nothing(house: House) -> None:
    """The fixture compares processes, descriptors, sockets and directories afterwards."""

    def live(session: Session) -> None:
        assert session.value("open('file', 'w').write('x' * 1000); print('lived')") == "lived\n"
        session.delete()

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(live, [house.session() for _ in range(50)]))
    assert house.client.get("/v1/sessions").json()["sessions"] == []


def test_sessions_deleted_in_every_state(house: House) -> None:
    """Before a kernel, while it starts, idle, busy, waiting for input, dead."""
    untouched, starting, idle, busy, asking, dead = (house.session() for _ in range(6))
    untouched.create()
    untouched.delete()
    idle.value("import subprocess; child = subprocess.Popen(['sleep', '1000'], start_new_session=True)")
    dead.run("import os; os._exit(1)")
    with (
        busy.stream("print('running', flush=True)\nwhile True: pass") as running,
        asking.stream("input()", stdin=True) as waiting,
        starting.stream("1") as begun,
    ):
        starting.delete()
        running.until_text("running")
        waiting.until("input.requested")
        for session in (idle, busy, asking, dead):
            session.delete()
        for stream in (running, waiting, begun):
            assert list(stream)[-1].type == "execution.completed"


def test_deleted_while_its_kernel_starts(house: House) -> None:
    """At different moments of the start; the pool is empty after the first few."""
    for _ in range(4):
        sessions = [house.session() for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            ran = [pool.submit(session.post, "1") for session in sessions]
            for session in sessions:
                proc.wait_until(lambda s=session: s.client.get(s.path).status_code == 200, 5, "the session")  # type: ignore[misc]
                session.delete()
            for future in ran:
                response = future.result(20)
                assert response.status_code == 200
                assert response.json()["status"] in ("completed", "killed")


def test_delete_returns_when_nothing_is_left(house: House) -> None:
    session = house.session()
    session.value("import subprocess; child = subprocess.Popen(['sleep', '1000'], start_new_session=True)")
    pid = session.look()["kernel"]["pid"]
    assert proc.started_at(pid)
    session.delete()
    assert proc.started_at(pid) is None


def test_idle_timeout(house: House) -> None:
    session = house.session(idle_timeout_s=0.5)
    session.value("gone = 1; open('kept', 'w').close()")
    with session.follow() as stream:
        state = stream.until("session.state", state="dead")
    assert "idle" in state.data["reason"]
    look = session.look()
    assert (look["state"], look["kernel"]) == ("dead", None)
    assert "idle" in look["reason"]
    events = session.events("import os; print('gone' in globals(), os.listdir())")
    assert "idle" in events[0].data["reason"]
    assert next(event for event in events if event.type == "output.stream").data["text"] == "False ['kept']\n"


def test_a_running_cell_is_not_idle(house: House) -> None:
    session = house.session(idle_timeout_s=0.5)
    assert session.value("import time; time.sleep(2.5); print('done')") == "done\n"


def test_idle_timeout_of_the_gateway(make_house: Callable[..., House]) -> None:
    house = make_house(idle_timeout_s=0.5, pool_size=0)
    default, never = house.session(), house.session(idle_timeout_s=0)
    never.value("kept = 1")
    default.value("1")
    with default.follow() as stream:
        stream.until("session.state", state="dead")
    assert never.value("print(kept)") == "1\n"


def test_clients_that_vanish_leave_nothing(house: House) -> None:
    session = house.session()
    session.create()
    for _ in range(20):
        with house.gateway.client(timeout=0.05) as client, pytest.raises(httpx.TimeoutException):
            client.get(f"{session.path}/events")


def test_failing_requests_leave_nothing(house: House) -> None:
    for n in range(50):
        house.client.post(f"/v1/sessions/bad{n}/executions", json={"code": 1})
        house.client.put(f"/v1/sessions/bad{n}", json={"language": "cobol"})
        house.client.get(f"/v1/sessions/bad{n}/events")
