"""What a session needs of others, and what others may have of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..kernel.kernel import Kernel
from ..kernel.wire import Message
from ..languages import Language

if TYPE_CHECKING:
    from .lane import Lane


class KernelSource(Protocol):
    """Where a session gets its kernels. `take` raises GatewayError when there is none to be had."""

    async def take(self, lane: Lane) -> Kernel: ...

    def language(self, name: str, environment: str) -> Language:
        """Also one that is not there any more, of which no kernel can be had."""
        ...


class Watcher(Protocol):
    """Who is told all that a kernel says, right after the session, and each change of the session's state."""

    def on_message(self, channel: str, message: Message) -> None: ...

    def on_state(self) -> None: ...
