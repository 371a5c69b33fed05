"""Between a page of Lab and a kernel at the gateway: frames as they are, both ways, in whichever protocol the page
speaks. When the gateway is restarted the page keeps its connection. Runs inside Lab's server."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from typing import Any
from urllib.parse import quote

from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.services.kernels.connection.base import BaseKernelWebsocketConnection
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, WebSocketError, websocket_connect

from ..jupyter.framing import V1, pack_legacy, pack_v1
from ..jupyter.messages import status
from .asking import socket_url

Frame = bytes | str
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0
LARGEST_FRAME = 1 << 30
# Of the page, while the gateway is away.
MOST_WAITING, MOST_WAITING_BYTES = 2000, 32 << 20
TOO_SLOW = (1013, "the gateway is away")
# Not worth another try: the token does not hold, or there is no such kernel.
REFUSED = frozenset({401, 403, 404})
# The session has ended.
ENDED = 1000


class Relay(BaseKernelWebsocketConnection):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._waiting: deque[Frame] = deque()
        self._size = 0
        self._something = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    # what Lab's server calls

    async def connect(self) -> None:
        self._running = asyncio.create_task(self._run())

    def disconnect(self) -> None:
        """The page has gone."""
        if self._running is not None:
            self._running.cancel()

    def handle_incoming_message(self, incoming_msg: Frame) -> None:
        """Of the page."""
        if len(self._waiting) >= MOST_WAITING or self._size > MOST_WAITING_BYTES:
            self.websocket_handler.close(*TOO_SLOW)
            return
        self._waiting.append(incoming_msg)
        self._size += len(incoming_msg)
        self._something.set()

    def handle_outgoing_message(self, stream: str, outgoing_msg: list[Any]) -> None:
        """For kernels with sockets of their own; there are none here."""
        raise NotImplementedError

    # the way to the gateway

    async def _run(self) -> None:
        wait = FIRST_WAIT_S
        with contextlib.suppress(WebSocketClosedError):
            while True:
                heard, final = await self._visit()
                if final:
                    self.websocket_handler.close(1000, "the kernel is not there any more")
                    return
                wait = FIRST_WAIT_S if heard else min(2 * wait, LONGEST_WAIT_S)
                # Not all pages at once.
                await asyncio.sleep(wait * random.uniform(0.5, 1))

    async def _visit(self) -> tuple[bool, bool]:
        """One connection from beginning to end: whether anything was heard, and whether it was the last."""
        try:
            gateway = await self._dial()
        except HTTPClientError as error:
            self.log.warning("The gateway refuses kernel %s: %s", self.kernel_id, error)
            if error.code == 404:
                await self._tell_death()
            return False, error.code in REFUSED
        except (OSError, WebSocketError) as error:
            self.log.info("The gateway is away: %s", error)
            return False, False
        heard = await self._talk(gateway)
        self.log.info("The gateway closed kernel %s with %s", self.kernel_id, gateway.close_code)
        return heard, gateway.close_code == ENDED

    async def _dial(self) -> WebSocketClientConnection:
        url = f"{socket_url(self.kernel_id)}?session_id={quote(self.session_id, safe='')}"
        # By another name than Jupyter's own relay, which is sent no buffers.
        given = {"user_agent": "kernelgw-lab", **GatewayClient.instance().load_connection_args(headers={})}
        spoken = [V1] if self._is_v1() else None
        options: dict[str, Any] = {"max_message_size": LARGEST_FRAME, "ping_interval": 20, "ping_timeout": 20}
        dialling = asyncio.ensure_future(websocket_connect(HTTPRequest(url, **given), subprotocols=spoken, **options))
        try:
            return await asyncio.shield(dialling)
        except asyncio.CancelledError:
            # The page has gone meanwhile; the gateway would wait for it.
            dialling.add_done_callback(_hang_up)
            raise

    async def _talk(self, gateway: WebSocketClientConnection) -> bool:
        heard = False
        sending = asyncio.create_task(self._send(gateway))
        try:
            while (frame := await gateway.read_message()) is not None:
                heard = True
                # Waits until there is room, and so does the gateway.
                await self.websocket_handler.write_message(frame, binary=isinstance(frame, bytes))
        finally:
            sending.cancel()
            gateway.close()
            await asyncio.gather(sending, return_exceptions=True)
        return heard

    async def _send(self, gateway: WebSocketClientConnection) -> None:
        while True:
            while self._waiting:
                frame = self._waiting[0]
                await gateway.write_message(frame, binary=isinstance(frame, bytes))
                self._waiting.popleft()
                self._size -= len(frame)
            self._something.clear()
            await self._something.wait()

    def _is_v1(self) -> bool:
        return self.websocket_handler.selected_subprotocol == V1

    async def _tell_death(self) -> None:
        parts = status("dead")
        frame = pack_v1("iopub", parts) if self._is_v1() else pack_legacy("iopub", parts)
        await self.websocket_handler.write_message(frame, binary=isinstance(frame, bytes))


def _hang_up(dialled: asyncio.Future[WebSocketClientConnection]) -> None:
    if not dialled.cancelled() and dialled.exception() is None:
        dialled.result().close()
