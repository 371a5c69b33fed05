"""The sockets to a kernel of somebody else's, as a client of it has them."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import zmq
from jupyter_client.session import DELIM, Session
from zmq.eventloop.zmqstream import ZMQStream

from ..packing import pack

RECONNECT_MS = 10
# The first request may have come before it listened, and its outputs before we were subscribed.
AGAIN_S, NUDGE_S = 2.0, 0.05
# Of these nothing is heard before it matters; a question to whom it does not know yet a kernel drops.
SILENT = ("control", "stdin")


@dataclass(frozen=True)
class Said:
    """One of its messages. `content`, `metadata` and `buffers` as they came."""

    kind: str
    parent: str
    metadata: bytes
    content: bytes
    buffers: Sequence[bytes]

    @cached_property
    def fields(self) -> dict[str, Any]:
        found = json.loads(self.content)
        return found if isinstance(found, dict) else {}


class Line:
    """`heard` is called with all that it says by iopub, `asked` with its questions."""

    def __init__(
        self, connection: Mapping[str, Any], heard: Callable[[Said], None], asked: Callable[[Said], None]
    ) -> None:
        key, name = connection["key"].encode(), uuid.uuid4().hex
        self._session = Session(key=key, session=name, username="kernel", pack=pack)
        self._waiting: dict[str, asyncio.Future[Said]] = {}
        self._heard, self._asked = heard, asked
        self._spoke = asyncio.Event()
        self._nudges: set[str] = set()
        self._context: zmq.Context[Any] = zmq.Context()
        self._monitors: list[ZMQStream] = []
        self._connected: list[asyncio.Event] = []
        self._streams = {
            channel: self._connect(channel, f"tcp://{connection['ip']}:{connection[f'{channel}_port']}")
            for channel in ("iopub", "shell", "control", "stdin")
        }

    def _connect(self, channel: str, address: str) -> ZMQStream:
        socket = self._context.socket(zmq.SUB if channel == "iopub" else zmq.DEALER)
        socket.linger = 0
        # What does not fit is dropped by the kernel's own side, without a word.
        socket.rcvhwm = socket.sndhwm = 0
        socket.reconnect_ivl = RECONNECT_MS
        if channel == "iopub":
            socket.subscribe(b"")
        else:
            # Questions come to whoever asked for the cell, by this.
            socket.identity = self._session.session.encode()
        if channel in SILENT:
            self._watch(socket)
        socket.connect(address)
        stream = ZMQStream(socket)
        stream.on_recv(partial(self._received, channel))
        return stream

    def _watch(self, socket: Any) -> None:
        connected = asyncio.Event()
        self._connected.append(connected)
        monitor = ZMQStream(socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED))
        self._monitors.append(monitor)
        monitor.on_recv(lambda _: connected.set())

    async def ready(self) -> dict[str, Any]:
        """Its kernel_info, once its outputs are not missed any more. Waits as long as it takes."""
        info: Said | None = None
        while info is None or not self._spoke.is_set():
            id_, reply = self.ask("shell", "kernel_info_request", {})
            self._nudges.add(id_)
            with contextlib.suppress(TimeoutError):
                info = await asyncio.wait_for(reply, AGAIN_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._spoke.wait(), NUDGE_S)
        self._nudges.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(each.wait() for each in self._connected)), AGAIN_S)
        return info.fields

    def ask(
        self, channel: str, kind: str, content: Mapping[str, Any], msg_id: str = "", **further: Any
    ) -> tuple[str, asyncio.Future[Said]]:
        """The request's id, and its reply to come. `further`: metadata, buffers."""
        id_ = self.send(channel, kind, content, msg_id, **further)
        reply = self._waiting[id_] = asyncio.get_running_loop().create_future()
        reply.add_done_callback(lambda _: self._waiting.pop(id_, None))
        return id_, reply

    def send(self, channel: str, kind: str, content: Mapping[str, Any], msg_id: str = "", **further: Any) -> str:
        header = self._session.msg_header(kind)
        header["msg_id"] = msg_id or header["msg_id"]
        buffers = further.pop("buffers", None)
        message = self._session.msg(kind, dict(content), header=header, **further)
        self._streams[channel].send_multipart([*self._session.serialize(message), *(buffers or ())])
        return str(header["msg_id"])

    def close(self) -> None:
        for stream in (*self._monitors, *self._streams.values()):
            stream.close(linger=0)
        self._context.term()

    def _received(self, channel: str, frames: list[bytes]) -> None:
        said = self._read(frames)
        if said is None:
            return
        if channel == "iopub":
            if said.parent in self._nudges:
                self._spoke.set()
            self._heard(said)
        elif channel == "stdin":
            self._asked(said)
        elif (waiting := self._waiting.get(said.parent)) is not None and not waiting.done():
            waiting.set_result(said)

    def _read(self, frames: list[bytes]) -> Said | None:
        """None of what is no message, or not signed with our key."""
        try:
            start = frames.index(DELIM)
            signature, *signed = frames[start + 1 : start + 6]
            if not hmac.compare_digest(self._session.sign(signed), signature):
                return None
            header, parent = json.loads(signed[0]), json.loads(signed[1])
            # xeus says null where others say {}.
            of = (parent or {}).get("msg_id", "")
            return Said(str(header["msg_type"]), str(of), signed[2], signed[3], frames[start + 6 :])
        except (ValueError, KeyError, AttributeError, TypeError, IndexError):
            return None
