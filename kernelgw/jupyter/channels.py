"""The WebSocket of a kernel: one socket for all channels, in either of Jupyter's two protocols."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..access.caller import REVOKED
from ..errors import GatewayError
from .attached import Attached
from .deps import JSON, TheVisit
from .desk import Desk
from .framing import V1, BadFrame
from .pace import Pace

router = APIRouter(tags=["jupyter"])
# Messages of one client: a slider that is dragged sends a hundred a second.
PER_S, BURST = 200.0, 1000
NOT_A_MESSAGE = 1003
# For the last frame to leave.
CLOSING_S = 1.0


@router.websocket("/api/kernels/{kernel_id}/channels")
async def channels(
    socket: WebSocket, kernel_id: str, visit: TheVisit, session_id: Annotated[str, Query(max_length=128)] = ""
) -> None:
    v1 = V1 in socket.scope["subprotocols"]
    # Jupyter's own server, as a client of a gateway, reads binary frames as text and hears nothing ever after.
    relay = not v1 and socket.headers.get("user-agent", "").startswith("Tornado/")
    client = Attached(session_id or uuid.uuid4().hex, v1, buffers=not relay)
    try:
        session = visit.find(kernel_id)
        visit.hall.house.wake(session.main)
        room = visit.hall.room(session)
        room.enter(client)
    except GatewayError as error:
        await socket.send_denial_response(JSON(error.as_jupyter(), error.status))
        return
    try:
        await socket.accept(V1 if v1 else None)
        await _talk(socket, client, Desk(visit, room, client))
    finally:
        room.leave(client)
        if socket.scope.get(REVOKED):
            room.withdraw(client)


async def _talk(socket: WebSocket, client: Attached, desk: Desk) -> None:
    reader = asyncio.ensure_future(_read(socket, client, desk))
    writer = asyncio.ensure_future(_write(socket, client))
    closed = asyncio.ensure_future(client.closed())
    tasks = (reader, writer, closed)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
            raise result
    if client.closing is not None:
        # It may not read: then it is cut off without a word.
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            await asyncio.wait_for(socket.close(*client.closing), CLOSING_S)


async def _read(socket: WebSocket, client: Attached, desk: Desk) -> None:
    pace = Pace(PER_S, BURST)
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        frame = message.get("bytes")
        try:
            await desk.take(client.read(frame if frame is not None else message["text"]))
        except BadFrame as error:
            client.close(NOT_A_MESSAGE, f"not a message: {error}"[:120])
            return
        if wait := pace.take():
            await asyncio.sleep(wait)


async def _write(socket: WebSocket, client: Attached) -> None:
    async def send(frame: bytes | str) -> None:
        await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_text(frame))

    await client.write(send)
