"""What every kernel of ours stands on: sockets adopted from outside, one output queue, an orderly end.

A kernel object is built first, in the fork server, with no transport. `attach` gives it one, and can do so
again in a later fork of the same kernel: nothing of the interpreter's state depends on the sockets.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

import zmq
from ipykernel.control import ControlThread
from jupyter_client.session import Session
from tornado.ioloop import IOLoop
from zmq.eventloop.zmqstream import ZMQStream

from .linux import fflush_all
from .output import Output
from .published import Published
from .retained import Retained
from .stream import Stream

# libzmq connects again after 0.1 to 0.2 s, each socket by itself: what a kernel says before a client's iopub is there
# again is missed, though its request came through. Other kernels take longer than that to start.
SETTLE_S = 0.25
# Seen by the gateway as the proof that its subscription stands; no first output is lost after it.
WELCOME = b"kernelgw.welcome"
# iopub messages that may wait inside libzmq; past it the output queue holds the writer back, drops nothing.
IOPUB_WATER_MARK = 5_000


class Chassis:
    """Carries one ipykernel `Kernel`. Used from the main thread."""

    def __init__(self, kernel: Any, log_fd: int) -> None:
        self.kernel = kernel
        self.log_fd = log_fd
        self.context: zmq.Context[Any] | None = None
        self.output: Output | None = None
        self._settle_s = 0.0

    def attach(self, listeners: Mapping[str, int | str], plain: Mapping[str, str] | None = None) -> None:
        """Takes over bound and listening unix sockets, by channel: shell, control, stdin, iopub; or connects to those
        at paths. `plain`: to be any Jupyter client's, with messages signed by its `key` and `signature_scheme`, and
        with a further channel, hb."""
        context = self.context = zmq.Context()
        # Built in the fork server, where it costs once; what tells sessions apart is new.
        session = self.kernel.session
        session.session = uuid.uuid4().hex
        session.pid = os.getpid()
        shell = self._adopt(context, zmq.ROUTER, listeners["shell"])
        control = self._adopt(context, zmq.ROUTER, listeners["control"])
        stdin = self._adopt(context, zmq.ROUTER, listeners["stdin"])
        self.output = Output(self._publisher(context, listeners["iopub"], plain), session)
        self.output.watch(int(control.get(zmq.FD)), lambda: self._open_control(control))
        if plain is None:
            session.output = self.output
        else:
            self._settle_s = SETTLE_S if plain["again"] else 0.0
            hb = int(listeners["hb"])
            self.output.watch(hb, lambda: self._answer_heartbeats(hb))
        self._connect_kernel(session, shell, stdin)
        self._redirect(self.output)
        faulthandler.enable(self.log_fd)

    def _publisher(
        self, context: zmq.Context[Any], listener: int | str, plain: Mapping[str, str] | None
    ) -> Retained | Published:
        iopub = context.socket(zmq.XPUB)
        iopub.setsockopt(zmq.XPUB_NODROP, 1)
        iopub.sndhwm = IOPUB_WATER_MARK
        if plain is None:
            iopub.setsockopt(zmq.XPUB_WELCOME_MSG, WELCOME)
            said: Retained | Published = Retained(iopub)
        else:
            session = self.kernel.session
            session.signature_scheme, session.key = plain["signature_scheme"], plain["key"].encode()
            said = Published(iopub, session)
        self._bind(iopub, listener)
        return said

    def _answer_heartbeats(self, listener: int) -> bool:
        """Called when somebody comes to ask; most never do. By a thread without Python, so that a cell whose C code
        computes for long still counts as alive; in a context of its own, which is never taken down."""
        hb = self._adopt(zmq.Context(), zmq.ROUTER, listener)
        threading.Thread(target=_echo, args=(hb,), name="Heartbeat", daemon=True).start()
        return True

    def _connect_kernel(self, session: Session, shell: Any, stdin: Any) -> None:
        kernel = self.kernel
        kernel.ident = str(uuid.uuid4())
        kernel.iopub_socket = self.output
        kernel.iopub_thread = self.output
        kernel.stdin_socket = stdin
        asyncio.set_event_loop(kernel.new_loop())
        kernel.shell_stream = ZMQStream(shell, IOLoop.current())
        if shell := getattr(kernel, "shell", None):
            self._connect_shell(session, shell)

    def _open_control(self, control: Any) -> bool:
        """Called when something happens on the control socket. The thread for it is started by the first
        message: most kernels never get one, and would carry a thread and an event loop for nothing."""
        if not control.get(zmq.EVENTS) & zmq.POLLIN:
            return False
        thread = ControlThread(daemon=True)
        kernel = self.kernel
        kernel.control_thread = thread
        kernel.control_stream = ZMQStream(control, thread.io_loop)
        kernel.control_stream.on_recv(kernel.dispatch_control, copy=False)
        thread.start()
        return True

    def _connect_shell(self, session: Session, shell: Any) -> None:
        for publisher, topic in ((shell.displayhook, "execute_result"), (shell.display_pub, "display_data")):
            publisher.session = session
            publisher.pub_socket = self.output
            publisher.topic = self.kernel._topic(topic)

    def _redirect(self, output: Output) -> None:
        sys.stdout = Stream(output, "stdout", 1)
        sys.stderr = Stream(output, "stderr", 2)
        self.kernel._stdout, self.kernel._stderr = sys.stdout, sys.stderr
        if shell := getattr(self.kernel, "shell", None):
            _attribute_threads(shell)
        self._leave = os._exit
        os._exit = self.leave  # type: ignore[assignment]
        os.register_at_fork(after_in_child=output.become_child)
        output.start()

    def end_of_request(self) -> None:
        """Before a request counts as done: what C code wrote during it belongs to it."""
        if self.output is not None:
            fflush_all()
            self.output.drain_pipes()

    def is_kernel(self) -> bool:
        """False in a process that user code forked."""
        return self.output is None or self.output.mine()

    def leave(self, code: int) -> None:
        """os._exit for user code: what was printed before it still arrives."""
        if self.is_kernel():
            self._finish()
        else:
            sys.stdout.flush()
            sys.stderr.flush()
        self._leave(code)

    def die(self, number: int) -> None:
        """Ends as the program did by which it spoke: by this signal, once everything has arrived."""
        self._finish()
        faulthandler.disable()
        signal.signal(number, signal.SIG_DFL) if number not in (signal.SIGKILL, signal.SIGSTOP) else None
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)

    def serve(self) -> int:
        """Runs the kernel until it is told to leave; returns the exit code."""
        loop = IOLoop.current()
        self._wake_on_signals(asyncio.get_event_loop())
        time.sleep(self._settle_s)
        self.kernel.start()
        while True:
            try:
                loop.start()
                break
            except KeyboardInterrupt:
                # An interrupt that came a moment after its cell had ended.
                continue
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        atexit._run_exitfuncs()
        self._finish()
        return 0

    def _finish(self) -> None:
        """Sends everything and waits until libzmq has handed it over."""
        if self.output is None or self.context is None:
            return
        self.output.finish(self.context)
        if not self.output.thread.is_alive():
            self.context.destroy(linger=1000 * self.output.leave_s)

    @staticmethod
    def _wake_on_signals(loop: asyncio.AbstractEventLoop) -> None:
        """An interrupt of an awaiting cell is a callback in the loop, which would sleep on without this."""
        readable, writable = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        loop.add_reader(readable, os.read, readable, 4096)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)

    @staticmethod
    def _bind(socket: Any, listener: int | str) -> None:
        if isinstance(listener, str):
            socket.connect(f"ipc://{listener}")
            return
        socket.setsockopt(zmq.USE_FD, listener)
        # The name is only for show: the socket is bound outside, and no path leads to it from in here.
        socket.bind("ipc:///kernel")

    def _adopt(self, context: zmq.Context[Any], kind: int, listener: int | str) -> Any:
        socket = context.socket(kind)
        socket.linger = 1000
        socket.router_handover = 1
        self._bind(socket, listener)
        return socket


def _echo(socket: Any) -> None:
    while True:
        with contextlib.suppress(zmq.error.InterruptedSystemCall):
            zmq.proxy(socket, socket)


def _attribute_threads(shell: Any) -> None:
    """What a thread says belongs to the cell that started it, also when another cell runs by then."""
    start = threading.Thread.start

    def attributed(thread: threading.Thread) -> None:
        parent, run = shell.parent_header, thread.run

        def with_parent() -> None:
            shell.set_thread_parent(parent)
            run()

        if parent:
            thread.run = with_parent  # type: ignore[method-assign]
        start(thread)

    threading.Thread.start = attributed  # type: ignore[method-assign, assignment]
