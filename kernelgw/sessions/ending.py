"""Between the end of a cell's code and the news of it: what it made is kept first, before a next cell can change it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..events.log import EventLog
from ..kernel.kernel import Kernel
from . import notes
from .artifacts import Artifacts
from .execution import Execution, Status

log = logging.getLogger("kernelgw.session")


class Ending:
    """A session's. `complete` is called with each execution and how it ended: at once when it made nothing."""

    def __init__(self, events: EventLog, artifacts: Artifacts, complete: Callable[[Execution, Status], None]) -> None:
        self._events = events
        self._artifacts = artifacts
        self._complete = complete
        self._execution: Execution | None = None
        self._work: asyncio.Task[None] | None = None

    def begin(self, execution: Execution, status: Status, kernel: Kernel | None) -> None:
        """`kernel`: the one that it ran in, if there still is one. No effect on one that is ending already."""
        if execution.recall is not None:
            # An earlier gateway heard its text, which may have been too much.
            execution.recall()
        if not execution.files and execution.text is None:
            self._complete(execution, status)
        elif execution is not self._execution:
            execution.end(status)
            # A later gateway goes on from here.
            self._events.note(notes.ended(execution))
            self._execution = execution
            self._work = asyncio.create_task(self._keep(execution, status, kernel))

    async def _keep(self, execution: Execution, status: Status, kernel: Kernel | None) -> None:
        try:
            await self._artifacts.collect(execution, kernel)
        except Exception:
            log.exception("what execution %s made could not be kept", execution.id)
        self._execution = self._work = None
        self._complete(execution, status)

    async def give_up(self, complete: bool) -> None:
        """What is not kept by now is not. `complete`: False when a later gateway goes on with it."""
        work, execution = self._work, self._execution
        if work is not None and execution is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            if execution.text is not None:
                execution.text.abandon()
            if complete and execution.ended is not None:
                self._complete(execution, execution.ended)
        await self._artifacts.settled()
