"""`python -I -m kernelgw.indexer`: reads journals into the store, behind everything else that the machine has to do.

fd 3 is a stream socket to the gateway. The first frame says where everything is, a database's password too, so that it
stands in no argument. It ends when that socket does.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import select
import socket
import sys
import time
from typing import Any

from ..hardening import gain_nothing, hide
from ..store import queries
from ..store.engine import Unavailable
from ..store.wire import Frames, Head, frame
from .worker import Worker, worker_of

CONTROL_FD = 3
LARGEST = 1 << 18
# A store that could not be used is tried again after so long, and then less often.
AGAIN_S, AGAIN_SLOWLY_S = 0.25, 2.0
log = logging.getLogger("kernelgw.store")


class Indexer:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._frames = Frames()
        self._worker: Worker | None = None
        self._options: Head = {}
        self._trouble: str | None = None
        self._wait_s = AGAIN_S
        self._again = 0.0
        self._round = 0
        self._told: Head = {}

    def run(self) -> None:
        """Until the gateway is gone."""
        while True:
            ready = select.select([self._control], [], [], self._patience())[0]
            if ready:
                data = self._control.recv(LARGEST)
                if not data:
                    return
                for head, _ in self._frames.take(data):
                    self._hear(head)
            if self._options and time.monotonic() >= self._again and not (self._worker and self._worker.idle):
                self._work()
            self._tell_state()

    def _patience(self) -> float | None:
        """Seconds for which nothing is to be done but listen."""
        if not self._options or (self._worker is not None and self._worker.idle):
            return None
        return max(0.0, self._again - time.monotonic())

    def _work(self) -> None:
        try:
            self._ready().work()
        except Unavailable as error:
            if self._trouble is None:
                log.error("the store cannot be used: %s", error)
            self._trouble = str(error)
            self._again = time.monotonic() + self._wait_s
            self._wait_s = min(2 * self._wait_s, AGAIN_SLOWLY_S)
        else:
            if self._trouble is not None:
                log.warning("the store can be used again")
            self._trouble, self._wait_s = None, AGAIN_S

    def _ready(self) -> Worker:
        """Raises Unavailable."""
        if self._worker is None:
            self._worker = worker_of(self._options)
        return self._worker

    # what the gateway says

    def _hear(self, head: Head) -> None:
        if head["op"] == "open":
            self._options = head
        elif head["op"] == "changed":
            self._round = head["round"]
            self._say({"taken": self._round})
            with contextlib.suppress(Unavailable):
                self._ready().changed(head["ids"])
        elif head["op"] == "forget":
            self._forget(head)
        else:
            self._answer(head)

    def _forget(self, head: Head) -> None:
        def done(gone: bool) -> None:
            self._say({"n": head["n"], "gone": gone})

        try:
            self._ready().forget(head["id"], head["created_at"], done)
        except Unavailable:
            done(False)

    def _answer(self, head: Head) -> None:
        try:
            answer, pieces = self._ask(self._ready(), head)
        except queries.NotThere:
            answer, pieces = {"missing": True}, []
        except Unavailable as error:
            answer, pieces = {"unavailable": str(error)}, []
        self._say({"n": head["n"], **answer}, *pieces)

    @staticmethod
    def _ask(worker: Worker, head: Head) -> tuple[Head, list[bytes]]:
        session, most_s = head["session"], head["most_s"]
        if head["op"] == "one":
            item, seqs = worker.one(session, head["id"], most_s)
            return {"seqs": seqs}, [item]
        page = worker.page(session, head["limit"], head["before"], head["search"], most_s)
        return {"more": page.more, "first": page.first, "sizes": [len(item) for item in page.items]}, page.items

    # what it hears

    def _tell_state(self) -> None:
        if self._worker is not None and self._worker.read:
            read, self._worker.read = self._worker.read, {}
            self._say({"read": read})
        idle = self._worker is not None and self._worker.idle
        level = self._round if idle else self._told.get("level", -1)
        told = {"level": level, "trouble": self._trouble}
        if told != self._told:
            self._told = told
            self._say({"state": told})

    def _say(self, head: Head, *pieces: bytes) -> None:
        self._control.sendall(frame(head, *pieces))


def confine() -> None:
    """Behind everything else, and out of reach. Raises OSError."""
    os.chdir("/")
    os.umask(0o077)
    os.nice(19)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    hide()
    gain_nothing()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Of each step that there is to be done in a database; alembic says so at every start.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    confine()
    control: Any = socket.socket(fileno=CONTROL_FD)
    os.set_inheritable(CONTROL_FD, False)
    try:
        Indexer(control).run()
    except (BrokenPipeError, ConnectionResetError):
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
