"""Servers outside of all sessions that know whom they were reached by: proof that somebody was there to be reached."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Canary:
    """HTTP on loopback. `seen` has the paths asked for; /to/URL redirects there, /size/N answers with N bytes."""

    def __init__(self, context: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self.seen: list[str] = []
        canary = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                canary.seen.append(self.path)
                kind, _, rest = self.path.removeprefix("/").partition("/")
                body = b"x" * int(rest) if kind == "size" else b"the canary sings"
                self.send_response(302 if kind == "to" else 200)
                if kind == "to":
                    self.send_header("Location", rest)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer((host, port), Handler)
        self.port = int(self._server.server_address[1])
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def unix_listener(address: str | Path) -> Iterator[socket.socket]:
    """Anybody may connect to it, as far as the file system is asked. An abstract one begins with NUL."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        if isinstance(address, Path):
            address.chmod(0o777)
        listener.listen()
        listener.setblocking(False)
        yield listener


def was_reached(listener: socket.socket) -> bool:
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return False
    connection.close()
    return True
