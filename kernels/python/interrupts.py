"""When an interrupt may hit: from the moment that a request is said to be worked on, and nothing but its handler."""

from __future__ import annotations

import inspect
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from .debugging import Spared

Handler = Callable[[Any, Any, Any], Any]


class Interrupts(Spared):
    """ipykernel ignores one that comes between a request's `busy` and its handler, and is stopped by one that comes
    a moment later; whoever has seen `busy` may well send it then."""

    def __init__(self) -> None:
        super().__init__()
        self._early = False

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
