"""HTTP/1.1 over one kept-alive socket with TCP_NODELAY; the same client talks to kernelgw and to every peer."""

import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

RECV_SIZE = 1 << 18


class ConnectionEnded(Exception):
    """The server closed the connection in the middle of a message."""


class Timeout(Exception):
    """The server sent nothing for as long as we were told to wait."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


class Wire:
    """A buffered socket: the part that HTTP and WebSocket share."""

    def __init__(self, address: Address, timeout: float = 60.0, quick_ack: bool = False) -> None:
        self.socket = socket.create_connection((address.host, address.port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout = timeout
        self.buffer = bytearray()
        self._quick_ack = quick_ack

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def fill(self) -> None:
        try:
            data = self.socket.recv(RECV_SIZE)
        except TimeoutError as error:
            raise Timeout("the server said nothing more") from error
        if not data:
            raise ConnectionEnded
        if self._quick_ack:
            # Not sticky: the kernel falls back to delayed ACKs by itself, so it is set again after every read.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.buffer += data

    def take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self.fill()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def take_until(self, mark: bytes) -> bytes:
        start = 0
        while (found := self.buffer.find(mark, start)) < 0:
            start = max(0, len(self.buffer) - len(mark) + 1)
            self.fill()
        data = bytes(self.buffer[:found])
        del self.buffer[: found + len(mark)]
        return data

    def close(self) -> None:
        self.socket.close()


def read_head(wire: Wire) -> tuple[int, dict[str, str]]:
    lines = wire.take_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(lines[0].split(" ", 2)[1]), headers


class Http:
    """One connection, one request at a time."""

    def __init__(self, address: Address, token: str | None = None, timeout: float = 60.0) -> None:
        self.wire = Wire(address, timeout)
        self._address = address
        self._token = token
        self._common = f"Host: {address.host}:{address.port}\r\n"
        if token:
            self._common += f"Authorization: token {token}\r\n"

    def request(self, method: str, path: str, body: object = None, accept: str = "application/json") -> Response:
        self._send(method, path, body, accept)
        status, headers = read_head(self.wire)
        if status in (204, 304):
            return Response(status, headers, b"")
        return Response(status, headers, self._body(headers))

    def stream(self, method: str, path: str, body: object = None) -> "EventBytes":
        """Sends the request and returns once the head of a 200 answer is there; the body has not been read."""
        self._send(method, path, body, "text/event-stream")
        status, headers = read_head(self.wire)
        if status != 200 or headers.get("transfer-encoding") != "chunked":
            raise RuntimeError(f"{method} {path}: {status} {self._body(headers)[:300]!r}")
        return EventBytes(self.wire)

    def wait_at_most(self, seconds: float) -> None:
        """For the next bytes, from here on."""
        self.wire.timeout = seconds
        self.wire.socket.settimeout(seconds)

    def again(self) -> "Http":
        """Another connection to the same server."""
        return Http(self._address, self._token)

    def close(self) -> None:
        self.wire.close()

    def __enter__(self) -> "Http":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, method: str, path: str, body: object, accept: str) -> None:
        if self._ended():
            self.wire.close()
            self.wire = Wire(self._address, self.wire.timeout)
        head = f"{method} {path} HTTP/1.1\r\n{self._common}Accept: {accept}\r\n"
        if body is None:
            self.wire.send(f"{head}Content-Length: 0\r\n\r\n".encode())
            return
        data = orjson.dumps(body)
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        self.wire.send(head.encode() + data)

    def _ended(self) -> bool:
        """Servers close connections that were quiet for some seconds; every client looks before it sends."""
        readable, _, _ = select.select([self.wire.socket], [], [], 0)
        return bool(readable) and not self.wire.socket.recv(1, socket.MSG_PEEK)

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            return b"".join(EventBytes(self.wire))
        return self.wire.take(int(headers.get("content-length", "0")))


class EventBytes:
    """The body of a chunked answer, piece by piece; ends after the last chunk."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def __iter__(self) -> Iterator[bytes]:
        wire = self.wire
        while size := int(wire.take_until(b"\r\n").split(b";")[0], 16):
            yield wire.take(size + 2)[:-2]
        wire.take_until(b"\r\n")
