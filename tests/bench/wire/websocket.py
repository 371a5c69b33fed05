"""A client for RFC 6455 that does only what a measurement needs: whole messages, no extensions."""

import base64
import os
import struct
import time

from tests.bench.wire.http import Address, Timeout, Wire, read_head

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Closed(Exception):
    """The server closed the WebSocket."""


class WebSocket:
    def __init__(
        self, address: Address, path: str, token: str | None, subprotocol: str, quick_ack: bool = False
    ) -> None:
        self.wire = Wire(address, quick_ack=quick_ack)
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {address.host}:{address.port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            f"Sec-WebSocket-Protocol: {subprotocol}",
        ]
        if token:
            lines.append(f"Authorization: token {token}")
        self.wire.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        status, headers = read_head(self.wire)
        if status != 101:
            raise RuntimeError(f"WebSocket {path.split('?')[0]}: status {status}")
        self.subprotocol = headers.get("sec-websocket-protocol", "")

    def send(self, payload: bytes, opcode: int = BINARY) -> None:
        # A mask of zeros is a valid mask and costs nothing; there is no proxy here for it to protect.
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
        self.wire.send(head + b"\0\0\0\0" + payload)

    def receive(self, timeout: float) -> tuple[int, bytes]:
        """The next whole message. Raises Timeout when it has not come in `timeout` seconds."""
        deadline = time.monotonic() + timeout
        parts: list[bytes] = []
        kind = 0
        while True:
            final, opcode, payload = self._frame(deadline)
            if opcode == PING:
                self.send(payload, PONG)
            elif opcode == CLOSE:
                raise Closed
            elif opcode != PONG:
                kind = opcode or kind
                parts.append(payload)
                if final:
                    return kind, parts[0] if len(parts) == 1 else b"".join(parts)

    def _frame(self, deadline: float) -> tuple[bool, int, bytes]:
        buffer = self.wire.buffer
        self._need(2, deadline)
        size, start = buffer[1] & 0x7F, 2
        if size == 126:
            self._need(4, deadline)
            size, start = struct.unpack_from("!H", buffer, 2)[0], 4
        elif size == 127:
            self._need(10, deadline)
            size, start = struct.unpack_from("!Q", buffer, 2)[0], 10
        self._need(start + size, deadline)
        first = buffer[0]
        return bool(first & 0x80), first & 0x0F, self.wire.take(start + size)[start:]

    def _need(self, count: int, deadline: float) -> None:
        # Nothing is taken from the buffer before a frame is whole, so a Timeout leaves the stream intact.
        while len(self.wire.buffer) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Timeout("the server said nothing more")
            self.wire.socket.settimeout(left)
            self.wire.fill()

    def close(self) -> None:
        self.wire.close()
