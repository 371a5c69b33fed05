"""A stretch of wire in front of the gateway, which remembers who came and what was asked for."""

from __future__ import annotations

import contextlib
import http.server
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

REQUEST = re.compile(rb"^[A-Z]+ (\S+) HTTP/1\.1\r$", re.MULTILINE)


class Relay(socketserver.ThreadingTCPServer):
    """Passes bytes on both ways. To a browser, each one is another origin. `below`: the path under which it has the
    gateway, as a reverse proxy may."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, gateway: str, below: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.lead_to(gateway)
        self.below = below
        self.port = self.server_address[1]
        self.received: list[bytearray] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.below}"

    def lead_to(self, gateway: str) -> None:
        """From now on, another one."""
        self.upstream = (urlsplit(gateway).hostname, urlsplit(gateway).port)

    @property
    def connections(self) -> int:
        return len(self.received)

    def asked(self) -> list[str]:
        """The path and query of each request so far."""
        return [path.decode() for received in self.received for path in REQUEST.findall(received)]


class _Connection(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        received = bytearray()
        self.server.received.append(received)
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(self.server.upstream) as upstream:
            back = threading.Thread(target=_pump, args=(upstream, self.request, bytearray()))
            back.start()
            _pump(self.request, upstream, received, f" {self.server.below}/".encode())
            back.join()


def _pump(source: socket.socket, target: socket.socket, received: bytearray, below: bytes = b" /") -> None:
    # Either side may go at any time, which then is the other side's end too.
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            received += data
            target.sendall(data.replace(below, b" /", 1))
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relay(gateway: str, below: str = "") -> Iterator[Relay]:
    with Relay(gateway, below) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Blank(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<p>")

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def blank_site() -> Iterator[str]:
    """The address of a page of nobody's, with no policy of any kind."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Blank) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
