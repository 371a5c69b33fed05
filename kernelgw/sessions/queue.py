"""The executions of a session that wait for their turn, and those that are never to have it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from ..errors import GatewayError, QueueFull
from .execution import Execution, Status


class Queue:
    """Oldest first. `finish` is called with each that will not run, and how it ended."""

    def __init__(self, most: int, finish: Callable[[Execution, Status], None]) -> None:
        self._most = most
        self._finish = finish
        self._waiting: deque[Execution] = deque()
        self._doomed: list[Execution] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Execution]:
        return iter(self._waiting)

    def __contains__(self, execution: Execution) -> bool:
        return execution in self._waiting

    def check_room(self) -> None:
        """Raises QueueFull."""
        if len(self._waiting) >= self._most:
            raise QueueFull(f"{len(self._waiting)} executions are waiting in this session already.")

    def add(self, execution: Execution) -> None:
        self._waiting.append(execution)

    def take(self) -> Execution:
        return self._waiting.popleft()

    def drop(self, execution: Execution, status: Status, why: str) -> None:
        """One that waits is not run. No effect on others."""
        if execution in self._waiting:
            self._waiting.remove(execution)
            execution.error = {"name": "NotRun", "value": why, "traceback": []}
            self._finish(execution, status)

    def skip(self, failed: Execution) -> None:
        """Who asked for one that failed may have wanted that theirs behind it are not run."""
        if failed.order is None or not failed.order.stops:
            return
        asker = failed.order.asker
        theirs = [each for each in self._waiting if each.order is not None and each.order.asker == asker]
        # All are out before the first is finished, or the next would begin then.
        self._waiting = deque(each for each in self._waiting if each not in theirs)
        for execution in theirs:
            execution.error = {"name": "NotRun", "value": "Not run, since the one before it failed.", "traceback": []}
            self._finish(execution, Status.INTERRUPTED)

    def cancel(self, status: Status, why: str) -> None:
        """None of those that wait now is run."""
        for execution in self._all():
            execution.error = {"name": "NotRun", "value": why, "traceback": []}
            self._finish(execution, status)

    def fail(self, error: GatewayError, state_lost: bool) -> None:
        """No kernel can be had for them."""
        for execution in self._all():
            execution.error = {"name": "KernelDidNotStart", "value": error.message, "traceback": [], "hint": error.hint}
            execution.state_lost = state_lost
            self._finish(execution, Status.KILLED)

    def _all(self) -> deque[Execution]:
        waiting, self._waiting = self._waiting, deque()
        return waiting

    # What waits counts on the variables of the kernel that there is; what comes once that is gone does not.

    def count_on_kernel(self) -> None:
        """There is one: whatever waits when it ends is lost with it."""
        self._doomed = None

    def doom(self) -> None:
        """The kernel is ending: what waits now had counted on it, and what comes from now on does not."""
        self._doomed = list(self._waiting)

    def drop_doomed(self, why: str) -> None:
        doomed = self._waiting if self._doomed is None else self._doomed
        for execution in [each for each in self._waiting if each in doomed]:
            execution.state_lost = True
            self.drop(execution, Status.KILLED, why)
