"""HTTP as bytes on a socket: for what no client library would send, or would never be so slow about."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .gateway import TOKEN, Gateway

TIMEOUT_S = 20


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """Of the gateway's errors."""
        found: str = json.loads(self.body)["error"]["code"]
        return found


class Raw:
    """One connection; `host` is what a Host header has to say."""

    def __init__(self, url: str, source: str = "", receive_buffer: int = 0) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.host = parts.netloc
        self.sock = socket.socket(socket.AF_INET6 if ":" in parts.hostname else socket.AF_INET)
        self.sock.settimeout(TIMEOUT_S)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect((parts.hostname, parts.port))
        self._read = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def head(self, line: str, *headers: str, token: str | None = TOKEN) -> bytes:
        """A request up to its empty line."""
        lines = [f"{line} HTTP/1.1", f"Host: {self.host}", *headers]
        if token is not None:
            lines.append(f"Authorization: Bearer {token}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def ask(self, line: str, *headers: str, token: str | None = TOKEN, body: bytes = b"") -> Answer:
        if body:
            headers = (*headers, f"Content-Length: {len(body)}", "Content-Type: application/json")
        self.send(self.head(line, *headers, token=token) + body)
        return self.answer()

    def answer(self) -> Answer:
        """The next whole one, with a length. Raises EOFError when the connection ends before it."""
        head = self._until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = self._exactly(int(headers.get("content-length", "0")))
        return Answer(int(first.split()[1]), headers, body)

    def ended(self) -> bytes:
        """What still comes until the other side closes, however it does; fails with TimeoutError if it does not."""
        rest, self._read = self._read, b""
        with contextlib.suppress(ConnectionError):
            while data := self.sock.recv(65536):
                rest += data
        return rest

    def _until(self, end: bytes) -> bytes:
        while end not in self._read:
            self._more()
        head, _, self._read = self._read.partition(end)
        return head + end

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        body, self._read = self._read[:size], self._read[size:]
        return body

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise EOFError(self._read[:1000])
        self._read += data

    def close(self) -> None:
        self.sock.close()


@contextlib.contextmanager
def raw(gateway: Gateway, **options: Any) -> Iterator[Raw]:
    connection = Raw(gateway.url, **options)
    try:
        yield connection
    finally:
        connection.close()
