"""One kernel of a session, and what is to run in it: executions one after another, told as events.

Driven by callbacks rather than a task: what a kernel says is handled where it arrives, which keeps a trivial
cell at one hop from the socket to the waiting request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..errors import BadRequest, GatewayError
from ..kernel.exits import Exit
from ..kernel.kernel import Kernel
from ..languages import Language
from . import notes
from .deadline import Deadline
from .debugging import Debugging
from .dialogue import Dialogue
from .ending import Ending
from .execution import Execution, Status
from .hints import stopped
from .inbox import Inbox
from .lifecycle import WITHOUT_KERNEL, State, move
from .queue import Queue
from .restore import Found
from .seams import Watcher

if TYPE_CHECKING:
    from .session import Session


class Lane:
    """`name`: of the kernel; whatever kernels there are one after another, it is theirs. `key`: by what the journal
    knows it, "" for the session's own. All methods are called in the event loop; none blocks it."""

    def __init__(self, session: Session, name: str, language: Language, key: str) -> None:
        plan = session.plan
        self.session = session
        self.name = name
        self.language = language
        self.key = key
        self.state = State.NEW
        self.reason: str | None = None
        self.generation = 0
        self.log = session.log
        self.waiting = Queue(plan.max_queued, self._complete)
        self.recorder = session.recorder(key)
        self.dialogue = Dialogue(self.log, self.recorder, session.executions, self._over, session.artifacts, key)
        self._inbox = Inbox(self.dialogue, session.artifacts)
        self._ending = Ending(self.log, session.artifacts, self._complete)
        self._deadline = Deadline(self.log, self.dialogue, plan.grace_s)
        self.debugging = Debugging(self.log, self.dialogue, self._deadline, plan, self.facts)
        self._starting: asyncio.Task[None] | None = None
        self._watcher: Watcher | None = None
        # What an earlier gateway wrote of the kernel that it had, if that may live on.
        self.noted: notes.Note | None = None
        self._lost: str | None = None
        self._closing = False

    @property
    def kernel(self) -> Kernel | None:
        return self.dialogue.kernel

    @property
    def current(self) -> Execution | None:
        return self.dialogue.current

    @property
    def quiet(self) -> bool:
        idle = self.current is None and not self.waiting and self._starting is None
        return idle and self.debugging.pause is None

    def check_speaks(self, language: Language) -> None:
        """Raises BadRequest."""
        if language.kernel != self.language.kernel:
            raise BadRequest(
                f"The kernel {self.name!r} speaks {self.language.name}, not {language.name}.",
                "Leave out its name, or give another: a kernel of that name is then made.",
            )

    def facts(self) -> dict[str, Any]:
        """What events of its state have."""
        return {"state": self.state.value} | ({"kernel": self.name} if self.key else {})

    # what an earlier gateway wrote

    def restore(self, found: Found) -> None:
        self.state, self.reason, self.generation = found.state, found.reason, found.generation
        self.dialogue.current = found.current
        self.debugging.restore(found.debugging, found.paused)
        for execution in found.queue:
            self.waiting.add(execution)
        if self.state is State.DEAD:
            self._lost = self.reason
        self.noted = found.kernel if self.state in (State.IDLE, State.BUSY) else None

    def attach(self, kernel: Kernel) -> None:
        """To the kernel that it had."""
        self._listen_to(kernel)
        taken = self.log.journal.taken if self.log.journal is not None else {}
        kernel.client.resume(taken.get(self.key, 0))
        if kernel.exit is not None:
            self._kernel_exited(kernel.exit)
            return
        if (execution := self.current) is not None and execution.ended is not None:
            self._over(execution, execution.ended)
        elif execution is not None:
            # It may never have got there; it is not run twice.
            self.dialogue.ask(execution)
            self._deadline.watch(execution)
        self.debugging.resume()

    def detached(self, exit_: Exit) -> None:
        """Its kernel did not outlive the gateway, if it had one."""
        self._closing = True
        if self.state is State.STARTING:
            # What waits for a first kernel had counted on nothing.
            self._become(State.DEAD, exit_.reason)
            self._lost = exit_.reason
        elif self.state in (State.IDLE, State.BUSY):
            self._kernel_exited(exit_)
        if (execution := self.current) is not None and execution.ended is not None:
            self._over(execution, execution.ended)

    def resume(self) -> None:
        """Kernels can be had now."""
        self._closing = False
        self._pump()

    # what is asked of it

    def add(self, execution: Execution) -> None:
        """Starts now if nothing is before it."""
        self.waiting.add(execution)
        self._pump()

    def interrupt(self) -> None:
        """Stops the running cell and drops those that wait, as people mean by stop. No effect when idle."""
        self.waiting.cancel(Status.INTERRUPTED, "Interrupted before it started.")
        self._stop_current()

    def stop(self, execution: Execution) -> None:
        """Stops one execution, wherever it is: its caller has gone and wanted that."""
        if execution is self.current:
            self._stop_current()
        else:
            self.waiting.drop(execution, Status.INTERRUPTED, "Its caller left before it started.")

    def restart(self) -> None:
        """A fresh kernel: variables go, files stay. What runs is killed, what waits is dropped."""
        self.waiting.cancel(Status.KILLED, "The kernel was restarted before it ran.")
        self.session.touch()
        if self.kernel is not None:
            self.kernel.exited = lambda exit_: self._inbox.then(lambda: self._restarted(exit_))
            self.kernel.end("restarted")
        elif self.state in WITHOUT_KERNEL:
            self._start()

    def _restarted(self, exit_: Exit) -> None:
        self._kernel_exited(exit_)
        if self.state is State.DEAD and not self._closing:
            self._start()

    def wake(self) -> None:
        """Sees to it that there is a kernel, before there is anything to run."""
        if self.state in WITHOUT_KERNEL and not self._closing:
            self.session.touch()
            self._start()

    def watch(self, watcher: Watcher | None) -> None:
        self._watcher = watcher
        if self.kernel is not None:
            self._let_watch(self.kernel)

    def _let_watch(self, kernel: Kernel) -> None:
        kernel.client.tap = self._watcher.on_message if self._watcher is not None else None

    def sleep(self, why: str) -> None:
        """Gives the kernel up; a new one comes when it is used again."""
        if self.kernel is not None:
            self.kernel.end(why)

    async def rest(self) -> None:
        """Gives the kernel up as somebody wants; returns when nothing of it is left."""
        self.waiting.cancel(Status.KILLED, "The kernel was ended.")
        await self._stop_starting()
        if self.state is State.STARTING:
            self._become(State.DEAD, "The kernel was ended.")
        if (kernel := self.kernel) is not None:
            kernel.end("closed")
            await kernel.ended()
            await self._inbox.emptied()

    async def end(self, why: str) -> None:
        """For good; returns when nothing of its kernel is left."""
        self._closing = True
        self.debugging.close()
        self.waiting.cancel(Status.KILLED, why)
        await self._stop_starting()
        if (kernel := self.kernel) is not None:
            kernel.end("ended")
            await kernel.ended()
        await self._inbox.emptied()
        await self._ending.give_up(complete=True)
        self._become(State.ENDED, "ended")
        self.log.written.pop(self.key, None)

    async def leave(self, keep: bool = False) -> None:
        """The end of the gateway; all stays as it is for the next one, and with `keep` the kernel too."""
        self._closing = True
        self.debugging.close()
        await self._stop_starting()
        if (kernel := self.kernel) is not None and keep:
            self.dialogue.kernel = None
            kernel.leave()
            self._inbox.drop()
            await self._ending.give_up(complete=False)
        elif kernel is not None:
            kernel.end("stopped")
            await kernel.ended()
            await self._inbox.emptied()
        await self._ending.give_up(complete=True)

    async def _stop_starting(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)

    # the kernel's life

    def _start(self) -> None:
        if self._closing:
            return
        self._become(State.STARTING, self._lost)
        self._starting = asyncio.create_task(self._take_kernel())

    async def _take_kernel(self) -> None:
        try:
            kernel = await self.session.source.take(self)
        except GatewayError as error:
            self._become(State.DEAD, error.message)
            self.waiting.fail(error, state_lost=self.generation > 0)
            return
        finally:
            self._starting = None
        self.generation += 1
        if self.session.workspace is not None:
            self.log.note({"workspace": self.session.workspace.as_note()})
        self.log.note(notes.kernel(self, kernel))
        # Each kernel counts from one.
        self.log.begin_at(kernel.client.taken, self.key)
        self._listen_to(kernel)
        if kernel.exit is not None:
            self._kernel_exited(kernel.exit)
            return
        self._become(State.IDLE)
        self._pump()

    def _listen_to(self, kernel: Kernel) -> None:
        self.dialogue.kernel = kernel
        kernel.language = self.language.name
        kernel.client.listener, self._inbox.client = self._inbox, kernel.client
        self._let_watch(kernel)
        self.log.written[self.key] = kernel.client.confirm
        kernel.exited = lambda exit_: self._inbox.then(lambda: self._kernel_exited(exit_))
        kernel.disconnected = self.waiting.doom
        kernel.settled = self._pump
        self.waiting.count_on_kernel()

    def _kernel_exited(self, exit_: Exit) -> None:
        kernel, self.dialogue.kernel = self.kernel, None
        self.debugging.forget()
        if kernel is not None:
            kernel.client.listener = None
        self._lost = exit_.reason
        self.recorder.forget_displays()
        if self.state is not State.ENDED:
            self._become(State.DEAD, exit_.reason)
        execution = self.current
        if execution is not None and execution.ended is None:
            status = execution.stopping if exit_.cause == "deadline" else None
            once = self.session.plan.once
            advice = stopped(execution, lost=True, once=once) if status is not None else None
            execution.lost("KernelDied", exit_.reason, advice or (exit_.hint_once if once else exit_.hint))
            self._ending.begin(execution, status or Status.KILLED, kernel)
        # What was waiting had counted on variables that are gone; what came later had not, nor what came after
        # a planned end.
        if exit_.cause not in ("restarted", "idle", "closed", "exited"):
            self.waiting.drop_doomed(f"Not run, since the kernel ended before: {exit_.reason}")
        self._pump()

    # one after another

    def _pump(self) -> None:
        if self.current is not None or not self.waiting or self._closing:
            return
        if self.kernel is not None and self.state is State.IDLE:
            if self.kernel.free:
                self._begin(self.waiting.take())
        elif self.state in WITHOUT_KERNEL:
            self._start()

    def _begin(self, execution: Execution) -> None:
        assert self.kernel is not None
        self.dialogue.current = execution
        execution.shared = len(self.session.lanes) > 1
        execution.start()
        execution.first_seq = self.log.last + 1
        if self._lost is not None and self.generation > 1:
            lost = {"state": State.STARTING.value, "reason": f"{self._lost} Variables were lost."}
            self.log.append("session.state", {**self.facts(), **lost}, execution.id)
        self._lost = None
        self._become(State.BUSY)
        self.log.append("execution.started", execution.as_begun(), execution.id, len(execution.code))
        self._deadline.watch(execution)
        self.debugging.begun()
        # What the kernel may begin has to be known to whoever comes after us.
        self.log.flush()
        try:
            self.dialogue.ask(execution)
        except (TypeError, ValueError, OSError) as error:
            execution.error = {"name": "NotSent", "value": f"The code cannot be sent: {error}", "traceback": []}
            self._complete(execution, Status.FAILED)

    def _stop_current(self) -> None:
        if self.current is not None:
            self._deadline.stop(Status.INTERRUPTED)
            self.debugging.over()
        elif self.debugging.pause is not None:
            self.debugging.let_go()

    def _over(self, execution: Execution, status: Status) -> None:
        self._ending.begin(execution, status, self.kernel)

    def _complete(self, execution: Execution, status: Status) -> None:
        """Exactly once for each execution, and the last event that it has."""
        if execution.finished:
            return
        if was_current := self.current is execution:
            self.debugging.over()
        execution.finish(status)
        self.session.touch()
        if was_current and self.state is State.BUSY:
            self._become(State.IDLE)
        self.session.completed(execution)
        if was_current and status is not Status.COMPLETED:
            self.waiting.skip(execution)
        if was_current:
            # Not before: the next may begin then.
            self.dialogue.current = None
        self._pump()

    def _become(self, state: State, reason: str | None = None) -> None:
        self.state = move(self.state, state)
        self.reason = reason
        self.log.append("session.state", self.facts() | ({} if reason is None else {"reason": reason}))
        if self._watcher is not None:
            self._watcher.on_state()
