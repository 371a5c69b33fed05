"""Event loops that a cell runs to their end, as a program does, while the kernel's own runs in the same thread."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import threading
from asyncio import events, tasks
from collections.abc import Callable, Iterator
from typing import Any

Hitting = Callable[[], contextlib.AbstractContextManager[None]]


class KernelLoop(asyncio.SelectorEventLoop):
    """The kernel's. Code that runs in it may run it further, until something is done. `hitting`: while that goes on an
    interrupt is raised, since what would be cancelled does not get its turn."""

    def __init__(self, hitting: Hitting) -> None:
        super().__init__()
        self.hitting = hitting

    def run_until_complete(self, future: Any) -> Any:
        if events._get_running_loop() is not self:
            return super().run_until_complete(future)
        begun = not asyncio.isfuture(future)
        task = asyncio.ensure_future(future, loop=self)
        try:
            self._further(task.done)
        except BaseException:
            if task.done() and not task.cancelled():
                # It is raised already.
                task.exception()
            elif begun:
                task.cancel()
            raise
        if not task.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return task.result()

    def run_forever(self) -> None:
        if events._get_running_loop() is self:
            self._further(lambda: False)
        else:
            super().run_forever()

    def close(self) -> None:
        """A program does that last; the kernel goes on."""
        if not self.is_running():
            super().close()

    def _further(self, done: Callable[[], bool]) -> None:
        loop: Any = self
        current, waiting = asyncio.current_task(self), len(loop._ready)
        if current is not None:
            tasks._leave_task(self, current)
        try:
            with self.hitting():
                while not done() and not loop._stopping:
                    loop._run_once()
        finally:
            loop._stopping = False
            if current is not None:
                tasks._enter_task(self, current)
            # The turn that called this has counted what was ready.
            for _ in range(waiting - len(loop._ready)):
                self.call_soon(int).cancel()


@contextlib.contextmanager
def _apart(loop: asyncio.AbstractEventLoop | None) -> Iterator[None]:
    """Whatever runs in here finds no loop running, if only the kernel's is; `loop`: that is to run."""
    running = events._get_running_loop()
    if not isinstance(running, KernelLoop) or running is loop:
        yield
        return
    main = threading.current_thread() is threading.main_thread()
    wakeup = signal.set_wakeup_fd(-1) if main else -1
    events._set_running_loop(None)
    try:
        with running.hitting():
            yield
    finally:
        events._set_running_loop(running)
        asyncio.set_event_loop(running)
        if main:
            signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)


def nest() -> None:
    """From now on `asyncio.run` and loops of the code's own can be run in the kernel's thread."""
    base: Any = asyncio.BaseEventLoop
    for name in ("run_until_complete", "run_forever"):
        setattr(base, name, _of_loop(getattr(base, name)))
    runner: Any = asyncio.Runner
    runner.run = _aside(runner.run)
    asyncio.run = asyncio.runners.run = _aside(asyncio.run)


def _of_loop(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def run(self: asyncio.AbstractEventLoop, *args: Any, **kwargs: Any) -> Any:
        with _apart(self):
            return method(self, *args, **kwargs)

    return run


def _aside(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with _apart(None):
            return function(*args, **kwargs)

    return run
