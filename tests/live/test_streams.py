"""Server-sent events: complete, resumable, shared by many readers, and slowed down by none."""

from __future__ import annotations

import itertools

import httpx
import pytest

from .client import STREAM, Event, House, Session, merged, streamed, text, types
from .gateway import TOKEN

pytestmark = pytest.mark.live

CHATTY = """
import sys
for n in range(30):
    print(n)
    print(n, file=sys.stderr)
    display(n)
"""


def test_headers(session: Session) -> None:
    execution = session.run("1")
    path = f"{session.path}/executions"
    calls = [
        session.client.stream("POST", path, json={"code": "1"}, headers=STREAM),
        session.client.stream("GET", f"{path}/{execution['id']}/events"),
        session.client.stream("GET", f"{session.path}/events"),
    ]
    for call in calls:
        with call as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            assert "no-cache" in response.headers["cache-control"]
            assert "no-transform" in response.headers["cache-control"]
            assert response.headers["x-accel-buffering"] == "no"
            assert "content-encoding" not in response.headers


def test_stream_and_object_agree(session: Session) -> None:
    events = session.events(CHATTY + "5")
    end = events[-1]
    execution = session.execution(end.data["id"])
    assert streamed(events) == "".join(f"{n}\n" for n in range(30))
    without = {key: value for key, value in execution.items() if key not in ("outputs", "code")}
    assert {key: end.data[key] for key in without} == without
    assert "outputs" not in end.data
    assert types(events)[0] == "execution.started"
    assert next(event for event in events if event.type == "execution.started").data["code"] == CHATTY + "5"
    outputs = [event for event in merged(events) if event.type.startswith("output.")]
    assert [output["seq"] for output in execution["outputs"]] == [event.id for event in outputs]
    # A JSON answer shows the same.
    same = session.run(CHATTY + "5")
    assert [output["output_type"] for output in same["outputs"]] == [o["output_type"] for o in execution["outputs"]]


def test_every_event_names_its_execution(session: Session) -> None:
    events = session.events(CHATTY)
    id_ = events[-1].data["id"]
    assert {event.data["execution_id"] for event in events} == {id_}


def test_resume_at_every_place(session: Session) -> None:
    events = session.events("for n in range(5): display(n)")
    id_ = events[-1].data["id"]
    for place in range(-1, len(events)):
        after = 0 if place < 0 else events[place].id
        with session.follow(id_, after) as stream:
            assert list(stream) == events[place + 1 :]
    with session.follow(id_) as stream:
        assert list(stream) == events


def test_resume_by_the_query(session: Session) -> None:
    events = session.events("for n in range(5): display(n)")
    path = f"{session.path}/executions/{events[-1].data['id']}/events"
    response = session.client.get(path, params={"after": events[3].id})
    assert response.text.count("\nevent: ") == len(events) - 4
    assert session.client.get(path, params={"after": -1}).status_code == 400


def test_resume_while_it_runs(session: Session) -> None:
    """A reader that loses its connection again and again has every event once."""
    code = "for n in range(200): display(n)\ninput()\nfor n in range(200): display(n)"
    got: list[Event] = []
    with session.stream(code, stdin=True) as stream:
        got.extend(itertools.islice(stream, 7))
    id_ = got[-1].data["execution_id"]
    while not got or got[-1].type != "execution.completed":
        with session.follow(id_, got[-1].id) as stream:
            for event in itertools.islice(stream, 37):
                got.append(event)
                if event.type == "input.requested":
                    session.answer(id_, "")
    shown = [event.data["data"]["text/plain"] for event in got if event.type == "output.display"]
    assert shown == [str(n) for n in range(200)] * 2
    assert [event.id for event in got] == sorted({event.id for event in got})


def test_resume_from_the_future(session: Session) -> None:
    execution = session.run("print('x')")
    with session.follow(execution["id"], 1_000_000) as stream:
        assert [event for event in stream if event.type != "execution.completed"] == []


def test_session_events_from_the_oldest(session: Session) -> None:
    first, second = session.run("print('a')"), session.run("print('b')")
    with session.follow(after=0) as stream:
        seen = [stream.until("execution.completed", id=each["id"]) for each in (first, second)]
        assert seen[0].id < seen[1].id
    with session.follow(after=0) as stream:
        everything = list(itertools.takewhile(lambda event: event != seen[1], stream))
    assert [event.id for event in everything] == list(range(1, seen[1].id))
    assert streamed(everything) == "a\nb\n"


def test_session_events_begin_now(session: Session) -> None:
    session.run("print('before')")
    with session.follow() as stream:
        session.run("print('after')")
        first = next(iter(stream))
        stream.until_text("after\n")
    assert first.type == "session.state"
    assert first.data["state"] == "busy"


def test_session_events_end_with_the_session(session: Session) -> None:
    session.run("1")
    with session.follow() as stream:
        session.delete()
        events = list(stream)
    assert events[-1].type == "session.state"
    assert events[-1].data["state"] == "ended"


