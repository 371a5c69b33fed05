"""ipykernel's debugger in a kernel that was forked: debugpy in the kernel's own process, reached over its loopback.

There is nothing of it in a kernel that nobody debugs: no socket, no port, no tracing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from enum import Enum
from types import FrameType
from typing import Any

import zmq
from ipykernel import debugger
from ipykernel.compiler import get_tmp_directory
from IPython.core.getipython import get_ipython
from tornado.ioloop import IOLoop
from zmq.eventloop.zmqstream import ZMQStream

LOOPBACK = "127.0.0.1"
# The main thread has something else to do when it has not begun by then; its adapter takes half a second to start.
BUSY_S, LISTEN_S = 0.5, 30.0
# Between two tries to interrupt what the debugger has held: it looks five times a second whether it may go on.
RETRY_S = 0.02
Handler = Callable[[int, FrameType | None], Any]


class Client(debugger.DebugpyClient):
    """debugpy's. One that refuses to be attached to says so at once; ipykernel's would wait for what never comes, and
    nothing else could be asked of the kernel by its control channel meanwhile."""

    async def _handle_init_sequence(self) -> Any:
        first = asyncio.ensure_future(self._wait_for_response())
        ready = asyncio.ensure_future(self.init_event.wait())
        await asyncio.wait({first, ready}, return_when=asyncio.FIRST_COMPLETED)
        if first.done():
            ready.cancel()
            return first.result()
        self._send_request({"type": "request", "seq": int(self.init_event_seq) + 1, "command": "configurationDone"})
        await first
        return await self._wait_for_response()


class Debugger(debugger.Debugger):
    """Used in the control thread alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.debugpy_initialized = False
        self.debugpy_client = Client(self.log, None, self._handle_event)
        self._turn = asyncio.Lock()

    def start(self) -> bool:
        kernel = get_ipython().kernel
        kernel.interrupts.traced = True
        main = kernel.shell_stream.io_loop.asyncio_loop
        if self.debugpy_initialized:
            _once(main, _trace_all)
        else:
            os.makedirs(get_tmp_directory(), mode=0o700, exist_ok=True)
            self.debugpy_client.debugpy_port = str(_once(main, _listen))
            self._open(kernel)
            self.debugpy_initialized = True
        self._asked_without, sys.breakpointhook = sys.breakpointhook, _breakpoint()
        return bool(super().start())

    def stop(self) -> None:
        # Whoever wants it off may not have turned it on.
        if self.is_started:
            sys.breakpointhook = self._asked_without
            get_ipython().kernel.interrupts.traced = False
            super().stop()

    def _open(self, kernel: Any) -> None:
        socket = kernel.chassis.context.socket(zmq.STREAM)
        socket.linger = 0
        kernel.debugpy_stream = self.debugpy_client.debugpy_stream = ZMQStream(socket, IOLoop.current())
        kernel.debugpy_stream.on_recv(kernel.dispatch_debugpy, copy=False)
        self._polling = asyncio.ensure_future(kernel.poll_stopped_queue())
        kernel.interrupts.spare(asyncio.get_running_loop())

    async def _forward_message(self, msg: Any) -> Any:
        # The next response is taken for the one that is waited for, and what has stopped is asked about at any time.
        async with self._turn:
            return await super()._forward_message(msg)


def _breakpoint() -> Callable[..., Any]:
    """debugpy's own, called by nothing of ours: it stops in whatever calls it."""
    import debugpy

    return debugpy.breakpoint


def _listen() -> int:
    """The port at which debugpy listens from now on. Raises RuntimeError."""
    import debugpy

    # Whatever the code starts would wait for somebody to debug it.
    debugpy.configure(subProcess=False)
    return int(debugpy.listen((LOOPBACK, 0))[1])


def _trace_all() -> None:
    import pydevd  # type: ignore[import-not-found]

    db = pydevd.get_global_debugger()
    db.enable_tracing(db.trace_dispatch, apply_to_all_threads=True)


