"""Server-sent events: framing and keep-alive, once, for every stream there is.

The trap this file exists for: a response that streams is not told when its reader goes away unless somebody
reads `receive`, and a reader that stops reading must cost no memory. So the response pulls from the log, only
as fast as the socket takes it, and watches for the disconnect beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..events.event import Event
from ..events.log import EventLog
from ..sessions.execution import Execution

KEEP_ALIVE_S = 15.0
BATCH_BYTES = 256 * 1024
HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # no-transform and the last one keep proxies from gathering what should flow.
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class EventStream(Response):
    """A response that pulls. `on_disconnect` is called when the reader leaves before the end."""

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        on_disconnect: Callable[[], None] | None = None,
        execution_id: str | None = None,
    ) -> None:
        super().__init__()
        self.raw_headers = list(HEADERS)
        if execution_id is not None:
            # A caller that loses its connection while the cell still waits knows what to ask for.
            self.raw_headers.append((b"x-execution-id", execution_id.encode()))
        self.chunks = chunks
        self.on_disconnect = on_disconnect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        writer = asyncio.ensure_future(self._write(send))
        left = asyncio.ensure_future(disconnected(receive))
        try:
            await asyncio.wait({writer, left}, return_when=asyncio.FIRST_COMPLETED)
            if writer.done():
                writer.result()
            elif self.on_disconnect is not None:
                self.on_disconnect()
        finally:
            for task in (writer, left):
                task.cancel()
            await asyncio.gather(writer, left, return_exceptions=True)

    async def _write(self, send: Send) -> None:
        async for chunk in self.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def session_events(log: EventLog, after: int) -> AsyncIterator[bytes]:
    """Everything after `after`, then whatever comes, until the session ends."""
    async for events in _batches(log, min(after, log.last)):
        yield b"".join(event.frame() for event in events) if events else b": keep-alive\n\n"


async def execution_events(log: EventLog, execution: Execution, after: int) -> AsyncIterator[bytes]:
    """One execution's events from its start, or after `after`, to its completion, which always comes."""
    # Until it begins, its first event cannot be before the ones that there are.
    # And an id from beyond the end is of another time or another session.
    after = max(min(after, log.last), execution.first_seq - 1)
    if execution.finished and after >= execution.last_seq:
        return
    async for events in _batches(log, after):
        frames = []
        done = False
        for event in events:
            if event.execution_id == execution.id or event.type == "stream.gap":
                frames.append(event.frame())
                done = event.type == "execution.completed"
        if not done and execution.finished and log.first > execution.last_seq:
            frames = [*frames[:1], _completed(execution).frame()]
            done = True
        if frames or not events:
            yield b"".join(frames) or b": keep-alive\n\n"
        if done:
            return


def _completed(execution: Execution) -> Event:
    """The log has forgotten this execution altogether; how it ended is still known."""
    data = {**execution.summary(), "execution_id": execution.id}
    return Event(execution.last_seq, "execution.completed", execution.id, data, 0)


async def _batches(log: EventLog, after: int) -> AsyncIterator[list[Event]]:
    """Pulls; an empty list means that nothing came for a while."""
    while True:
        events = log.read(after, BATCH_BYTES)
        if events:
            after = events[-1].seq
            yield events
            continue
        try:
            async with asyncio.timeout(KEEP_ALIVE_S):
                alive = await log.wait(after)
        except TimeoutError:
            yield []
            continue
        if not alive:
            return
