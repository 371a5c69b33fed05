"""A connection that has become a WebSocket. It keeps the place at the door that it had, to its end."""

from __future__ import annotations

import contextlib
import logging
from typing import Any, Protocol

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame
from websockets.http11 import Request

from .guard import ADMITTED

# Pieces that one message may come in. Empty ones would count for nothing in its size.
MOST_FRAGMENTS = 4096
# For a peer to take what it was sent last, the code it is closed with included.
LINGER_S = 2.0
TOO_BIG = 1009
# What a peer that reads nothing may have waiting, in answers to its pings.
MOST_UNREAD = 1 << 20
log = logging.getLogger("kernelgw.sockets")


class Place(Protocol):
    """What the connection was before."""

    def admitted(self) -> None:
        """The guard has seen the token."""

    def parted(self) -> None:
        """It has ended."""


class Socket(WebSocketsSansIOProtocol):
    """uvicorn's own, which holds back what its peer does not take, and closes with 1012 when the gateway stops."""

    def __init__(self, place: Place, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._place = place
        # No byte is looked at any more.
        self._deaf = False
        # It would log each address, with the token in it, and what strangers ask for.
        self.logger = log
        self.logger.setLevel(logging.WARNING)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[ADMITTED] = self._place.admitted

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        super().data_received(data)
        if self.conn.handshake_exc is not None:
            # Whatever it was, nobody else has a clock on it any more.
            self._cut_off_soon()

    def handle_ping(self) -> None:
        if self.transport.get_write_buffer_size() > MOST_UNREAD:
            self.transport.abort()
        else:
            super().handle_ping()

    def handle_parser_exception(self) -> None:
        """Closed at once, with bytes unread, the reason would be lost on its way."""
        assert self.conn.close_sent is not None
        self._deaf = self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": self.conn.close_sent.code})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_timer = self.loop.call_later(LINGER_S, self.transport.abort)

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) < MOST_FRAGMENTS:
            super().handle_cont(event)
        elif not self.close_sent:
            self.conn.fail(TOO_BIG, "too many fragments")
            self.handle_parser_exception()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._place.parted()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self._cut_off_soon()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._cut_off_soon()

    def shutdown(self) -> None:
        # One that is being closed already has said so.
        with contextlib.suppress(InvalidState):
            super().shutdown()
        self._cut_off_soon()

    def _cut_off_soon(self) -> None:
        """Who does not read would otherwise keep what it was sent here for ever."""
        self.loop.call_later(LINGER_S, self.transport.abort)
