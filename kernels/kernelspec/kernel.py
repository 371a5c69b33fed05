"""Any Jupyter kernel that is installed as a kernelspec: a child that is asked by TCP, and answered for."""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from ..common import become, given_text
from ..hosted import INTERRUPTED, HostedKernel, NobodyToAsk, own_environment
from ..linux import set_process_name
from . import quirks
from .line import Line, Said
from .program import Program
from .requests import Request, Requests

START_S = 60.0
# Passed on as they are, with how long their answers may take.
ASKED = ("complete_request", "inspect_request", "is_complete_request", "history_request", "comm_info_request")
ANSWER_S = 10.0
COMM = ("comm_open", "comm_msg", "comm_close")
# Ours to say, or the gateway's.
NOT_PASSED = frozenset({"status", "execute_input", "iopub_welcome", "files_changed", "debug_event"})
COLOURED = frozenset({"display_data", "update_display_data", "execute_result"})
# Some run nothing for a moment after an error, whatever they are told of `stop_on_error`.
PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8)
# One that comes a moment before the cell's first line is without effect.
AGAIN_S, MOST_INTERRUPTS = 1.0, 3
# Of a kernel that could not be started, or did not last.
FAILED = 1


class KernelspecKernel(HostedKernel):
    """`options`: argv, env, interrupt_mode (signal or message) and title, as its kernel.json has them."""

    implementation = "kernelspec"
    banner = ""
    language_info: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__()
        self._options = options
        self._by_message = options.get("interrupt_mode") == "message"
        self._program: Program | None = None
        self._line: Line | None = None
        self._requests = Requests()
        self._request: Request | None = None
        self._info: dict[str, Any] = {}
        self._up = threading.Event()
        self._asking: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        handlers: dict[str, Any] = dict.fromkeys(ASKED, self._pass_on) | dict.fromkeys(COMM, self._comm)
        self.shell_handlers.update(handlers)

    # its program

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            self._program = Program(self._options, self.text, self._ended)
        except OSError as error:
            self._give_up(f"{self._options['argv'][0]} cannot be run: {error.strerror}", FAILED)
        self._line = Line(self._program.connection, self._heard, self._asked)
        limit = float(self._options.get("start_s", START_S))
        try:
            info = await asyncio.wait_for(self._line.ready(), limit)
        except TimeoutError:
            said = " | ".join(self._program.last_lines)
            self._program.end(leaves=False)
            words = f"{self._program.name} was not ready within {limit:.0f} s"
            self._give_up(f"{words}: {said}" if said else words, FAILED)
        self._program.ready()
        # Nothing else holds it back: by its socket what it says is lost, or fills our memory.
        self.iopub_socket.holds = self._program.hold
        self._info = quirks.features(info)
        self._up.set()

    async def claim(self, variables: dict[str, str], cwd: str | None) -> None:
        """What the program has of both it was started with; nothing has run in it yet."""
        before = dict(os.environ), os.getcwd()
        await super().claim(variables, cwd)
        if before != (dict(os.environ), os.getcwd()):
            self._close()
            await self.open()

    def _close(self) -> None:
        program, line = self._program, self._line
        self._program = self._line = None
        if program is not None and line is not None:
            program.end(leaves=False)
            program.close()
            line.close()

    def _ended(self, program: Program, code: int) -> None:
        """This kernel goes with it, the same way."""
        if program is not self._program:
            return
        program.drain()
        interrupted = self._request is not None and self._request.interrupted
        self._give_up(quirks.reason(program.name, program.last_lines, program.begun, interrupted), code)

    def _give_up(self, why: str, code: int) -> NoReturn:
        assert self.chassis is not None
        os.write(self.chassis.log_fd, f"Fatal error: {why}\n".encode(errors="replace"))
        if code < 0:
            self.chassis.die(-code)
        self.chassis.leave(code)
        raise SystemExit(code)

    async def do_shutdown(self, restart: bool) -> dict[str, Any]:
        """In the thread of the control channel; the sockets are the main thread's."""
        program, line, loop = self._program, self._line, self._loop
        self._program = None
        if program is not None and line is not None and loop is not None:
            loop.call_soon_threadsafe(line.send, "control", "shutdown_request", {"restart": restart})
            program.end(leaves=True)
        return {"status": "ok", "restart": restart}

    @property
    def kernel_info(self) -> dict[str, Any]:
        """Its own; a control channel may ask before it is there."""
        self._up.wait(START_S)
        return self._info

    # what it says

    def _heard(self, said: Said) -> None:
        if (known := self._requests.of(said)) is not None:
            known.heard(said)
        if said.kind in NOT_PASSED or said.kind.endswith(("_reply", "_request")):
            return
        request = self._requests.whose(said)
        if request is None or self._program is None:
            return
        if said.kind == "stream":
            name = "stderr" if said.fields.get("name") == "stderr" else "stdout"
            if text := str(said.fields.get("text", "")):
                self.iopub_socket.text(name, request.header, text)
        else:
            self._tell(request, said)

    def _tell(self, request: Request, said: Said) -> None:
        content: Any = said.content
        if said.kind == "error":
            content = request.error = quirks.error(said.fields)
        elif said.kind in COLOURED and b"\\u001b" in said.content.lower():
            content = quirks.without_colours(said.fields)
        self._send(self.iopub_socket, said, content, request.header, self._topic(said.kind))

    def _send(self, stream: Any, said: Said, content: Any, parent: Any, ident: Any) -> None:
        metadata = self.session.unpack(said.metadata)
        buffers = list(said.buffers) or None
        self.session.send(stream, said.kind, content, parent, ident=ident, buffers=buffers, metadata=metadata or {})

    def _asked(self, said: Said) -> None:
        request = self._request
        if said.kind == "input_request" and request is not None:
            # Where ipykernel knows which request is meant.
            task = asyncio.get_running_loop().create_task(self._answer_it(request, said), context=request.context)
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _answer_it(self, request: Request, said: Said) -> None:
        if request.lines is not None:
            value = request.lines.pop(0) if request.lines else quirks.END_OF_FILE
        else:
            try:
                value = await self.ask(str(said.fields.get("prompt", "")), said.fields.get("password") is True)
            except NobodyToAsk:
                value = ""
        if self._line is not None:
            self._line.send("stdin", "input_reply", {"value": value})

    # what it is asked

    async def _pass_on(self, stream: Any, ident: Any, parent: Any) -> None:
        kind = parent["header"]["msg_type"]
        assert self._line is not None
        id_, reply = self._line.ask("shell", kind, parent["content"])
        self._requests.add(id_, Request(parent["header"]))
        try:
            said = await asyncio.wait_for(reply, ANSWER_S)
        except TimeoutError:
            error = {"status": "error", "ename": "NoReply", "evalue": "The kernel did not answer.", "traceback": []}
            self.session.send(stream, kind.replace("_request", "_reply"), error, parent, ident=ident)
            return
        self._send(stream, said, said.content, parent, ident)

    async def _comm(self, stream: Any, ident: Any, parent: Any) -> None:
        assert self._line is not None
        request = self._request = Request(parent["header"])
        id_ = parent["header"]["msg_id"]
        self._requests.add(id_, request)
        self._running = True
        further = {"metadata": parent["metadata"], "buffers": parent["buffers"]}
        try:
            self._line.send("shell", parent["header"]["msg_type"], parent["content"], id_, **further)
            await request.over(None)
        finally:
            self._running = False

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
        if self._early:
            return self._failed(None, self.interrupted.content())
        given = given_text(cell_meta)
        lines = given.splitlines() if given is not None else None
        request = self._request = Request(self.get_parent("shell")["header"], lines)
        content = {
            "code": code,
            "silent": silent,
            "store_history": store_history,
            "user_expressions": user_expressions or {},
            "allow_stdin": allow_stdin or lines is not None,
            # What waits is the gateway's to skip.
            "stop_on_error": False,
        }
        self._may_ask, self._running = allow_stdin, True
        try:
            reply = await self._run(request, content)
        finally:
            self._may_ask = self._running = False
            for task in self._asking:
                task.cancel()
        return self._result(request, reply)

    async def _run(self, request: Request, content: dict[str, Any]) -> dict[str, Any]:
        assert self._line is not None
        assert self._program is not None
        id_ = request.header["msg_id"]
        for pause in (*PAUSES_S, 0.0):
            request.begin()
            self._requests.add(id_, request)
            said = await request.over(self._line.ask("shell", "execute_request", content, id_)[1])
            self._program.drain()
            reply = said.fields if said is not None else {"status": "error", "ename": "NoReply"}
            if reply.get("status") not in quirks.NOT_RUN or request.interrupted:
                break
            await asyncio.sleep(pause)
            id_ = uuid.uuid4().hex
        return reply

    def _result(self, request: Request, reply: dict[str, Any]) -> dict[str, Any]:
        if reply.get("status") == "ok":
            return {"payload": [], "user_expressions": {}, **reply, "execution_count": self.execution_count}
        error = quirks.error(reply, request.error)
        if request.interrupted:
            error = {**error, "ename": INTERRUPTED}
        return self._failed(request, error)

    def _failed(self, request: Request | None, error: dict[str, Any]) -> dict[str, Any]:
        if request is None or request.error is None:
            self._say("error", error)
        count = {"execution_count": self.execution_count, "user_expressions": {}, "payload": []}
        return {"status": "error", **error, **count}

    # interrupts

    def interrupt(self) -> None:
        if self._loop is not None and self._request is not None:
            self._loop.call_soon_threadsafe(self._interrupt, self._request, MOST_INTERRUPTS)

    def _interrupt(self, request: Request, left: int) -> None:
        """Of what has begun: before, it would be without effect, or without a cell to catch it."""
        program, line = self._program, self._line
        if not self._running or request is not self._request or program is None or line is None or not left:
            return
        if not request.busy:
            asyncio.get_running_loop().call_later(AGAIN_S / 100, self._interrupt, request, left)
            return
        request.interrupted = True
        if self._by_message:
            line.send("control", "interrupt_request", {})
            asyncio.get_running_loop().call_later(AGAIN_S, self._interrupt, request, left - 1)
        else:
            program.interrupt()


def run(boot: dict[str, Any], fds: list[Any]) -> NoReturn:
    set_process_name("kernel")
    own_environment(boot)
    become(KernelspecKernel(boot["options"]), boot, fds)
