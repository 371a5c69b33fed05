"""When an interrupt may hit: from the moment that a request is said to be worked on, and nothing but its handler."""

from __future__ import annotations

import contextlib
import inspect
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from .debugging import Spared

Handler = Callable[[Any, Any, Any], Any]


class Interrupts(Spared):
    """ipykernel ignores one that comes between a request's `busy` and its handler, and is stopped by one that comes
    a moment later; whoever has seen `busy` may well send it then."""

    def __init__(self) -> None:
        super().__init__()
        self._early = False
        # What handles one of an awaiting cell.
        self._cancels: Any = None

    def expect(self) -> None:
        """A request is begun; one that comes from now on is kept for its handler."""
        self._early = False
        self.begin()
        signal.signal(signal.SIGINT, self._keep)

    def _keep(self, *_: Any) -> None:
        self._early = True

    def hit(self, handler: Handler, interrupted: Handler) -> Callable[[Any, Any, Any], Awaitable[None]]:
        """The handler, with KeyboardInterrupt raised in it; one that comes out of it is for `interrupted`."""

        async def handle(stream: Any, ident: Any, parent: Any) -> None:
            try:
                signal.signal(signal.SIGINT, self.around(signal.default_int_handler))
                if self._early:
                    raise KeyboardInterrupt
                result = handler(stream, ident, parent)
                if inspect.isawaitable(result):
                    await result
            except KeyboardInterrupt:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                interrupted(stream, ident, parent)
            finally:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                self.over()

        return handle

    def cancel(self, handler: Callable[..., Any]) -> None:
        """From now on one only asks the loop to end what that runs, which is what the handler does."""
        self._cancels = self.around(handler, awaits=True)
        signal.signal(signal.SIGINT, self._cancels)

    @contextlib.contextmanager
    def hitting(self) -> Iterator[None]:
        """While an awaiting cell runs what does not await, and the loop would not be asked in time."""
        mine = threading.current_thread() is threading.main_thread()
        cancels = signal.getsignal(signal.SIGINT) if mine else None
        if cancels is None or cancels is not self._cancels:
            yield
            return
        signal.signal(signal.SIGINT, self.around(signal.default_int_handler))
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, cancels)
