"""One connection of the server, with limits on what it may send, how slowly, and for how long it may say nothing.

uvicorn's own protocol waits for ever for the rest of a request. Here a clock runs whenever something is awaited of the
peer: a head, the rest of a body, or that a stranger reads what it was sent. No clock runs while a request is worked on
or streamed, so cells and streams take as long as they take.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from ..errors import BadRequest, GatewayError, HeadTooLarge, TooManyConnections, TooSlow
from .guard import ADMITTED
from .peers import Door, network
from .problems import problem

MAX_HEADERS = 100
# Requests that wait behind another on their connection; each costs memory before anybody has looked at it.
MAX_PIPELINED = 8
# Below this a body is not slow but held back.
BODY_BYTES_PER_S = 4096
# What may still come of a body that nobody wants, so that a small one does not cost the connection.
MAX_UNWANTED = 64 << 10
# To read a last answer, before the connection is cut.
LINGER_S = 2.0
# Where a WebSocket may be asked for; elsewhere a request is answered as if it had not asked.
SOCKETS = (b"/api/kernels/", b"/channels")


@dataclass(frozen=True)
class Limits:
    """Bytes and seconds, from the settings of the same names."""

    header_bytes: int
    head_timeout_s: float
    body_timeout_s: float


def connections(limits: Limits, door: Door) -> type[HttpToolsProtocol]:
    """The protocol class of a server: uvicorn makes one object of it for each connection."""

    class Limited(Connection):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(limits, door, *arguments, **named)

    return Limited


class Connection(HttpToolsProtocol):
    """HTTP/1.1 by llhttp, which is strict about lengths, line ends and framing; what it lets pass is looked at here."""

    def __init__(self, limits: Limits, door: Door, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.limits = limits
        self.door = door
        self.peer = ""
        if self.ws_protocol_class is not None:
            self.ws_protocol_class = partial(self.ws_protocol_class, self)  # type: ignore[assignment,call-arg]
        self._upgrades = False
        self._inside = False
        self._known = False
        # No byte is looked at any more.
        self._deaf = False
        self._in_body = False
        self._head_bytes = 0
        self._unwanted = 0
        self._body_began = 0.0
        self._body_bytes = 0
        self._body_size = 0.0
        self._fault: GatewayError | None = None
        self._answering: RequestResponseCycle | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._awaited = ""

    # what the transport tells

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.peer = network(self.client[0]) if self.client else ""
        self._inside = self.door.enter(self)
        if not self._inside:
            self._refuse(TooManyConnections("All connections are taken.", retry_after_s=1))
            self.transport.close()
            return
        self._await("head", self.limits.head_timeout_s, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        self._unset_keepalive_if_required()
        self.parted()
        # uvicorn tells only the newest of pipelined requests.
        _hang_up(self._answering)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._ignore(len(data))
            return
        self._unset_keepalive_if_required()
        if self._in_body:
            self._body_bytes += len(data)
        else:
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True
            if self._upgrades:
                self._stop_clock()
                self.handle_websocket_upgrade()
                return
        except httptools.HttpParserError as error:
            fault, self._fault = self._fault, None
            self._refuse(fault or BadRequest("This is not HTTP/1.1 as it is written down.", reason=_plain(error)))
            return
        if self._head_bytes > self.limits.header_bytes:
            self._refuse(self._head_too_large())
        elif not self.transport.is_closing():
            self._watch(len(data))

    def _ignore(self, size: int) -> None:
        self._unwanted += size
        # The sender is to read what it was told. Until it is cut off it may well try to fill the line.
        if self._unwanted > MAX_UNWANTED and not self._known:
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        # A caller may read as slowly as it likes, but not whoever holds a place without being one.
        if not self._known:
            self._await("reader", self.limits.head_timeout_s, self._cut)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._awaited == "reader":
            self._stop_clock()

    # what the parser tells

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ADMITTED: self.admitted}  # type: ignore[dict-item]

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes after a body is no header: the request was judged by those before it.
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._fault = self._judge_head()
        if self._fault is not None:
            raise self._fault
        self._head_bytes = 0
        self._in_body = True
        self._body_began = self.loop.time()
        self._body_bytes = 0
        self._body_size = self._announced()
        self._upgrades = self.parser.should_upgrade() and self._is_for_a_socket()
        super().on_headers_complete()
        if self.parser.should_upgrade() and not self._upgrades:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def _is_for_a_socket(self) -> bool:
        """Nothing may be under way: what is behind it is no HTTP any more."""
        path = self.url.partition(b"?")[0]
        first, last = SOCKETS
        wanted = self.parser.get_method() == b"GET" and path.startswith(first) and path.endswith(last)
        return wanted and not self._body_size and not self._is_busy() and super()._should_upgrade()

    def _should_upgrade(self) -> bool:
        return self._upgrades

    def send_400_response(self, msg: str) -> None:
        self._refuse(BadRequest(msg))

    def _unsupported_upgrade_warning(self) -> None:
        """Anybody could fill the log with it."""

    # what is answered

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, self._parting(cycle, app) if self._body_size > MAX_UNWANTED else app)

    def _parting(self, cycle: RequestResponseCycle, app: Any) -> Any:
        """An answer that comes before more of its body than will be put up with says that it is the last."""

        async def parting(scope: Any, receive: Any, send: Any) -> None:
            async def told(message: Any) -> None:
                early = self._in_body and cycle is self.cycle and self._body_size - self._body_bytes > MAX_UNWANTED
                if not early or message["type"] != "http.response.start":
                    await send(message)
                    return
                await send({**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]})
                # But not at once: closed with bytes unread, the answer would be lost on its way.
                cycle.keep_alive = True

            await app(scope, receive, told)

        return parting

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._see_out()
        else:
            self._watch(0)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._see_out()

    def throw_out(self) -> None:
        self._inside = False
        self._cut()

    def parted(self) -> None:
        if self._inside:
            self._inside = False
            self.door.leave(self)

    def admitted(self) -> None:
        """The guard has seen the token."""
        if self._inside and not self._known:
            self._known = True
            self.door.know(self)
            if self._awaited == "reader":
                self._stop_clock()

    def _announced(self) -> float:
        """Bytes of the body that is to come."""
        headers = dict(self.headers)
        return math.inf if b"transfer-encoding" in headers else int(headers.get(b"content-length", b"0"))

    def _judge_head(self) -> GatewayError | None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits.header_bytes or len(self.headers) > MAX_HEADERS:
            return self._head_too_large()
        if not self.url.startswith(b"/"):
            return BadRequest("The target of a request is a path here.")
        framing = [value for name, value in self.headers if name == b"transfer-encoding"]
        if framing and (framing != [b"chunked"] or self.parser.get_http_version() != "1.1"):
            return BadRequest("Transfer-Encoding can only be chunked.")
        if len(self.pipeline) >= MAX_PIPELINED:
            return BadRequest("Too many requests were sent before the first was answered.")
        return None

    def _head_too_large(self) -> HeadTooLarge:
        most = self.limits.header_bytes
        return HeadTooLarge(f"The head of a request may have {most:,} bytes and {MAX_HEADERS} headers.", limit=most)

    def _refuse(self, error: GatewayError) -> None:
        """The last answer on this connection, if there is room for one."""
        self._deaf = True
        if self.transport.is_closing():
            return
        if self._is_busy() and not self._is_unanswered_body():
            self._cut()
            return
        answer = problem(error)
        lines = [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
        head = [STATUS_LINE[answer.status_code], *lines, b"cache-control: no-store\r\nconnection: close\r\n\r\n"]
        self.transport.write(b"".join(head) + bytes(answer.body))
        _hang_up(self.cycle)
        # Closed at once, with bytes unread, the answer would be lost on its way.
        self.transport.write_eof()
        self._await("end", LINGER_S, self._cut)

    def _is_busy(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _is_unanswered_body(self) -> bool:
        """Whether what is wrong is the body of the one request that is worked on, and nothing was said to it yet."""
        return self._in_body and self._answering is self.cycle and not self.cycle.response_started

    # the clock

    def _watch(self, received: int) -> None:
        """Starts the clock for what is awaited of the peer now, or stops it."""
        if self._awaited == "reader":
            return
        busy = self._is_busy()
        if self._in_body and not busy:
            self._await_unwanted(received)
        elif self._in_body:
            self._await("body", self.limits.body_timeout_s, self._body_is_late)
        elif busy:
            self._stop_clock()
        elif self._head_bytes:
            self._unset_keepalive_if_required()
            self._await("head", self.limits.head_timeout_s, self._head_is_late)
        else:
            self._stop_clock()
            self._unwanted = 0
            if self.timeout_keep_alive_task is None:
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )

    def _await_unwanted(self, received: int) -> None:
        """The rest of a body whose request has been answered: it was refused, or nobody asked for a body."""
        self._unwanted += received
        if self._unwanted > MAX_UNWANTED:
            self._deaf = True
            self.transport.write_eof()
        self._await("end", self.limits.body_timeout_s if self._known else LINGER_S, self._cut)

    def _await(self, what: str, seconds: float, late: Callable[[], None]) -> None:
        """Awaiting the same goes on with the same clock, or a byte now and then would keep it from ever ending."""
        if self._awaited == what:
            return
        self._stop_clock()
        self._awaited = what
        self._clock = self.loop.call_later(seconds, late)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
        self._clock = None
        self._awaited = ""

    def _head_is_late(self) -> None:
        if self._head_bytes == 0:
            self._cut()
            return
        seconds = self.limits.head_timeout_s
        self._awaited = ""
        self._refuse(TooSlow(f"The head of the request did not come in within {seconds:g} s."))

    def _body_is_late(self) -> None:
        self._awaited = ""
        # While nobody reads it, or an earlier request is worked on, it is not the peer who is slow.
        if self.flow.read_paused or self._answering is not self.cycle:
            self._body_began = self.loop.time()
            self._body_bytes = 0
        allowed = self.limits.body_timeout_s + self._body_bytes / BODY_BYTES_PER_S
        left = self._body_began + allowed - self.loop.time()
        if left > 0:
            self._await("body", left, self._body_is_late)
        else:
            self._refuse(TooSlow(f"The body of the request did not come in within {allowed:.0f} s."))

    def _see_out(self) -> None:
        """A closing connection lasts until all is read; a stranger's does not."""
        if not self._known:
            self._await("end", LINGER_S, self._cut)

    def _cut(self) -> None:
        self._stop_clock()
        self._deaf = True
        self.transport.abort()


def _hang_up(cycle: RequestResponseCycle | None) -> None:
    if cycle is not None and not cycle.response_complete:
        cycle.disconnected = True
        cycle.message_event.set()


def _plain(error: Exception) -> str:
    """llhttp's own words, which hold nothing of what was sent; a callback's may."""
    return "" if isinstance(error, httptools.HttpParserCallbackError) else str(error)
