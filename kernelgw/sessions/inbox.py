"""In front of a session's dialogue: what a kernel says is handled where it arrives, but for large parts of outputs.

Those are written by a thread, and what comes meanwhile waits its turn, so that the order stays as it was. A message
counts as taken only when it is handled: of one that waited here when the gateway was killed the kernel tells again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from ..events.translate import Happening, translate
from ..kernel.client import KernelClient
from ..kernel.wire import Message, Undecodable
from .artifacts import Artifacts
from .dialogue import Dialogue

BUNDLES = frozenset({"display_data", "update_display_data", "execute_result"})
# Beyond it the kernel is not listened to. One of ours waits long before, until what it said is confirmed.
MOST_WAITING = 64 << 20
# Others have their turn after so many messages.
IN_ONE_GO = 64
Action = Callable[[], None]
log = logging.getLogger("kernelgw.session")


class Inbox:
    """A session's. `then` for whatever must not overtake what the kernel has said before."""

    def __init__(self, dialogue: Dialogue, artifacts: Artifacts) -> None:
        self._dialogue = dialogue
        self._artifacts = artifacts
        self._waiting: deque[tuple[Message, int] | Action] = deque()
        self._bytes = 0
        self._work: asyncio.Task[None] | None = None
        self.client: KernelClient | None = None

    def on_iopub(self, message: Message, number: int) -> None:
        if self._work is None and not self._is_large(message):
            self._dialogue.on_iopub(message, number)
            return
        self._count(_size(message))
        self._add((message, number))

    def then(self, action: Action) -> None:
        if self._work is None:
            action()
        else:
            self._add(action)

    async def emptied(self) -> None:
        """Returns when nothing waits."""
        while self._work is not None:
            await asyncio.wait([self._work])

    def drop(self) -> None:
        """For the next gateway, which is told all of it again."""
        self._waiting.clear()
        if self._work is not None:
            self._work.cancel()

    def _is_large(self, message: Message) -> bool:
        return message.msg_type in BUNDLES and len(message.raw[3]) > self._artifacts.allowance.inline

    def _add(self, item: tuple[Message, int] | Action) -> None:
        self._waiting.append(item)
        if self._work is None:
            self._work = asyncio.create_task(self._work_off())

    def _count(self, size: int) -> None:
        self._bytes += size
        if self.client is not None:
            self.client.listen(self._bytes <= MOST_WAITING)

    async def _work_off(self) -> None:
        done = 0
        try:
            while self._waiting:
                item = self._waiting.popleft()
                try:
                    await self._handle(item)
                except Undecodable as error:
                    log.warning("dropped a message of a kernel's: %s", error)
                except Exception:
                    log.exception("a message of a kernel's could not be handled")
                done += 1
                if done % IN_ONE_GO == 0:
                    await asyncio.sleep(0)
        finally:
            self._work = None

    async def _handle(self, item: tuple[Message, int] | Action) -> None:
        if not isinstance(item, tuple):
            item()
            return
        message, number = item
        try:
            if self._is_large(message) and (happening := _translated(message)) is not None:
                self._dialogue.on_stored(message, number, *await self._artifacts.take_out(happening))
            else:
                self._dialogue.on_iopub(message, number)
        finally:
            self._count(-_size(message))


def _translated(message: Message) -> Happening | None:
    """None for what cannot be read: the dialogue says so in its place."""
    try:
        return translate(message.msg_type, message.content)
    except Undecodable:
        return None


def _size(message: Message) -> int:
    return sum(map(len, message.raw))
