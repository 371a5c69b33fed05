"""Server-sent events: framed, resumed, kept alive, and ended by the completion whatever happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from kernelgw.api import sse
from kernelgw.api.sse import execution_events, session_events
from kernelgw.events.log import EventLog
from kernelgw.events.outputs import Outputs
from kernelgw.sessions.execution import Execution, Status

KEEP_ALIVE = b": keep-alive\n\n"
SOON_S = 1.0


class Story:
    """A log and executions in it, told step by step as a session would."""

    def __init__(self, limit: int = 1 << 20) -> None:
        self.log = EventLog(limit)

    def queue(self) -> Execution:
        execution = Execution("chat-1", "code", "python", Outputs(1000))
        execution.first_seq = self.log.last + 1
        return execution

    def start(self, execution: Execution) -> None:
        execution.start()
        execution.first_seq = self.log.last + 1
        self.log.append("execution.started", {"code": "code"}, execution.id)

    def say(self, execution: Execution | None, text: str) -> None:
        id_ = execution.id if execution else None
        self.log.append("output.stream", {"name": "stdout", "text": text}, id_, len(text))

    def finish(self, execution: Execution, status: Status = Status.COMPLETED) -> None:
        execution.finish(status)
        execution.last_seq = self.log.append("execution.completed", execution.summary(), execution.id).seq

    def run(self, *texts: str) -> Execution:
        execution = self.queue()
        self.start(execution)
        for text in texts:
            self.say(execution, text)
        self.finish(execution)
        return execution


Parsed = tuple[int, str, dict[str, Any]]


def parsed(chunks: list[bytes]) -> list[Parsed]:
    found = []
    for frame in b"".join(chunks).split(b"\n\n"):
        if not frame or frame.startswith(b":"):
            continue
        id_, type_, data = frame.split(b"\n")
        assert id_.startswith(b"id: ")
        assert type_.startswith(b"event: ")
        assert data.startswith(b"data: ")
        found.append((int(id_[4:]), type_[7:].decode(), orjson.loads(data[6:])))
    return found


async def read(chunks: AsyncIterator[bytes]) -> list[Parsed]:
    """To the end, which must come soon."""
    async with asyncio.timeout(SOON_S):
        return parsed([chunk async for chunk in chunks])


def types(events: list[Parsed]) -> list[str]:
    return [type_ for _, type_, _ in events]


async def test_text_of_many_lines_stays_one_data_line() -> None:
    story = Story()
    text = "one\n\ntwo\r\nthree\rfour\n\nid: 9\ndata: x\n\n"
    events = await read(execution_events(story.log, story.run(text), 0))
    assert types(events) == ["execution.started", "output.stream", "execution.completed"]
    assert events[1][2]["text"] == text


async def test_an_execution_s_stream_is_its_own_events_from_start_to_completion() -> None:
    story = Story()
    story.run("before")
    one, two = story.queue(), story.queue()
    story.start(one)
    story.say(one, "a")
    story.say(two, "not one's")
    story.say(None, "the session's")
    story.finish(one, Status.FAILED)
    story.start(two)
    story.finish(two)
    events = await read(execution_events(story.log, one, 0))
    assert types(events) == ["execution.started", "output.stream", "execution.completed"]
    assert {data["execution_id"] for _, _, data in events} == {one.id}
    assert events[-1][2]["status"] == "failed"
    assert [seq for seq, _, _ in events] == [4, 5, 8]


@pytest.mark.parametrize("seen", range(5))
async def test_it_resumes_after_what_was_seen(seen: int) -> None:
    story = Story()
    execution = story.run("a", "b")
    events = await read(execution_events(story.log, execution, seen))
    assert [seq for seq, _, _ in events] == list(range(seen + 1, 5))


async def test_one_that_was_followed_from_the_queue_on_is_told_whole() -> None:
    story = Story()
    story.run("before")
    execution = story.queue()
    reading = asyncio.create_task(read(execution_events(story.log, execution, 0)))
    await asyncio.sleep(0)
    story.run("another before")
    story.start(execution)
    for text in "abc":
        await asyncio.sleep(0)
        story.say(execution, text)
    story.finish(execution)
    story.run("after")
    assert types(await reading) == ["execution.started", *["output.stream"] * 3, "execution.completed"]


async def test_completion_is_the_last_however_small_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "BATCH_BYTES", 1)
    story = Story()
    execution = story.run(*"abcdefgh")
    story.run("after")
    events = await read(execution_events(story.log, execution, 0))
    assert types(events)[-1] == "execution.completed"
    assert len(events) == 10


async def test_what_the_log_has_dropped_is_told_as_a_gap() -> None:
    story = Story(limit=5000)
    execution = story.run(*["x" * 500] * 20)
    events = await read(execution_events(story.log, execution, 3))
    assert types(events)[0] == "stream.gap"
    assert events[0][2]["from"] == 4
    assert events[0][0] == events[0][2]["to"] == events[1][0] - 1
    assert types(events)[-1] == "execution.completed"


@pytest.mark.parametrize("seen", [0, 2])
async def test_when_the_log_has_forgotten_it_all_its_completion_still_comes(seen: int) -> None:
    story = Story(limit=5000)
    execution = story.run("a", "b")
    story.run(*["x" * 500] * 20)
    events = await read(execution_events(story.log, execution, seen))
    assert types(events) == ["stream.gap", "execution.completed"]
    seq, _, data = events[-1]
    assert seq == execution.last_seq
    assert data == {**execution.summary(), "execution_id": execution.id}


async def test_nothing_comes_after_a_completion_that_was_seen() -> None:
    story = Story(limit=5000)
    execution = story.run("a")
    assert await read(execution_events(story.log, execution, execution.last_seq)) == []
    story.run(*["x" * 500] * 20)
    assert await read(execution_events(story.log, execution, execution.last_seq)) == []


async def test_a_reader_that_falls_behind_gets_gap_and_completion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "BATCH_BYTES", 1000)
    story = Story(limit=5000)
    execution = story.queue()
    story.start(execution)
    chunks = execution_events(story.log, execution, 0)
    assert types(parsed([await anext(chunks)])) == ["execution.started"]
    for _ in range(20):
        story.say(execution, "x" * 500)
    story.finish(execution)
    rest = await read(chunks)
    assert types(rest)[0] == "stream.gap"
    assert rest[0][2]["from"] == 2
    assert types(rest)[-1] == "execution.completed"
    assert types(rest).count("execution.completed") == 1


async def test_a_stream_that_is_resumed_from_beyond_the_end_ends_all_the_same() -> None:
    # As a browser does by itself after the gateway was started anew and counts from one again.
    story = Story()
    execution = story.queue()
    story.start(execution)
    reading = asyncio.create_task(read(execution_events(story.log, execution, 1_000_000)))
    await asyncio.sleep(0)
    story.finish(execution)
    assert types(await reading)[-1:] == ["execution.completed"]


async def test_a_session_s_stream_tells_everything_until_the_session_ends() -> None:
    story = Story()
    story.run("a")
    reading = asyncio.create_task(read(session_events(story.log, 1)))
    await asyncio.sleep(0)
    story.say(None, "later")
    await asyncio.sleep(0)
    story.log.append("session.state", {"state": "ended"})
    story.log.close()
    assert types(await reading) == ["output.stream", "execution.completed", "output.stream", "session.state"]


async def test_silence_is_filled_with_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0.005)
    story = Story()
    execution = story.queue()
    for chunks in (session_events(story.log, 0), execution_events(story.log, execution, 0)):
        assert [await anext(chunks), await anext(chunks)] == [KEEP_ALIVE, KEEP_ALIVE]
    story.start(execution)
    story.finish(execution)
    assert types(await read(execution_events(story.log, execution, 0))) == ["execution.started", "execution.completed"]


def test_the_comment_comes_often_enough() -> None:
    assert sse.KEEP_ALIVE_S <= 15
