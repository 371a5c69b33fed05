"""A kernel whose language is spoken by another program, which this process drives."""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import logging
import os
import signal
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import zmq
from ipykernel.kernelbase import Kernel

from . import similar
from .common import OnChassis, given_text, new_session

MOST_HISTORY = 1000
INTERRUPTED = "KeyboardInterrupt"


@dataclass(frozen=True)
class Failure:
    """How a cell failed. `traceback`: lines for people, with ANSI colours or without. `frames`: what is known of it,
    innermost last, each with file, line, function, source (lines by number) and library (whether it is not the
    user's). `causes`: what is behind it, nearest first, each with relation, name, value and frames."""

    name: str
    value: str
    traceback: Sequence[str] = ()
    frames: Sequence[dict[str, Any]] = field(default_factory=tuple)
    causes: Sequence[dict[str, Any]] = field(default_factory=tuple)

    def content(self) -> dict[str, Any]:
        lines = list(self.traceback) or [f"{self.name}: {self.value}" if self.value else self.name]
        told = {"ename": self.name, "evalue": self.value, "traceback": lines}
        known = {"frames": list(self.frames), "causes": list(self.causes)}
        return told | {name: each for name, each in known.items() if each}


class NobodyToAsk(RuntimeError):
    """The cell was run without `stdin`."""