def _once(main: asyncio.AbstractEventLoop, action: Callable[[], int | None]) -> int | None:
    """What comes of an action that is done in the main thread if that is free, as debugpy would have it; while a cell
    runs in another, so that who wants to look into it need not wait for its end."""
    result: Future[int | None] = Future()
    begun = threading.Lock()

    def act() -> None:
        if begun.acquire(blocking=False):
            try:
                result.set_result(action())
            except BaseException as error:
                result.set_exception(error)

    main.call_soon_threadsafe(act)
    try:
        return result.result(BUSY_S)
    except TimeoutError:
        threading.Thread(target=act, daemon=True).start()
        return result.result(LISTEN_S)


class Held(Enum):
    """What an interrupt finds the main thread at: held, or in the debugger's code; evaluating something for it."""

    WAITS = 1
    EVALUATES = 2


class Spared:
    """An interrupt that hit the debugger's own code would be lost there, or end all tracing; one of an awaiting cell
    waits for a loop that is held. So what the debugger holds goes on first, past all breakpoints, and is hit then.

    Used in the main thread, and `spare` in the one that is given."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        # Whether an interrupt is still to hit, and whether nothing is to be held until this request is over.
        self._owed = self._passes = False
        self.traced = False

    def spare(self, loop: asyncio.AbstractEventLoop) -> None:
        """There is a debugger now. `loop`: of a thread that it never holds."""
        import pydevd

        suspend = pydevd.PyDB.do_wait_suspend

        def do_wait_suspend(db: Any, thread: threading.Thread, *args: Any, **kwargs: Any) -> None:
            mine = thread is threading.main_thread()
            if mine and (self._owed or self._passes):
                _resume()
            else:
                suspend(db, thread, *args, **kwargs)
            if mine and self._owed:
                self._owed = False
                raise KeyboardInterrupt

        pydevd.PyDB.do_wait_suspend = do_wait_suspend
        self._loop = loop

    def begin(self) -> None:
        """Another request."""
        self._owed = self._passes = False
        if self._loop is not None and sys.version_info < (3, 12):
            self._trace()

    def _trace(self) -> None:
        """An interrupt may have ended it; and it makes each call slower also when the debugger is off again."""
        import pydevd

        function = sys.gettrace()
        if self.traced and function is None:
            pydevd.get_global_debugger().enable_tracing()
        elif not self.traced and type(function).__module__.startswith("_pydev"):
            pydevd.get_global_debugger().disable_tracing()

    def over(self) -> None:
        """Nothing is left to be interrupted."""
        self._owed = self._passes = False

    def around(self, handler: Handler, awaits: bool = False) -> Handler:
        """For `signal.signal`. `awaits`: it only asks the loop to end what that runs, and hits nothing by itself."""

        def handle(number: int, frame: FrameType | None) -> Any:
            held = None if self._loop is None else _held(frame)
            self._passes = awaits
            self._owed = held is not None and not awaits
            if held is not None and self._loop is not None:
                self._loop.call_soon_threadsafe(self._go_on)
            return handler(number, frame) if awaits or held is not Held.WAITS else None

        return handle

    def _go_on(self) -> None:
        assert self._loop is not None
        _resume()
        self._loop.call_later(RETRY_S, self._again)

    def _again(self) -> None:
        if self._owed:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _resume() -> None:
    from _pydevd_bundle.pydevd_thread_lifecycle import resume_threads  # type: ignore[import-not-found]

    resume_threads("*")


def _held(frame: FrameType | None) -> Held | None:
    users = False
    while frame is not None:
        if is_debugger(frame):
            return Held.EVALUATES if users else Held.WAITS
        top = str(frame.f_globals.get("__name__")).partition(".")[0]
        users = users or top == "__main__" or top not in sys.stdlib_module_names
        frame = frame.f_back
    return None


def is_debugger(frame: FrameType) -> bool:
    """Whether it runs the debugger's code, or what stands here."""
    name = str(frame.f_globals.get("__name__"))
    return name in ("pydevd", __name__) or name.startswith("_pydev")
