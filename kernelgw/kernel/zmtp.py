"""ZMTP 3.0, the client's half, over a unix stream: what a DEALER and a SUB need and nothing else.

libzmq would add a thread and two queues between the event loop and the socket for every kernel; here a
message is parsed where it arrives. Specification: ZeroMQ RFC 23.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import cast

GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\x00" + bytes(31)
MORE, LONG, COMMAND = 1, 2, 4
# A kernel that sends a larger message, or one in more frames, is broken or hostile: its connection is closed.
LARGEST_MESSAGE = 64 * 1024 * 1024
MOST_FRAMES = 1024


class Peer(asyncio.Protocol):
    """One connection. `on_message` gets the frames of each message, `on_lost` the end of it, once."""

    def __init__(
        self,
        kind: str,
        on_message: Callable[[list[bytes]], None],
        on_lost: Callable[[], None],
        identity: bytes = b"",
    ) -> None:
        self._kind = kind
        self._identity = identity
        self._on_message = on_message
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._frames: list[bytes] = []
        self._pending = 0
        self._greeted = False
        self._unsent: list[bytes] = []
        self._room = asyncio.Event()
        self._room.set()
        self.ready = False
        self._listening = True

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports are not registered as asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(GREETING + self._ready_command())

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self.ready = False
        self._room.set()
        self._on_lost()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        if not self._greeted and not self._greet():
            return
        position, size = 0, len(buffer)
        while size - position >= 2:
            flags = buffer[position]
            if flags & LONG:
                if size - position < 9:
                    break
                (length,) = struct.unpack_from(">Q", buffer, position + 1)
                start = position + 9
            else:
                length = buffer[position + 1]
                start = position + 2
            if length + self._pending > LARGEST_MESSAGE or len(self._frames) > MOST_FRAMES:
                self.close()
                return
            if size - start < length:
                break
            position = start + length
            self._frame(flags, bytes(memoryview(buffer)[start:position]))
        if position:
            del buffer[:position]

    # what users call

    def send(self, frames: Sequence[bytes]) -> None:
        """Queues one message; it leaves at once when the peer is ready, else right after the handshake."""
        data = encode(frames)
        if self.ready and self._transport is not None:
            self._transport.write(data)
        else:
            self._unsent.append(data)

    def listen(self, whether: bool) -> None:
        """While it does not, whoever sends has to wait."""
        if whether != self._listening and self._transport is not None:
            self._listening = whether
            self._transport.resume_reading() if whether else self._transport.pause_reading()

    async def room(self) -> None:
        """Returns when the other side has taken most of what was sent, or is gone."""
        await self._room.wait()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # the protocol

    def _greet(self) -> bool:
        if len(self._buffer) < len(GREETING):
            return False
        if self._buffer[0] != 0xFF or self._buffer[10] < 3:
            self.close()
            return False
        del self._buffer[: len(GREETING)]
        self._greeted = True
        return True

    def _ready_command(self) -> bytes:
        properties = _property(b"Socket-Type", self._kind.encode())
        if self._kind != "SUB":
            properties += _property(b"Identity", self._identity)
        body = b"\x05READY" + properties
        return bytes((COMMAND, len(body))) + body

    def _frame(self, flags: int, body: bytes) -> None:
        if flags & COMMAND:
            if body.startswith(b"\x05READY"):
                self._begin()
            return
        self._frames.append(body)
        self._pending += len(body)
        if not flags & MORE:
            frames, self._frames = self._frames, []
            self._pending = 0
            self._on_message(frames)

    def _begin(self) -> None:
        self.ready = True
        unsent, self._unsent = self._unsent, []
        if self._transport is not None:
            for data in unsent:
                self._transport.write(data)


def encode(frames: Sequence[bytes]) -> bytes:
    parts: list[bytes] = []
    last = len(frames) - 1
    for index, frame in enumerate(frames):
        flags = MORE if index < last else 0
        size = len(frame)
        if size < 256:
            parts.append(bytes((flags, size)))
        else:
            parts.append(struct.pack(">BQ", flags | LONG, size))
        parts.append(frame)
    return b"".join(parts)


def _property(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + struct.pack(">I", len(value)) + value
