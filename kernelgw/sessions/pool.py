"""Warm kernels, ready before anyone asks; and the limit on how many are started at once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from ..environments import Environment
from ..errors import GatewayError
from ..kernel.box import Box
from ..kernel.exits import Exit
from ..kernel.kernel import Kernel
from ..kernel.launcher import Launcher, Terms
from ..languages import DEFAULT, Language
from ..sandbox.workspaces import Workspace

# After a failed start, doubling, so that a broken environment does not spin.
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
log = logging.getLogger("kernelgw.pool")


class Pool:
    """Keeps `size` warm kernels of one environment and language, each in a sandbox and workspace of its own."""

    def __init__(
        self,
        launcher: Launcher,
        environment: Environment,
        size: int,
        starting: asyncio.Semaphore,
        terms: Terms,
        language: Language = DEFAULT,
    ) -> None:
        self.size = size
        self.language = language
        self.terms = terms
        self.environment = environment
        self._launcher = launcher
        self._starting = starting
        self._ready: deque[Kernel] = deque()
        self._refill: asyncio.Task[None] | None = None
        self._removals: set[asyncio.Task[None]] = set()
        self._closed = False
        self.room: Callable[[], bool] = lambda: True

    @property
    def ready(self) -> int:
        return len(self._ready)

    def take(self, terms: Terms) -> Kernel | None:
        """A warm kernel, or None; either way the pool refills itself. Other terms need a sandbox of their own."""
        if terms != self.terms:
            return None
        while self._ready:
            kernel = self._ready.popleft()
            if kernel.exit is None:
                self.refill()
                return kernel
        self.refill()
        return None

    async def launch(
        self,
        workspace: Workspace,
        variables: dict[str, str],
        terms: Terms,
        box: Box | None = None,
    ) -> Kernel:
        """A kernel in an existing workspace: the cold way. Waits its turn when many are starting. `box`: what other
        kernels of the session are in."""
        async with self._starting:
            return await self._launcher.launch(
                self.environment, workspace, variables, terms, language=self.language, box=box
            )

    def refill(self) -> None:
        if not self._closed and self._refill is None and len(self._ready) < self.size:
            self._refill = asyncio.create_task(self._fill())

    async def _fill(self) -> None:
        pause = FIRST_PAUSE_S
        try:
            while len(self._ready) < self.size and self.room() and not self._closed:
                try:
                    await self._add()
                    pause = FIRST_PAUSE_S
                except (GatewayError, OSError) as error:
                    log.warning("a warm kernel of %s did not start: %s", self.environment.name, error)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE_S)
        finally:
            self._refill = None

    async def _add(self) -> None:
        workspace = await self._launcher.workspaces.new(self.terms.limits.workspace_bytes)
        try:
            kernel = await self.launch(workspace, {}, self.terms)
        except BaseException:
            await self._launcher.remove_workspace(workspace)
            raise
        kernel.exited = lambda exit_: self._died(kernel, exit_)
        self._ready.append(kernel)

    def _died(self, kernel: Kernel, exit_: Exit) -> None:
        if not self._closed:
            log.warning("a warm kernel of %s ended: %s", self.environment.name, exit_.reason)
        if kernel in self._ready:
            self._ready.remove(kernel)
        removal = asyncio.create_task(self._launcher.remove_workspace(kernel.workspace))
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)
        self.refill()

    async def close(self) -> None:
        self._closed = True
        if self._refill is not None:
            self._refill.cancel()
            await asyncio.gather(self._refill, return_exceptions=True)
        for kernel in self._ready:
            kernel.end("ended")
        await asyncio.gather(*(kernel.ended() for kernel in list(self._ready)))
        await asyncio.gather(*self._removals)
