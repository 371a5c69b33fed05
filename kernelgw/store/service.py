"""The gateway's side of the indexer: starts it, again when it was lost, tells it what happened, and asks it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ..errors import StoreUnavailable
from .wire import Frames, Head, frame

CONTROL_FD = 3
LARGEST = 1 << 18
# The indexer is told of changes so often at most.
TELL_S = 0.25
# For an answer; the indexer gives up a little earlier by itself, and says why.
ANSWER_S, EARLIER_S = 10.0, 1.0
# Whoever deletes a session waits so long for its rows to go.
FORGET_S = 5.0
END_S = 5.0
RESTART_S, SOON_S, RESTART_SLOWLY_S = 0.2, 5.0, 5.0
# Of the gateway's environment, what a PostgreSQL driver reads.
PASSED_ON = ("PG", "HOME", "SSL_CERT")
RETRY_AFTER_S = 2
log = logging.getLogger("kernelgw.store")


@dataclass(frozen=True, slots=True)
class Older:
    """Executions as JSON, oldest first; `more`: whether there are still older ones than `first`, an id."""

    items: list[bytes]
    more: bool
    first: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """An execution as JSON, and the first and last of its events."""

    item: bytes
    first_seq: int
    last_seq: int


class _Lost(Exception):
    """The indexer ended before it answered."""


class Store:
    """`options`: what the indexer is told first. All methods are called in the event loop; none blocks it."""

    def __init__(self, options: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self._first: Head = {"op": "open", **options}
        self._environ = {"LANG": "C.UTF-8"} | {k: v for k, v in environ.items() if k.startswith(PASSED_ON)}
        self._changed: set[str] = set()
        self._read: dict[str, int] = {}
        self._telling: asyncio.TimerHandle | None = None
        self._asked: dict[int, asyncio.Future[tuple[Head, bytes]]] = {}
        self._link: _Link | None = None
        self._there = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._count = 0
        self._round = self._taken = 0
        self._state: Head = {"level": -1, "trouble": None}

    async def open(self) -> None:
        self._watch = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Ends the indexer. What it has not read yet it will read when it is there again."""
        if self._telling is not None:
            self._telling.cancel()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    # what doors and sessions call

    def changed(self, session_id: str) -> None:
        """Something was written into its journal."""
        self._changed.add(session_id)
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(TELL_S, self._tell)

    def read_to(self, session_id: str) -> int:
        """The first event of the journal's file that the indexer has come to."""
        return self._read.get(session_id, 0)

    def forget(self, session_id: str, created_at: str) -> asyncio.Future[bool]:
        """Deletes what is stored of it, before anything of a later session with that id is read. The result says
        whether it is gone, from the disk too; else it goes as soon as that is possible."""
        self._changed.discard(session_id)
        self._read.pop(session_id, None)
        said = {"id": session_id, "created_at": created_at}
        # Said now, and not when the task comes to it.
        return asyncio.ensure_future(self._forget(said, self._say("forget", **said)))

    async def page(self, session_id: str, limit: int, before: str | None, search: str = "") -> Older | None:
        """The newest `limit` executions of those before `before`. None when there is no execution `before`. Raises
        StoreUnavailable."""
        wanted = {"session": session_id, "limit": limit, "before": before, "search": search}
        head, data = await self._ask("page", **wanted)
        if "missing" in head:
            return None
        items, at = [], 0
        for size in head["sizes"]:
            items.append(data[at : at + size])
            at += size
        return Older(items, head["more"], head["first"])

    async def one(self, session_id: str, execution_id: str) -> Found | None:
        """Raises StoreUnavailable."""
        head, data = await self._ask("one", session=session_id, id=execution_id)
        return None if "missing" in head else Found(data, *head["seqs"])

    def view(self) -> dict[str, Any]:
        """For whoever asks how it is: `level` once everything is stored that was told. `reason` may name a database's
        host, and is not for strangers."""
        trouble = self._state["trouble"] if self._link else "The indexer is being started."
        behind = bool(self._changed) or self._state["level"] < self._round
        state = "unavailable" if trouble else "behind" if behind else "level"
        return {"state": state, "reason": trouble}

    # frames

    def _tell(self) -> None:
        self._telling = None
        if self._link is None or not self._changed:
            return
        if self._taken < self._round:
            # It has not even heard of the last ones.
            self._telling = asyncio.get_running_loop().call_later(TELL_S, self._tell)
            return
        self._round += 1
        self._link.say({"op": "changed", "ids": sorted(self._changed), "round": self._round})
        self._changed.clear()

    def _say(self, op: str, **said: Any) -> asyncio.Future[tuple[Head, bytes]]:
        future: asyncio.Future[tuple[Head, bytes]] = asyncio.get_running_loop().create_future()
        if self._link is None:
            future.set_exception(_Lost())
            return future
        self._count += 1
        self._asked[self._count] = future
        self._link.say({"op": op, "n": self._count, **said})
        return future

    async def _forget(self, said: Head, answer: asyncio.Future[tuple[Head, bytes]]) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FORGET_S):
                while True:
                    try:
                        head, _ = await answer
                        return bool(head["gone"])
                    except _Lost:
                        await self._there.wait()
                        answer = self._say("forget", **said)
        # Every new indexer begins with those whose journals are gone.
        return False

    async def _ask(self, op: str, **said: Any) -> tuple[Head, bytes]:
        try:
            async with asyncio.timeout(ANSWER_S):
                head, data = await self._asked_until_heard(op, said)
        except TimeoutError:
            why = self.view()["reason"] or "It has not answered in time."
            raise StoreUnavailable(f"Older executions cannot be read now. {why}", **_later()) from None
        if "unavailable" in head:
            raise StoreUnavailable(f"Older executions cannot be read now. {head['unavailable']}", **_later())
        return head, data

    async def _asked_until_heard(self, op: str, said: Head) -> tuple[Head, bytes]:
        end = asyncio.get_running_loop().time() + ANSWER_S - EARLIER_S
        while True:
            await self._there.wait()
            most_s = max(0.1, end - asyncio.get_running_loop().time())
            try:
                return await self._say(op, most_s=most_s, **said)
            except _Lost:
                continue

    def hear(self, head: Head, data: bytes) -> None:
        if "state" in head:
            self._state = head["state"]
        elif "taken" in head:
            self._taken = head["taken"]
        elif "read" in head:
            self._read |= head["read"]
        elif (future := self._asked.pop(head["n"], None)) is not None and not future.done():
            future.set_result((head, data))

    # the process

    async def _keep(self) -> None:
        """Starts it, and again whenever it ends."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                await self._run()
            except OSError as error:
                log.error("the indexer cannot be started: %s", error)
            else:
                log.error("the indexer was lost; it is started again")
            await asyncio.sleep(RESTART_SLOWLY_S if loop.time() - started < SOON_S else RESTART_S)

    async def _run(self) -> None:
        """From its start to its end. Raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            pid = _launch(theirs, self._environ)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        link = _Link(self, pid)
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
            self._begin(link)
            await link.ended.wait()
        finally:
            self._over(link)
            await asyncio.shield(asyncio.create_task(_ended(pid)))

    def _begin(self, link: _Link) -> None:
        # A new one looks at all journals first, so that nothing of before has to be told again.
        self._round = self._taken = 0
        self._state = {"level": -1, "trouble": None}
        self._link = link
        link.say(self._first)
        self._there.set()
        if self._changed and self._telling is None:
            self._tell()

    def _over(self, link: _Link) -> None:
        self._there.clear()
        self._link = None
        link.close()
        asked, self._asked = self._asked, {}
        for future in asked.values():
            if not future.done():
                future.set_exception(_Lost())