class HostedKernel(OnChassis, Kernel):
    """Subclasses have `implementation`, `banner` and `language_info`, and override what raises NotImplementedError.

    What the program writes to the fds 1 and 2 that it inherits is output of the cell that runs. All that this process
    prints or shows has its place in the same order.
    """

    implementation_version = "1"

    def __init__(self) -> None:
        log = logging.getLogger("kernelgw.kernel")
        log.addHandler(logging.NullHandler())
        log.propagate = False
        super().__init__(session=new_session(), log=log)
        self._history: deque[tuple[int, str]] = deque(maxlen=MOST_HISTORY)
        self._running = False
        self._early = False
        self._may_ask = False
        # All that the cell may read from its standard input, if that came with it.
        self._given: str | None = None
        # Of the chassis, once it is attached.
        self._stdout: Any = None
        self._stderr: Any = None

    # what a language is

    async def open(self) -> None:
        """Starts the program; called once, before any cell, in the loop in which cells run."""
        raise NotImplementedError

    async def run_cell(self, code: str, language: str | None) -> Failure | None:
        """Returns when the cell is over. What it says in between goes by `text`, `show` and `result`. `language`: which
        of those that the kernel speaks, if that was said."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """What runs is to stop; `run_cell` then returns `interrupted`. Called by a signal handler, in the main thread:
        at any moment, so nothing here may wait."""
        raise NotImplementedError

    def folder(self) -> str | None:
        """Where the program is now, where that is known."""
        return None

    # what it has

    def text(self, name: str, text: str) -> None:
        """`name`: stdout or stderr."""
        (self._stdout if name == "stdout" else self._stderr).write(text)

    def show(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        display_id: str | None = None,
        update: bool = False,
    ) -> None:
        """`data`: by MIME type; binary content as base64, JSON as it is."""
        kind = "update_display_data" if update else "display_data"
        transient = {"display_id": display_id} if display_id is not None else {}
        self._say(kind, {"data": data, "metadata": metadata or {}, "transient": transient})

    def result(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        content = {"data": data, "metadata": metadata or {}, "execution_count": self.execution_count}
        self._say("execute_result", content)

    def clear(self, wait: bool = False) -> None:
        self._say("clear_output", {"wait": wait})

    async def ask(self, prompt: str = "", password: bool = False) -> str:
        """What whoever runs the cell answers. Raises NobodyToAsk."""
        if not self._may_ask:
            raise NobodyToAsk("nobody is asked: the cell was run without stdin")
        with contextlib.suppress(zmq.ZMQError):
            while self.stdin_socket.recv_multipart(zmq.NOBLOCK):
                """An answer that came too late, for what was asked before."""
        content = {"prompt": prompt, "password": password}
        parent = self.get_parent("shell")
        ident = self._parent_ident["shell"]
        self.session.send(self.stdin_socket, "input_request", content, parent, ident=ident)
        return str((await self._answer())["content"]["value"])

    @property
    def interrupted(self) -> Failure:
        return Failure(INTERRUPTED, "")

    # Jupyter's side

    @property
    def kernel_info(self) -> dict[str, Any]:
        """ipykernel's, without its debugger, which would be Python's."""
        found: dict[str, Any] = super().kernel_info
        return {name: value for name, value in found.items() if name != "supported_features"}

    def start(self) -> None:
        # Before it looks at the first request.
        asyncio.get_event_loop().run_until_complete(self.open())
        super().start()

    def begins(self) -> None:
        self._early = False
        signal.signal(signal.SIGINT, self._on_interrupt)

    def ends(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _on_interrupt(self, *_: Any) -> None:
        if self._running:
            self.interrupt()
        else:
            self._early = True

    def set_parent(self, ident: Any, parent: Any, channel: str = "shell") -> None:
        super().set_parent(ident, parent, channel)
        if channel == "shell":
            for stream in (self._stdout, self._stderr):
                stream.set_parent(parent)

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, Any] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        if store_history and not silent:
            self._history.append((self.execution_count, code))
        self._may_ask, self._given = allow_stdin, given_text(cell_meta)
        self._running = True
        try:
            failure = self.interrupted if self._early else await self.run_cell(code, (cell_meta or {}).get("language"))
        finally:
            self._running = self._may_ask = False
        count = {"execution_count": self.execution_count, "user_expressions": {}, "payload": []}
        if failure is None:
            return {"status": "ok", **count}
        content = failure.content()
        if self.changes is None:
            # A notebook has no place for it.
            for name in ("frames", "causes"):
                content.pop(name, None)
        else:
            content |= similar.facts(failure.value, self.folder())
        self._say("error", content)
        return {"status": "error", **content, **count}

    def do_history(
        self,
        hist_access_type: str,
        output: bool,
        raw: bool,
        session: int = 0,
        start: int = 0,
        stop: int | None = None,
        n: int | None = None,
        pattern: str | None = None,
        unique: bool = False,
    ) -> dict[str, Any]:
        entries = list(self._history)
        if hist_access_type == "range":
            entries = [(number, code) for number, code in entries if start <= number and (not stop or number < stop)]
        if hist_access_type == "search":
            entries = [entry for entry in entries if fnmatch.fnmatchcase(entry[1], pattern or "*")]
        if unique:
            entries = [(number, code) for code, number in {code: number for number, code in entries}.items()]
        if hist_access_type != "range" and n:
            entries = entries[-n:]
        found = [(0, number, (code, None) if output else code) for number, code in entries]
        return {"status": "ok", "history": found}

    def _say(self, kind: str, content: dict[str, Any]) -> None:
        parent = self.get_parent("shell")
        self.session.send(self.iopub_socket, kind, content, parent, ident=self._topic(kind))

    async def _answer(self) -> dict[str, Any]:
        loop, fd = asyncio.get_running_loop(), self.stdin_socket.get(zmq.FD)
        while True:
            _, message = self.session.recv(self.stdin_socket, zmq.NOBLOCK)
            if message is not None:
                return dict(message)
            readable = asyncio.Event()
            loop.add_reader(fd, readable.set)
            try:
                # libzmq tells each change once, and may have told it to the look just before.
                if not self.stdin_socket.get(zmq.EVENTS) & zmq.POLLIN:
                    await readable.wait()
            finally:
                loop.remove_reader(fd)


def own_environment(boot: dict[str, Any]) -> None:
    """The variables that the program is to find, and this process with it."""
    os.environ.clear()
    os.environ.update(boot["env"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
