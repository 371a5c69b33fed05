"""One queue for all that a kernel says, so that order is kept between print, stderr, displays and C code.

Writers only append; a single thread gathers, merges and sends. That thread owns the socket, because a
signal handler that raises in the middle of a multipart send would tear the message in two.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import select
import termios
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq
from jupyter_client.session import Session

from .advice import Advice
from .linux import fflush_all
from .published import Published
from .retained import Retained

# Text waits this long for more of its kind; the first piece after a pause does not wait.
GATHER_S = 0.03
# A writer that is this far ahead of the sending thread is held back.
MOST_QUEUED = 20_000
LARGEST_TEXT = 1 << 18
LARGE = 1 << 16
# The thread that sends, and the one by which a kernel is interrupted.
NEVER_HELD_BACK = frozenset({"Output", "Control"})
# The gateway takes a little more, and closes the connection of a kernel that sends beyond that.
LARGEST_MESSAGE = 48 << 20
TOO_LARGE = f"[an output was left out: larger than {LARGEST_MESSAGE >> 20} MiB]\n"
PIPE_READ = 1 << 16
HEARD_MS = 100
HELD_S = 0.1
# What nobody has heard yet is kept at the end for so long, as the fork server waits for a gateway.
ALONE_S = 900.0
MOST_READS = 16
LONGEST_UNFINISHED = 500
# So long the beginning of a printed line waits for its end, which `print` writes by itself, and so does what programs
# write meanwhile.
LINE_S, LINE_POLL_S = 0.05, 0.0005
# Who prints looks first for what programs and C code wrote before; after so many looks in vain not each time any more.
NOTHING = bytes(4)
LOOKS, LOOK_EVERY_S = 32, 200e-6

Header = dict[str, Any]


class _Thread(threading.Thread):
    """A debugger that holds all threads leaves this one alone: by it the client hears that they are held."""

    pydev_do_not_trace = True
    is_pydev_daemon_thread = True


class Output:
    """The iopub socket of a kernel as everybody else sees it: `send_multipart` and text by stream name."""

    def __init__(self, said: Retained | Published, session: Session) -> None:
        self._said = said
        self._session = session
        self._pid = os.getpid()
        self._queue: deque[tuple[str, Any, Any]] = deque()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._awake = False
        self._room = threading.Condition()
        # Called when who writes is held back for longer than a moment, and when that is over.
        self.holds: Callable[[bool], None] = lambda _: None
        self._closing: zmq.Context[Any] | None = None
        self._watched: dict[int, Callable[[], bool]] = {}
        self._pipes: dict[int, str] = {}
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}
        self._pipe_lock = threading.RLock()
        self._held_back = 0
        self._mid_line = False
        self._line_until = 0.0
        self._in_vain = 0
        self._look_at = 0.0
        # What programs have written since their last line ended: what is asked, when one of them reads.
        self.unfinished = ""
        self._thread = _Thread(target=self._run, name="Output", daemon=True)
        self.parent: Header = {}
        self._advice = Advice.of(os.environ)
        self.thread = self._thread
        for name, fd in (("stdout", 1), ("stderr", 2)):
            read, write = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(read, False)
            os.dup2(write, fd, inheritable=True)
            os.close(write)
            self._pipes[read] = name
            self._decoders[read] = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def leave_s(self) -> int:
        """For what is on its way, when the kernel ends."""
        return self._said.leave_s

    def start(self) -> None:
        self.watch(int(self._said.fd), self._hear)
        self._thread.start()

    def _hear(self) -> bool:
        self._said.hear()
        return False

    def watch(self, fd: int, opened: Callable[[], bool]) -> None:
        """Calls `opened`, in the thread, when `fd` is readable, until it returns True. Before `start`."""
        self._watched[fd] = opened

    def mine(self) -> bool:
        """False in a process that user code forked."""
        return self._pid == os.getpid()

    def become_child(self) -> None:
        """After a fork by user code: the thread is not here, so text goes to the pipes that the kernel reads."""
        self._pid = -1

    # what writers call

    def text(self, name: str, parent: Header, text: str) -> None:
        # What is begun of a line is not torn by what a program goes on writing.
        if not self._mid_line:
            now = time.monotonic()
            if now >= self._look_at:
                self._catch_up()
            self._line_until = now + LINE_S
        self._mid_line = not text.endswith("\n")
        self._queue.append((name, parent, text))
        if not self._awake:
            self._ring()
        self._hold_back(len(text))

    def send_multipart(self, parts: list[Any], *_: Any, **__: Any) -> None:
        if not self.mine():
            return
        size = sum(memoryview(part).nbytes for part in parts)
        if size > LARGEST_MESSAGE:
            self.text("stderr", self.parent, TOO_LARGE)
            return
        self._mid_line = False
        self._catch_up()
        self._queue.append(("", None, parts))
        self._ring()
        self._hold_back(size)

    def send(self, part: Any, *_: Any, **__: Any) -> None:
        self.send_multipart([part])

    def flush(self) -> None:
        """Sends soon what is queued. Needs no waiting: whatever is queued later arrives later."""
        if self._queue and self._queue[-1][0]:
            self._queue.append(("", None, None))
            self._ring()

    def drain_pipes(self) -> None:
        """Queues what C code and subprocesses have written so far. For writers, whose line is not waited for."""
        self._mid_line = False
        self._drain()

    def _drain(self) -> None:
        with self._pipe_lock:
            for fd, name in self._pipes.items():
                # Bounded: a background process may write faster than this can read.
                for _ in range(MOST_READS):
                    data = self._read(fd)
                    if not data:
                        break
                    self._in_vain, self._look_at = 0, 0.0
                    item = (name, self.parent, self._decoders[fd].decode(data))
                    self._leave_unfinished(item[2])
                    self._wait_for_line()
                    self._queue.append(item)

    def _leave_unfinished(self, text: str) -> None:
        _, ended, rest = text.rpartition("\n")
        self.unfinished = (rest if ended else self.unfinished + rest)[-LONGEST_UNFINISHED:]

    def _wait_for_line(self) -> None:
        while self._mid_line and time.monotonic() < self._line_until:
            time.sleep(LINE_POLL_S)

    def _catch_up(self) -> None:
        """What is in the pipes was written before what is to be queued now."""
        # Under the lock, since the thread may have read what it has not queued yet.
        with self._pipe_lock:
            waiting = any(fcntl.ioctl(fd, termios.FIONREAD, b"0000") != NOTHING for fd in self._pipes)
        if waiting:
            self._drain()
            return
        self._in_vain += 1
        if self._in_vain >= LOOKS:
            self._look_at = time.monotonic() + LOOK_EVERY_S

    def finish(self, context: zmq.Context[Any] | None) -> None:
        """Sends everything, waits until libzmq has handed it over, and stops the thread. For as long as it takes a busy
        gateway, or one may take to come back."""
        fflush_all()
        self.drain_pipes()
        self._closing = context
        self._ring()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=self.leave_s if self._said.listening else ALONE_S)

    def _ring(self) -> None:
        self._awake = True
        os.eventfd_write(self._wake, 1)

    def _hold_back(self, size: int) -> None:
        """Who is far ahead waits, by number; so does who writes much at once, until it has been taken; and everybody,
        once nobody has heard what was said so far."""
        if len(self._queue) <= MOST_QUEUED and size < LARGE and not self._said.full:
            return
        if threading.current_thread().name in NEVER_HELD_BACK:
            return
        most = 1 if size >= LARGE else MOST_QUEUED // 2
        with self._room:
            self._held_back += 1
            try:
                while (len(self._queue) > most or self._said.full) and self._thread.is_alive():
                    self._ring()
                    if not self._room.wait(HELD_S):
                        self.holds(True)
            finally:
                self._held_back -= 1
                self.holds(False)

    @staticmethod
    def _read(fd: int) -> bytes:
        try:
            return os.read(fd, PIPE_READ)
        except BlockingIOError:
            return b""

    # the thread

    def _run(self) -> None:
        poll = select.poll()
        for fd in (self._wake, *self._pipes, *self._watched):
            poll.register(fd, select.POLLIN)
        sent_at = 0.0
        while self._closing is None:
            self._take(poll, poll.poll())
            self._gather(poll, sent_at + GATHER_S)
            self._awake = False
            if self._queue:
                if not self._held_back:
                    self._wait_for_line()
                self._send_all()
                sent_at = time.monotonic()
        self._send_all()
        until = time.monotonic() + ALONE_S
        while not self._said.listening and not self._said.confirmed and time.monotonic() < until:
            poll.poll(1000)
            self._said.hear()
            self._send_all()
        self._said.close()

    def _take(self, poll: select.poll, ready: list[tuple[int, int]]) -> None:
        for fd, _ in ready:
            if fd == self._wake:
                os.eventfd_read(fd)
            elif fd in self._pipes:
                self._drain()
            elif self._watched[fd]():
                poll.unregister(fd)
                del self._watched[fd]

    def _gather(self, poll: select.poll, until: float) -> None:
        """Lets text pile up until then, unless something that should not wait is behind it.

        While awake, writers of text do not ring: only messages, flushes and a full queue do.
        """
        while self._only_text() and (left := until - time.monotonic()) > 0:
            self._take(poll, poll.poll(left * 1000))

    def _only_text(self) -> bool:
        queue = self._queue
        if self._held_back:
            return False
        return bool(queue) and bool(queue[-1][0]) and self._closing is None and len(queue) < MOST_QUEUED // 4

    def _send_all(self) -> None:
        self._send_queued()
        # Sending may have taken in, unnoticed, that there is something to hear.
        while self._said.hear():
            self._send_queued()
        with self._room:
            self._room.notify_all()

    def _send_queued(self) -> None:
        queue = self._queue
        while queue and not self._said.full:
            name, parent, item = queue.popleft()
            if name:
                pieces, size = [item], len(item)
                while queue and queue[0][0] == name and queue[0][1] is parent and size < LARGEST_TEXT:
                    piece = queue.popleft()[2]
                    pieces.append(piece)
                    size += len(piece)
                self._send_text(name, parent, "".join(pieces))
            elif item is not None:
                self._said.send(item)

    def _send_text(self, name: str, parent: Header, text: str) -> None:
        self._send_pieces(name, parent, text)
        if advice := self._advice.on(text, parent):
            self._send_pieces("stderr", parent, advice)

    def _wait_to_be_heard(self) -> None:
        """In the middle of a text that is larger than all that may be unheard."""
        poll = select.poll()
        poll.register(self._said.fd, select.POLLIN)
        while self._said.full and self._closing is None:
            poll.poll(HEARD_MS)
            self._said.hear()

    def _send_pieces(self, name: str, parent: Header, text: str) -> None:
        for start in range(0, len(text), LARGEST_TEXT):
            content = {"name": name, "text": text[start : start + LARGEST_TEXT]}
            self._wait_to_be_heard()
            message = self._session.msg("stream", content, parent=parent)
            self._said.send([b"stream." + name.encode(), *self._session.serialize(message)])
