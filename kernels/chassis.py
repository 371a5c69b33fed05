"""What every kernel of ours stands on: sockets adopted from outside, one output queue, an orderly end.

A kernel object is built first, in the fork server, with no transport. `attach` gives it one, and can do so
again in a later fork of the same kernel: nothing of the interpreter's state depends on the sockets.
"""

from __future__ import annotations

import asyncio
import atexit
import faulthandler
import os
import signal
import sys
import uuid
from collections.abc import Mapping
from typing import Any

import zmq
from ipykernel.control import ControlThread
from jupyter_client.session import Session
from tornado.ioloop import IOLoop
from zmq.eventloop.zmqstream import ZMQStream

from .linux import fflush_all
from .output import Output, Stream

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

    def attach(self, listeners: Mapping[str, int]) -> None:
        """Takes over bound and listening unix sockets, by channel: shell, control, stdin, iopub."""
        context = self.context = zmq.Context()
        session = Session(key=b"", username="kernel")
        session.digest_history_size = 0
        shell = self._adopt(context, zmq.ROUTER, listeners["shell"])
        control = self._adopt(context, zmq.ROUTER, listeners["control"])
        stdin = self._adopt(context, zmq.ROUTER, listeners["stdin"])
        iopub = context.socket(zmq.XPUB)
        iopub.setsockopt(zmq.XPUB_WELCOME_MSG, WELCOME)
        iopub.setsockopt(zmq.XPUB_NODROP, 1)
        iopub.sndhwm = IOPUB_WATER_MARK
        self._bind(iopub, listeners["iopub"])
        self.output = Output(iopub, session, self.log_fd)
        self._connect_kernel(session, shell, control, stdin)
        self._redirect(self.output)
        faulthandler.enable(self.log_fd)

    def _connect_kernel(self, session: Session, shell: Any, control: Any, stdin: Any) -> None:
        kernel = self.kernel
        thread = ControlThread(daemon=True)
        kernel.session = session
        kernel.ident = str(uuid.uuid4())
        kernel.control_thread = thread
        kernel.iopub_socket = self.output
        kernel.iopub_thread = self.output
        kernel.stdin_socket = stdin
        asyncio.set_event_loop(asyncio.new_event_loop())
        kernel.shell_stream = ZMQStream(shell, IOLoop.current())
        kernel.control_stream = ZMQStream(control, thread.io_loop)
        self._connect_shell(session)
        thread.start()

    def _connect_shell(self, session: Session) -> None:
        shell = self.kernel.shell
        for publisher, topic in ((shell.displayhook, "execute_result"), (shell.display_pub, "display_data")):
            publisher.session = session
            publisher.pub_socket = self.output
            publisher.topic = self.kernel._topic(topic)

    def _redirect(self, output: Output) -> None:
        sys.stdout = Stream(output, "stdout", 1)
        sys.stderr = Stream(output, "stderr", 2)
        self.kernel._stdout, self.kernel._stderr = sys.stdout, sys.stderr
        self._leave = os._exit
        os._exit = self._exit  # type: ignore[assignment]
        os.register_at_fork(after_in_child=output.become_child)
        output.start()

    def end_of_request(self) -> None:
        """Before a request counts as done: what C code wrote during it belongs to it."""
        if self.output is not None:
            fflush_all()
            self.output.drain_pipes()

    def _exit(self, code: int) -> None:
        """os._exit for user code: what was printed before it still arrives."""
        if self.output is not None and self.output.mine():
            self.output.finish(self.context)
        self._leave(code)

    def serve(self) -> int:
        """Runs the kernel until it is told to leave; returns the exit code."""
        loop = IOLoop.current()
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
        if self.output is not None:
            self.output.finish(self.context)
        return 0

    @staticmethod
    def _bind(socket: Any, listener: int) -> None:
        socket.setsockopt(zmq.USE_FD, listener)
        # The name is only for show: the socket is bound outside, and no path leads to it from in here.
        socket.bind("ipc:///kernel")

    def _adopt(self, context: zmq.Context[Any], kind: int, listener: int) -> Any:
        socket = context.socket(kind)
        socket.linger = 1000
        socket.router_handover = 1
        self._bind(socket, listener)
        return socket
