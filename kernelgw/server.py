"""`kernelgw serve`: the socket, the lock on the data directory, the announcement, the orderly end."""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import json
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from .api.connection import Limits, connections
from .api.guard import Guard
from .api.peers import Door
from .api.sockets import Socket
from .app import create_app, leave_sessions, running
from .errors import GatewayError
from .hardening import hide
from .settings import RUNNING, BadSetting, Settings

# Descriptors of the gateway itself, and of each live session: its kernel's sockets, pipes, pidfd and cgroup.
OWN_FILES = 128
SESSION_FILES = 16
log = logging.getLogger("kernelgw.server")


def serve(settings: Settings) -> int:
    """Runs until a signal. Raises BadSetting, GatewayError."""
    # Before it holds a token or anybody's output.
    hide()
    try:
        settings.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise BadSetting(f"data_dir cannot be {settings.data_dir}: {error.strerror}") from None
    lock = _lock(settings.data_dir)
    sock = _bind(settings.host, settings.port)
    # The real one, which no session may reach, in place of 0.
    settings = dataclasses.replace(settings, port=sock.getsockname()[1])
    app = create_app(settings)
    url = f"http://{_shown(settings.host)}:{sock.getsockname()[1]}"
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=connections(
            Limits(settings.max_header_bytes, settings.head_timeout_s, settings.body_timeout_s),
            Door(_room(settings), settings.max_strangers),
        ),
        ws=Socket,
        ws_max_size=settings.max_body_bytes,
        # A few bytes could be a flood once they are unpacked.
        ws_per_message_deflate=False,
        timeout_keep_alive=settings.keep_alive_s,
        # Anybody could say by a header to be anybody.
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=3,
        # Run by us instead, so that a reason not to start reaches the caller as what it is.
        lifespan="off",
    )
    server = _Server(config, app, settings, url)
    try:
        server.run(sockets=[sock])
    finally:
        (settings.data_dir / RUNNING).unlink(missing_ok=True)
        os.close(lock)
    return 0 if server.started else 1


class _Server(uvicorn.Server):
    """Says that it is there once it really is: after the lifespan has started everything."""

    def __init__(self, config: uvicorn.Config, app: Guard, settings: Settings, url: str) -> None:
        super().__init__(config)
        self._app = app
        self._settings = settings
        self._url = url
        self._interrupted = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        async with running(self._app):
            await super().serve(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would die of the signal again afterwards, before what is ours to clean up.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        # Who presses Ctrl-C wants it all to end; a service manager may be about to start us again.
        self._interrupted = self._interrupted or number == signal.SIGINT
        self.handle_exit(number, None)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await leave_sessions(self._app, self._settings.on_stop == "keep" and not self._interrupted)
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        _leave_address(self._settings, self._url)
        print(f"\n  kernelgw is running: {self._url}/?token={self._settings.token}\n", flush=True)
        if self._settings.isolation == "none":
            print("  WARNING: --isolation none: code runs as this user, unprotected.\n", file=sys.stderr, flush=True)


def _leave_address(settings: Settings, url: str) -> None:
    """For `kernelgw run` of the same user; nobody else may read the token."""
    path = settings.data_dir / RUNNING
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_text(json.dumps({"url": url, "token": settings.token, "pid": os.getpid()}))


def _room(settings: Settings) -> int:
    """How many connections there can be, with descriptors left for the sessions. Raises the limit where it may."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    left = most - OWN_FILES - SESSION_FILES * settings.max_sessions
    if most == resource.RLIM_INFINITY or left >= settings.max_connections:
        return settings.max_connections
    room = max(16, left)
    log.warning("only %d connections, as this user may open only %d files (ulimit -Hn)", room, most)
    return room


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise BadSetting(f"cannot listen on {host} port {port}: {error.strerror}") from None
    sock.listen(2048)
    return sock


def _lock(data_dir: Path) -> int:
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise GatewayError(
            f"Another gateway uses {data_dir}.", "Stop it, or give this one its own with --data-dir."
        ) from None
    return descriptor


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