def test_an_execution_ends_with_the_session(session: Session) -> None:
    with session.stream("print('running', flush=True)\nwhile True: pass") as stream:
        stream.until_text("running")
        session.delete()
        end = stream.until("execution.completed")
    assert end.data["status"] == "killed"
    assert "ended" in end.data["error"]["value"]


def test_readers_at_once(house: House) -> None:
    session = house.session()
    with session.stream("input()\n" + CHATTY, stdin=True) as first:
        asked = first.until("input.requested")
        id_ = asked.data["execution_id"]
        with session.follow(id_) as second, session.follow(after=0) as third:
            session.answer(id_, "")
            rest = list(first)
            whole = list(second)
            all_ = list(itertools.takewhile(lambda event: event.type != "execution.completed", third))
    assert whole[-len(rest) :] == rest
    assert streamed(whole) == "".join(f"{n}\n" for n in range(30))
    assert [event for event in all_ if event.data.get("execution_id") == id_] == whole[:-1]


def test_streams_of_queued_executions_are_their_own(session: Session) -> None:
    with session.stream("input()\nprint('one')", stdin=True) as first:
        id_ = first.until("input.requested").data["execution_id"]
        with session.stream("print('two')") as second:
            session.answer(id_, "")
            assert streamed(list(first)) == "one\n"
            events = list(second)
    assert types(events) == ["execution.started", "output.stream", "execution.completed"]
    assert streamed(events) == "two\n"


SLOW = "print('running', flush=True)\nwhile not __import__('os').path.exists('go'): pass\nprint('done')"


def test_leaving_a_stream_detaches(session: Session) -> None:
    with session.stream(SLOW) as stream:
        id_ = stream.until_text("running").data["execution_id"]
    session.touch("go")
    with session.follow(id_) as stream:
        assert stream.until("execution.completed").data["status"] == "completed"
    assert text(session.execution(id_)) == "running\ndone\n"


def test_leaving_a_plain_post_detaches(house: House) -> None:
    session = house.session()
    session.create()
    with session.follow() as stream:
        with house.gateway.client(timeout=0.3) as impatient, pytest.raises(httpx.ReadTimeout):
            Session(impatient, session.id).post(SLOW)
        id_ = stream.until_text("running").data["execution_id"]
        session.touch("go")
        assert stream.until("execution.completed").data["status"] == "completed"
    assert text(session.execution(id_)) == "running\ndone\n"


def test_leaving_a_stream_can_interrupt(session: Session) -> None:
    with session.stream(SLOW, on_disconnect="interrupt") as stream:
        id_ = stream.until_text("running").data["execution_id"]
    with session.follow(id_) as stream:
        assert stream.until("execution.completed").data["status"] == "interrupted"
    assert session.value("print('on')") == "on\n"


def test_leaving_a_plain_post_can_interrupt(house: House) -> None:
    session = house.session()
    session.create()
    with session.follow() as stream:
        with house.gateway.client(timeout=0.3) as impatient, pytest.raises(httpx.ReadTimeout):
            Session(impatient, session.id).post(SLOW, on_disconnect="interrupt")
        assert stream.until("execution.completed").data["status"] == "interrupted"


def test_leaving_while_waiting_takes_it_out_of_the_queue(house: House) -> None:
    session = house.session()
    with session.stream("input()", stdin=True) as first:
        id_ = first.until("input.requested").data["execution_id"]
        with session.follow() as events:
            with session.stream("never = 1", on_disconnect="interrupt"):
                assert session.look()["queued"] == 1
            gone = events.until("execution.completed")
            assert gone.data["status"] == "interrupted"
        assert session.look()["queued"] == 0
        session.answer(id_, "")
        assert first.until("execution.completed").data["status"] == "completed"
    assert session.run("never")["error"]["name"] == "NameError"


def test_a_second_reader_that_leaves_interrupts_nothing(session: Session) -> None:
    with session.stream(SLOW, on_disconnect="interrupt") as first:
        id_ = first.until_text("running").data["execution_id"]
        with session.follow(id_) as second:
            next(iter(second))
        session.touch("go")
        assert first.until("execution.completed").data["status"] == "completed"


def test_frames_are_plain_sse(house: House) -> None:
    """As bytes: what a browser's EventSource would see."""
    session = house.session()
    headers = {"Authorization": f"token {TOKEN}", **STREAM}
    url = f"{house.gateway.url}{session.path}/executions"
    raw = httpx.post(url, json={"code": "print('a\\nb\\r\\u2028')"}, headers=headers, timeout=20, trust_env=False)
    frames = raw.content.decode().split("\n\n")
    assert frames.pop() == ""
    for frame in frames:
        lines = frame.split("\n")
        assert [line.partition(": ")[0] for line in lines] == ["id", "event", "data"]
        assert "\r" not in frame
