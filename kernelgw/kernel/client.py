"""The one set of sockets that the gateway has to a kernel, however many people look at it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from . import wire, zmtp
from .listeners import connectable

WELCOME = b"kernelgw.welcome"
# A kernel whose native code holds the interpreter does not answer, and could not be interrupted by a signal either.
INTERRUPT_S = 5.0
# What kernels/retained.py hears by iopub.
SUBSCRIBE, CONFIRMED, RESUME = b"\x01", b"\x02", b"\x03"
# The kernel is told what it need not keep any longer: at the latest after so many messages, bytes, or seconds.
CONFIRM_MESSAGES, CONFIRM_BYTES, CONFIRM_S = 256, 1 << 20, 0.5
LONGEST_NUMBER = 20
DRAIN_S = 30.0
log = logging.getLogger("kernelgw.kernel")


class Listener(Protocol):
    """Who gets what a kernel says, in order: outputs, replies to cells, questions. Called in the event loop. `number`:
    the message's; what has been made of it may be confirmed by `KernelClient.confirm`."""

    def on_iopub(self, message: wire.Message, number: int) -> None: ...


class KernelClient:
    """Channels of one kernel. Messages that arrive while nobody listens are dropped. `tap`: given every message too,
    after the listener, with the name of the channel that it came by."""

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.tap: Callable[[str, wire.Message], None] | None = None
        self.on_lost: Callable[[], None] = lambda: None
        self.session = uuid.uuid4().hex
        self._peers: dict[str, zmtp.Peer] = {}
        self._welcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lost = asyncio.Event()
        self._listens = True
        self._doors: dict[str, asyncio.Task[None]] = {}
        self._interrupted: asyncio.Future[None] | None = None
        # Numbers of the kernel's messages: the last that came, that may be confirmed, that was.
        self.taken = 0
        self._confirmable = 0
        self._confirmed = 0
        self._unconfirmed_bytes = 0
        self._confirm_later: asyncio.TimerHandle | None = None
        self._closed = False

    async def connect(self, directory: Path) -> None:
        """Connects to the listeners there; they may be adopted by the kernel later. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._make_peers()
        for channel, peer in self._peers.items():
            with connectable(directory / channel) as path:
                await loop.create_unix_connection(lambda peer=peer: peer, path)  # type: ignore[misc]

    async def accept(self, listeners: Mapping[str, socket.socket]) -> None:
        """Lets the kernel connect instead: the first on each channel is the kernel, which runs no user code before."""
        self._make_peers()
        for channel, listener in listeners.items():
            self._doors[channel] = asyncio.create_task(self._admit(channel, listener))

    async def _admit(self, channel: str, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            listener.setblocking(False)
            connection, _ = await loop.sock_accept(listener)
        await loop.connect_accepted_socket(lambda: self._peers[channel], connection)

    def _make_peers(self) -> None:
        for channel, kind, handler in (
            ("shell", "DEALER", self._on_shell),
            ("stdin", "DEALER", self._ignore),
            ("control", "DEALER", self._on_control),
            ("iopub", "SUB", self._on_iopub),
        ):
            lost = partial(self._on_lost, channel)
            self._peers[channel] = zmtp.Peer(kind, _guarded(handler), lost, self.session.encode())
        self._peers["iopub"].send([SUBSCRIBE])

    async def welcomed(self) -> None:
        """Returns when the kernel has our subscription: from then on no output is missed."""
        await asyncio.shield(self._welcome)
        if self._doors:
            # All of them, before any code runs that could come to one first.
            await asyncio.wait(self._doors.values())

    async def drained(self, timeout: float) -> None:
        """Waits until the kernel's output has ended, as it does when its process has; or until nothing more of it has
        come for `timeout` seconds, but no longer than a stray copy of its sockets could hold the news up."""
        known, until = -1, time.monotonic() + DRAIN_S
        while not self._lost.is_set() and (known != self.taken or not self._listens) and time.monotonic() < until:
            known = self.taken
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), timeout)
        if not self._lost.is_set():
            log.debug("output of an ended kernel stayed open")

    def send(
        self,
        channel: str,
        msg_type: str,
        msg_id: str,
        content: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._peers[channel].send(wire.encode(msg_type, msg_id, self.session, content, metadata))

    def relay(self, channel: str, raw: Sequence[bytes]) -> None:
        """A message as somebody else wrote it: header, parent header, metadata, content, buffers."""
        self._peers[channel].send([wire.DELIMITER, b"", *raw])

    async def room(self, channel: str) -> None:
        """Returns when the kernel has taken most of what was sent to it, or is gone."""
        await self._peers[channel].room()

    def execute(self, msg_id: str, code: str, allow_stdin: bool, metadata: Mapping[str, Any]) -> None:
        """`metadata`: what our kernels read there, see `Execution.as_metadata`."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": allow_stdin,
            "stop_on_error": False,
        }
        self.send("shell", "execute_request", msg_id, content, metadata)

    def answer_input(self, value: str) -> None:
        self.send("stdin", "input_reply", uuid.uuid4().hex, {"value": value})

    async def interrupt(self) -> None:
        """By a message, which the kernel answers once it has signalled itself and what it started."""
        self._interrupted = asyncio.get_running_loop().create_future()
        self.send("control", "interrupt_request", uuid.uuid4().hex, {})
        await asyncio.wait_for(self._interrupted, INTERRUPT_S)

    def resume(self, taken: int = 0) -> None:
        """From now on the kernel may say what comes after this message of its own; it says nothing before."""
        self.taken = taken
        self._peers["iopub"].send([RESUME + b"%d" % taken])

    def confirm(self, number: int) -> None:
        """The kernel need not keep its messages up to this one. It hears so soon, not each time."""
        self._confirmable = number
        if self._closed:
            return
        if number - self._confirmed >= CONFIRM_MESSAGES or self._unconfirmed_bytes >= CONFIRM_BYTES:
            self._confirm()
        elif self._confirm_later is None and number > self._confirmed:
            self._confirm_later = asyncio.get_running_loop().call_later(CONFIRM_S, self._confirm)

    def _confirm(self) -> None:
        if self._confirm_later is not None:
            self._confirm_later.cancel()
            self._confirm_later = None
        self._confirmed, self._unconfirmed_bytes = self._confirmable, 0
        self._peers["iopub"].send([CONFIRMED + b"%d" % self._confirmable])

    def listen(self, whether: bool) -> None:
        """Whether more of its output is read."""
        self._listens = whether
        self._peers["iopub"].listen(whether)

    def close(self) -> None:
        self._closed = True
        if self._confirm_later is not None:
            self._confirm_later.cancel()
            self._confirm_later = None
        for door in self._doors.values():
            door.cancel()
        for peer in self._peers.values():
            peer.close()
        if self._interrupted is not None and not self._interrupted.done():
            self._interrupted.set_exception(ConnectionError("the kernel ended before it was interrupted"))
        if not self._welcome.done():
            self._welcome.set_exception(ConnectionError("the kernel ended before it was ready"))
            self._welcome.exception()

    def _on_lost(self, channel: str) -> None:
        if channel == "iopub":
            self._lost.set()
        self.on_lost()

    def _on_iopub(self, frames: list[bytes]) -> None:
        if len(frames) == 1 and frames[0] == WELCOME:
            if not self._welcome.done():
                self._welcome.set_result(None)
            return
        number = _number(frames[0])
        if 0 < number <= self.taken:
            return
        self.taken = number or self.taken
        self._unconfirmed_bytes += sum(map(len, frames))
        if self.listener is not None:
            message = wire.decode(frames)
            self.listener.on_iopub(message, number)
            if self.tap is not None:
                self.tap("iopub", message)
        else:
            self.confirm(self.taken)

    def _ignore(self, frames: list[bytes]) -> None:
        """Whatever is of interest comes by iopub."""

    def _on_shell(self, frames: list[bytes]) -> None:
        if self.tap is not None:
            self.tap("shell", wire.decode(frames))

    def _on_control(self, frames: list[bytes]) -> None:
        message = wire.decode(frames)
        waiting = self._interrupted
        if message.msg_type == "interrupt_reply" and waiting is not None and not waiting.done():
            waiting.set_result(None)
        if self.tap is not None:
            self.tap("control", message)


def _number(frame: bytes) -> int:
    """0 for none."""
    return int(frame[1:]) if frame[:1] == b"#" and frame[1:].isdigit() and len(frame) < LONGEST_NUMBER else 0


def _guarded(handler: Callable[[list[bytes]], None]) -> Callable[[list[bytes]], None]:
    """A kernel may say anything; what cannot be understood is dropped and must not cost the connection."""

    wrong = 0

    def handle(frames: list[bytes]) -> None:
        nonlocal wrong
        try:
            handler(frames)
        except Exception as error:
            wrong += 1
            # The 1st, the 2nd, the 4th …: a kernel must not fill the log either.
            if wrong & (wrong - 1) == 0:
                unforeseen = None if isinstance(error, wire.Undecodable) else error
                log.warning("dropped message %d of a kernel's: %s", wrong, error, exc_info=unforeseen)

    return handle
