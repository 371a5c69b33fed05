"""A streamed response: its headers, its pace, and what happens when its reader leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message

from kernelgw.api.sse import EventStream, execution_events, session_events

from .test_sse import SOON_S, Story, parsed, types


class Caller:
    """The other side of a response: takes what is sent, and leaves when told."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.leaves = asyncio.Event()
        self.left = 0

    async def receive(self) -> Message:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def on_disconnect(self) -> None:
        self.left += 1

    async def call(self, chunks: AsyncIterator[bytes], execution_id: str | None = None) -> None:
        async with asyncio.timeout(SOON_S):
            response = EventStream(chunks, self.on_disconnect, execution_id)
            await response({"type": "http"}, self.receive, self.send)


async def test_a_response_has_the_headers_that_keep_it_flowing() -> None:
    caller, story = Caller(), Story()
    execution = story.run("a")
    await caller.call(execution_events(story.log, execution, 0), execution.id)
    headers = dict(caller.sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert {b"no-cache", b"no-transform"} <= set(headers[b"cache-control"].split(b", "))
    assert headers[b"x-accel-buffering"] == b"no"
    assert headers[b"x-execution-id"] == execution.id.encode()


async def test_a_response_that_was_read_to_the_end_is_no_disconnect() -> None:
    caller, story = Caller(), Story()
    await caller.call(execution_events(story.log, story.run("a"), 0))
    assert caller.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert types(parsed([message.get("body", b"") for message in caller.sent]))[-1] == "execution.completed"
    assert caller.left == 0


async def test_a_caller_that_leaves_is_told_once_and_the_log_is_let_go() -> None:
    caller, story = Caller(), Story()
    response = asyncio.create_task(caller.call(session_events(story.log, 0)))
    await asyncio.sleep(0.005)
    assert not response.done()
    caller.leaves.set()
    await response
    assert caller.left == 1
    before = len(caller.sent)
    story.say(None, "late")
    await asyncio.sleep(0)
    assert len(caller.sent) == before


async def test_a_slow_caller_is_not_read_ahead_for() -> None:
    story = Story()
    caller, taken = Caller(), 0
    gate = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal taken
        async for chunk in session_events(story.log, 0):
            taken += 1
            yield chunk

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await gate.wait()

    caller.send = send  # type: ignore[method-assign]
    response = asyncio.create_task(caller.call(chunks()))
    for _ in range(20):
        story.say(None, "x" * 100_000)
        await asyncio.sleep(0)
    assert taken == 1
    caller.leaves.set()
    await response


async def test_a_fault_while_streaming_is_not_hidden() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b": x\n\n"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Caller().call(chunks())
