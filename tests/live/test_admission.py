"""No more than there is room for: said with a status, a code and when to come again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from .client import JSON, House, Session, problem

pytestmark = pytest.mark.live


def test_house_full(make_house: Callable[..., House]) -> None:
    house = make_house(max_sessions=2, pool_size=1)
    first, second, third = (house.session() for _ in range(3))
    for session in (first, second):
        session.value("x = 1")
    response = third.post("1")
    problem(response, 503, "house_full")
    assert int(response.headers["retry-after"]) > 0
    problem(house.client.get(third.path), 404, "session_not_found")
    # Those inside are not disturbed.
    assert first.value("print(x)") == "1\n"
    assert house.client.get("/readyz").status_code == 200
    second.delete()
    assert third.value("print('in')") == "in\n"
    problem(house.client.post(f"{second.path}/executions", json={"code": "1"}), 503, "house_full")


def test_a_full_house_by_put(make_house: Callable[..., House]) -> None:
    """A session that has no kernel yet may be made; it is its first execution that needs the room, or the PUT."""
    house = make_house(max_sessions=1, pool_size=0)
    first, second = house.session(), house.session()
    first.value("1")
    created = house.client.put(second.path, json={})
    refused = created if created.status_code == 503 else second.post("1")
    problem(refused, 503, "house_full")
    first.delete()
    assert second.value("print('in')") == "in\n"


def test_a_dead_session_needs_room_again(make_house: Callable[..., House]) -> None:
    house = make_house(max_sessions=1, pool_size=0)
    first, second = house.session(), house.session()
    first.run("import os; os._exit(1)")
    assert second.value("print('in')") == "in\n"
    problem(first.post("1"), 503, "house_full")
    second.delete()
    assert first.value("print('back')") == "back\n"


def test_many_first_executions_at_once_do_not_overfill(make_house: Callable[..., House]) -> None:
    house = make_house(max_sessions=3, pool_size=2)
    sessions = [house.session() for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        responses = list(pool.map(lambda session: session.post("print(1)"), sessions))
    statuses = sorted(response.status_code for response in responses)
    assert statuses == [200] * 3 + [503] * 9
    assert all(response.json()["status"] == "completed" for response in responses if response.status_code == 200)


def test_queue_full(make_house: Callable[..., House]) -> None:
    house = make_house(max_queued=2, pool_size=1)
    session = house.session()
    with session.stream("input()", stdin=True) as running:
        id_ = running.until("input.requested").data["execution_id"]
        with session.stream("print(1)") as first, session.stream("print(2)") as second:
            problem(session.post("3"), 429, "queue_full")
            session.answer(id_, "")
            for stream in (running, first, second):
                assert stream.until("execution.completed").data["status"] == "completed"
    assert session.value("print('on')") == "on\n"


def test_queue_of_one_session_is_its_own(make_house: Callable[..., House]) -> None:
    house = make_house(max_queued=1, pool_size=1)
    busy, other = house.session(), house.session()
    with busy.stream("input()", stdin=True) as running:
        running.until("input.requested")
        assert other.value("print(1)") == "1\n"


def test_20_sessions_at_once(house: House) -> None:
    sessions = [house.session() for _ in range(20)]

    def first(session: Session) -> JSON:
        return session.run(f"print({session.id!r})")

    with ThreadPoolExecutor(20) as pool:
        executions = list(pool.map(first, sessions))
    for session, execution in zip(sessions, executions, strict=True):
        assert execution["status"] == "completed", execution["error"]
        assert execution["outputs"][0]["text"] == f"{session.id}\n"
    pids = {session.look()["kernel"]["pid"] for session in sessions}
    assert len(pids) == 20


def test_one_id_created_by_many_at_once(house: House) -> None:
    session = house.session()
    with ThreadPoolExecutor(10) as pool:
        responses = list(pool.map(lambda _: session.client.put(session.path, json={}), range(10)))
        assert sorted(response.status_code for response in responses) == [200] * 9 + [201]
        ran = list(pool.map(lambda n: session.value(f"print({n})"), range(10)))
    assert ran == [f"{n}\n" for n in range(10)]
    assert session.look()["generation"] == 1


def test_executions_run_in_the_order_of_their_requests(session: Session) -> None:
    session.value("seen = []")
    with session.stream("input()", stdin=True) as running:
        id_ = running.until("input.requested").data["execution_id"]
        streams = []
        for n in range(10):
            stream = session.stream(f"seen.append({n})")
            stream.__enter__()
            streams.append(stream)
        session.answer(id_, "")
        running.until("execution.completed")
    assert session.value("print(seen)") == f"{list(range(10))}\n"
    for stream in streams:
        stream.__exit__(None, None, None)