class _Link(asyncio.Protocol):
    def __init__(self, store: Store, pid: int) -> None:
        self.ended = asyncio.Event()
        self._store = store
        self._frames = Frames()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are no subclass of it.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        for head, payload in self._frames.take(data):
            self._store.hear(head, payload)

    def connection_lost(self, _: Exception | None) -> None:
        self.ended.set()

    def say(self, head: Head) -> None:
        if self._transport is not None:
            self._transport.write(frame(head))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _later() -> dict[str, Any]:
    return {"retry_after_s": RETRY_AFTER_S}


def _launch(control: socket.socket, environ: Mapping[str, str]) -> int:
    argv = [sys.executable, "-I", "-m", "kernelgw.indexer"]
    actions = [
        (os.POSIX_SPAWN_DUP2, control.fileno(), CONTROL_FD),
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    ]
    return os.posix_spawn(argv[0], argv, dict(environ), file_actions=actions, setsid=True)


async def _ended(pid: int) -> None:
    """Waits until it has, and sees to it: its socket is closed."""
    ended = asyncio.create_task(asyncio.to_thread(_collect, pid))
    try:
        await asyncio.wait_for(asyncio.shield(ended), END_S)
    except TimeoutError:
        os.kill(pid, 9)
        await ended


def _collect(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        log.debug("the indexer %d is not our child", pid)
