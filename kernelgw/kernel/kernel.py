"""One running kernel: its sockets, its pid, its end."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import KernelDidNotStart
from ..sandbox.policy import WORKSPACE
from ..sandbox.workspaces import Workspace
from . import exits
from .box import Box
from .client import KernelClient
from .forkserver import Event
from .listeners import CHANNELS, Listeners

# To be ready: forked or started on the host, and started in a kernel that is itself a program.
START_TIMEOUT_S, START_INSIDE_TIMEOUT_S = 20.0, 60.0
# A dead kernel's sockets close with it; a stray copy of one must not hold up the news.
DRAIN_TIMEOUT_S = 1.0
CRASH_LOG_BYTES = 8192
# How long the news of an exit may come after the sockets have closed.
EXIT_NEWS_S = 1.0
LEAVING_S = 2.0
log = logging.getLogger("kernelgw.kernel")


class Kernel:
    """A running kernel. `exited` is called once, after its last output has been delivered."""

    def __init__(self, box: Box, workspace: Workspace, closed_in: bool = False, id_: str = "") -> None:
        self.id = id_ or box.id
        self.box = box
        self.server = box.server
        self.workspace = workspace
        self.sandboxed = box.sandboxed
        self.language = "python"
        # Signals do not get to it, nor do descriptors: it is interrupted by a message, and connects to us.
        self.closed_in = closed_in
        self.client = KernelClient()
        self.client.on_lost = self._connection_lost
        self._at_discard: list[Callable[[str], None]] = []
        self.pid = 0
        self.exit: exits.Exit | None = None
        self.exited: Callable[[exits.Exit], None] = lambda _: None
        self.disconnected: Callable[[], None] = _nothing
        self.settled: Callable[[], None] = _nothing
        self.interrupting: asyncio.Task[None] | None = None
        self._cut = False
        self.sealed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wanted: str | None = None
        self._host_kills = exits.host_oom_kills()
        self._kills = box.oom_kills() or 0
        self._crash_log = b""
        self._log_fd = -1
        self._listeners: Listeners | None = None
        self._ending: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        box.join(self.id, self.end)

    @property
    def environment(self) -> str:
        return self.server.environment.name

    @property
    def start_timeout_s(self) -> float:
        return START_INSIDE_TIMEOUT_S if self.closed_in else START_TIMEOUT_S

    @property
    def home(self) -> str:
        """The workspace as the kernel sees it."""
        return WORKSPACE if self.sandboxed else str(self.workspace.path)

    @property
    def ending(self) -> bool:
        return self._cut or self._wanted is not None or self._ending is not None or self.exit is not None

    @property
    def free(self) -> bool:
        """Whether a next cell may be sent."""
        return not self.ending and self.interrupting is None

    def interrupt(self) -> None:
        """Interrupts what runs, once at a time. Until `interrupting` is None again, and `settled` called, a next
        cell could be hit in place of the one that was meant."""
        if self.interrupting is None:
            self.interrupting = asyncio.create_task(self._interrupt())
            self.interrupting.add_done_callback(self._interrupted)

    async def _interrupt(self) -> None:
        try:
            if self.closed_in:
                await self.client.interrupt()
            else:
                await self.server.request("signal", id=self.id, signal=2, group=True)
        except (KernelDidNotStart, TimeoutError, ConnectionError) as error:
            log.warning("kernel %s could not be interrupted: %s", self.id, error)

    def _interrupted(self, _: asyncio.Task[None]) -> None:
        self.interrupting = None
        self.settled()

    def end(self, why: str) -> None:
        """Kills it, and everything in its sandbox with the last one there; `exited` follows."""
        if self.exit is not None or self._wanted is not None:
            return
        self._wanted = why
        self._kill()

    def _kill(self) -> None:
        if self.exit is not None:
            return
        self.server.tell("signal", id=self.id, signal=9, group=True)
        if not self.box.has_others(self.id):
            self.box.end()

    def leaves(self) -> None:
        """It said that it ends by itself; it has a moment for what the code wants done then."""
        if self._wanted is None and self.exit is None:
            self._wanted = "exited"
            asyncio.get_running_loop().call_later(LEAVING_S, self._kill)

    async def ended(self) -> None:
        """Returns when nothing is left of it. Call `end` before."""
        await self._gone.wait()

    # set-up, used by the launcher

    @property
    def wiring(self) -> dict[str, Any]:
        """What it is told of its sockets."""
        return {"channels": CHANNELS}

    async def ready(self) -> None:
        """Returns once it is sealed and says nothing any more that is missed. Raises OSError."""
        await self.sealed
        await self.client.welcomed()

    async def open(self, directory: Path) -> tuple[list[int], int]:
        """Binds and connects its sockets. Returns the fds to hand over, the last being ours to close."""
        self._listeners = Listeners(directory)
        write = self._open_crash_log()
        try:
            if self.closed_in:
                self._listeners.reachable()
                await self.client.accept(self._listeners.copies())
                self.client.resume()
                return [write], write
            await self.client.connect(directory)
            self.client.resume()
        except BaseException:
            os.close(write)
            raise
        return [*self._listeners.fds(), write], write

    def _open_crash_log(self) -> int:
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.hear_crash_log_at(read)
        return write

    async def reopen(self, directory: Path) -> None:
        """Connects to one that an earlier gateway started; it says nothing until `client.resume`. Raises OSError."""
        self._listeners = Listeners.of(directory)
        self.pid = self.server.kernels[self.id]
        self.sealed.set_result(None)
        await self.client.connect(directory)
        await self.client.welcomed()

    def hear_crash_log_at(self, fd: int) -> None:
        self._log_fd = fd
        asyncio.get_running_loop().add_reader(fd, self._hear_crash_log)

    def as_note(self) -> dict[str, Any]:
        """For `Launcher.adopt` of a later gateway."""
        return {"id": self.id, "box": self.box.id, "server": self.server.instance, "boot": exits.boot_id()}

    async def open_workspace(self) -> int:
        """A descriptor of the folder of the session's files, also when the kernel has ended. Raises OSError."""
        if not self.workspace.image:
            return os.open(self.workspace.path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return await self.server.open_image(str(self.workspace.path))
        except (KernelDidNotStart, TimeoutError) as error:
            raise OSError(f"the fork server does not give it: {error}") from None

    def leave(self) -> None:
        """Lives on, for the next gateway."""
        self.server.unwatch(self.id)
        self.client.on_lost = _nothing
        self.client.close()
        self._close_crash_log()

    def handed_over(self) -> None:
        if self._log_fd >= 0 and not self.closed_in:
            self.server.tell("keep", [self._log_fd], id=self.id)
            self.box.handed_over(self.id)
        if self._listeners is not None:
            self._listeners.close()

    def on_event(self, event: Event) -> None:
        kind = event["event"]
        if kind == "spawned":
            self.pid = event["pid"]
            if not self.sealed.done():
                self.sealed.set_result(None)
        elif kind == "spawn_failed" and not self.sealed.done():
            self.sealed.set_exception(KernelDidNotStart(f"The kernel could not be started: {event['message']}"))
        elif kind == "exit" and self._ending is None:
            self.box.leave(self.id)
            self._ending = asyncio.create_task(self._finish(event))

    def _connection_lost(self) -> None:
        # Most often the process has just ended, and the fork server is about to say why.
        if not self._cut:
            self._cut = True
            self.disconnected()
        asyncio.get_running_loop().call_later(EXIT_NEWS_S, self._end_if_alive)

    def _end_if_alive(self) -> None:
        if self._ending is None:
            self.end("disconnected")

    async def _finish(self, event: Event) -> None:
        await self._drained()
        self._hear_crash_log()
        crash_log = self._crash_log.decode(errors="replace")
        self.exit = exits.explain(event, self._wanted, crash_log, *self._memory_kills(), self.language)
        group = self.box.group
        if self.exit.cause == "out_of_memory" and group is not None and group.counts_memory:
            self.box.told_kills = group.oom_kills()
            self.exit = exits.with_memory(self.exit, *group.memory()[1:], group.memory_limit())
        if not self.sealed.done():
            self.sealed.set_exception(KernelDidNotStart(self.exit.reason))
            self.sealed.exception()
        self.discard()
        self.exited(self.exit)
        await self._clear_away()
        self._gone.set()

    async def _drained(self) -> None:
        await self.client.drained(DRAIN_TIMEOUT_S)

    def _memory_kills(self) -> tuple[int, bool]:
        """How many processes were killed for memory, and whether those are known to be this session's own."""
        if (kills := self.box.oom_kills()) is not None:
            return kills - max(self._kills, self.box.told_kills), True
        return exits.host_oom_kills() - self._host_kills, False

    def killed_for_memory(self) -> int:
        """How many of the session's programs were, since this was last asked, and the kernel lived on."""
        if (kills := self.box.oom_kills()) is None:
            return 0
        before = self._kills
        # Those were not this one.
        self._kills = kills
        return kills - before

    async def _clear_away(self) -> None:
        self.server.unwatch(self.id)
        if not self.box.members:
            await self.box.clear_away()

    def not_started(self, error: OSError) -> KernelDidNotStart:
        if isinstance(error, TimeoutError):
            return KernelDidNotStart(f"The kernel was not ready within {self.start_timeout_s:.0f} s.")
        reason = self.exit.reason if self.exit is not None else str(error)
        log_end = self._crash_log.decode(errors="replace").strip()
        log.warning("kernel %s did not start: %s %s", self.id, reason, log_end)
        return KernelDidNotStart(f"The kernel could not be started: {reason}", log=log_end[-1000:])

    def abandon(self) -> None:
        """It did not start. No news of its end may come any more, so what there is of it is cleared away now."""
        self.end("it did not start")
        self.box.leave(self.id)
        self.discard()
        if self._ending is None:
            self._ending = asyncio.create_task(self._clear_away())

    def asked(self) -> None:
        """For a cell."""
        self.box.asked()

    def on_discard(self, action: Callable[[str], None]) -> None:
        """Called with this kernel's id when it is over."""
        self._at_discard.append(action)

    def discard(self) -> None:
        """Gives back everything on the gateway's side but its watch on the sandbox. Safe to call twice."""
        if not self.box.members:
            self.box.discard()
        while self._at_discard:
            self._at_discard.pop()(self.id)
        self.client.on_lost = _nothing
        self.client.close()
        if self._listeners is not None:
            self._listeners.remove()
            self._listeners = None
        self._close_crash_log()

    def _close_crash_log(self) -> None:
        if self._log_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._log_fd)
            os.close(self._log_fd)
            self._log_fd = -1

    def _hear_crash_log(self) -> None:
        if self._log_fd < 0:
            return
        try:
            data = os.read(self._log_fd, 65536)
        except BlockingIOError:
            return
        if data:
            self._crash_log = (self._crash_log + data)[-CRASH_LOG_BYTES:]
        else:
            asyncio.get_running_loop().remove_reader(self._log_fd)


def _nothing() -> None:
    return None
