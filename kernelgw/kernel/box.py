"""What the kernels of one session are in together: a sandbox, its limits, its way out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from ..sandbox.cgroups import Group
from .forkserver import Event, ForkServer

GROUP_TRIES, GROUP_PAUSE_S = 300, 0.01
# For what was killed to have gone.
EMPTYING_S = 5.0
log = logging.getLogger("kernelgw.kernel")


class Box:
    """Begun for a first kernel, whose id is its own too, and over with its last. `sandboxed`: whether there are walls
    around it; `built`: whether the fork server makes them, rather than each kernel for itself."""

    def __init__(self, id_: str, server: ForkServer, sandboxed: bool, built: bool) -> None:
        self.id = id_
        self.server = server
        self.sandboxed = sandboxed
        self.built = built
        self.holder = 0
        # Whether somebody watches what it uses.
        self.looked_after = False
        self.group: Group | None = None
        # Of its processes that were killed for memory, those by which the end of a kernel was explained.
        self.told_kills = 0
        # Kernels in it, by their ids: what ends each, for a reason.
        self.members: dict[str, Callable[[str], None]] = {}
        # Called with this box's id when a cell is asked for, and when it is over.
        self.at_cell: list[Callable[[str], None]] = []
        self.at_end: list[Callable[[str], None]] = []
        self._kept: list[int] = []
        self._over = False
        self._emptied = asyncio.Event()

    @property
    def open(self) -> bool:
        """Whether one more kernel can be made in it."""
        return bool(self.members) and not self._over and self.server.alive

    def join(self, kernel_id: str, end: Callable[[str], None]) -> None:
        self.members[kernel_id] = end

    def has_others(self, kernel_id: str) -> bool:
        return any(member != kernel_id for member in self.members)

    def leave(self, kernel_id: str) -> None:
        """It has ended. With the last one everything in here does."""
        self.forget(kernel_id)
        if not self.members:
            self.end()

    def forget(self, kernel_id: str) -> None:
        """It was not there any more when it was looked for; others may be."""
        self.members.pop(kernel_id, None)

    def end(self) -> None:
        """All that is in it is killed."""
        self._over = True
        if self.sandboxed:
            self.server.tell("end", id=self.id)

    def end_all(self, why: str) -> None:
        for end in list(self.members.values()):
            end(why)

    def keep(self, fd: int) -> None:
        """Its listener, for a later gateway: the fork server has it with each kernel, and as long as any of them."""
        self._kept.append(fd)
        for member in self.members:
            self.server.tell("keep", [fd], id=member)

    def handed_over(self, kernel_id: str) -> None:
        """The fork server knows that kernel now."""
        if self._kept:
            self.server.tell("keep", self._kept, id=kernel_id)

    def build(self, sandbox: Mapping[str, Any]) -> None:
        self.watch()
        self.server.tell("sandbox", id=self.id, groups=self.doors, **sandbox)

    def watch(self) -> None:
        self.server.watch_sandbox(self.id, self._on_event)

    @property
    def doors(self) -> list[str]:
        """Of its cgroups: whoever is in there opens them."""
        return list(self.group.doors) if self.group is not None else []

    def asked(self) -> None:
        """For a cell."""
        for action in self.at_cell:
            action(self.id)

    def _on_event(self, event: Event) -> None:
        kind = event["event"]
        if kind == "sandbox_up":
            self.holder = event["pid"]
        elif kind == "sandbox_exit" or event.get("server_lost"):
            self._emptied.set()

    def oom_kills(self) -> int | None:
        """How many of its processes were killed for memory so far; None where nobody counts them."""
        return self.group.oom_kills() if self.group is not None and self.group.counts_memory else None

    def discard(self) -> None:
        """What others do for it."""
        while self.at_end:
            self.at_end.pop()(self.id)

    async def clear_away(self) -> None:
        """Returns once nothing in it lives, and nobody counts it."""
        if self.built and self.server.alive:
            try:
                await asyncio.wait_for(self._emptied.wait(), EMPTYING_S)
            except TimeoutError:
                log.warning("the sandbox %s does not end", self.id)
        self.server.unwatch_sandbox(self.id)
        await self._clear_group()

    async def _clear_group(self) -> None:
        """Once everything in it has ended. Without a sandbox what the code has started is ended here, and without the
        fork server what it was in the middle of building: that would keep every session's files mounted."""
        group, self.group = self.group, None
        if group is None:
            return
        for _ in range(GROUP_TRIES):
            if not self.sandboxed or not self.server.alive:
                group.kill()
            if group.remove():
                return
            await asyncio.sleep(GROUP_PAUSE_S)
        log.warning("the cgroups of the sandbox %s are still in use", self.id)
