"""What a client may ask of its session, and what becomes of it: cells go where all cells go, the rest to the kernel."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any

import orjson

from ..errors import BadRequest, GatewayError, NotWaitingForInput
from ..languages import TYPESCRIPT
from ..sessions.execution import Order
from .attached import Attached
from .framing import Incoming, Parts
from .messages import failed, message, status
from .room import Room
from .visit import Visit

# Anything else could run code that is in no history, or reach what is between the gateway and its kernels.
SHELL = frozenset(
    {"kernel_info_request", "complete_request", "inspect_request", "is_complete_request", "history_request"}
    | {"comm_info_request", "comm_open", "comm_msg", "comm_close"}
)
CONTROL = frozenset({"kernel_info_request", "debug_request", "usage_request"})
PASSED_ON = MappingProxyType({"shell": SHELL, "control": CONTROL})
# As cells of a notebook are named.
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# What is kept of a header: it is said again as the parent of whatever comes of it.
HEADER = ("msg_id", "msg_type", "session", "username", "date", "version")
LONGEST_USERNAME = LONGEST_NAME = 256
# All together, in characters.
LONGEST_EXPRESSIONS = 64 << 10
# Languages whose kernel speaks another, too, when it is not told.
AMONG_OTHERS = frozenset({TYPESCRIPT})


class Desk:
    """For one client."""

    def __init__(self, visit: Visit, room: Room, client: Attached) -> None:
        self._visit = visit
        self._house = visit.hall.house
        self._room = room
        self._client = client

    async def take(self, incoming: Incoming) -> None:
        """Returns when the next may come. Raises BadFrame."""
        self._client.goes_by(str(incoming.header.get("session", "")))
        self._room.heard(self._client)
        kind = incoming.msg_type
        if incoming.channel == "shell" and kind == "execute_request":
            self._execute(incoming)
        elif incoming.channel == "stdin" and kind == "input_reply":
            self._answer(incoming)
        elif incoming.channel == "control" and kind == "interrupt_request":
            self._room.lane.interrupt()
            self._reply(incoming, {"status": "ok"})
        elif incoming.channel == "control" and kind == "shutdown_request":
            await self._shut_down(incoming)
        elif kind in PASSED_ON.get(incoming.channel, ()):
            await self._pass_on(incoming)
        elif kind.endswith("_request"):
            self._reply(incoming, failed("NotSupported", f"There is no {kind[:100]} here."))

    async def _pass_on(self, incoming: Incoming) -> None:
        session, lane = self._room.session, self._room.lane
        try:
            if lane.kernel is None:
                self._house.wake(lane)
            if incoming.msg_type == "debug_request":
                self._debugs(incoming)
            if (incoming.channel, incoming.msg_type) == ("shell", "kernel_info_request"):
                self._room.ask_about(incoming.header["msg_id"], incoming.parts)
            else:
                self._room.pass_on(incoming.channel, incoming.parts)
        except GatewayError as error:
            self._reply(incoming, failed(type(error).__name__, error.message))
            return
        if incoming.msg_type.startswith("comm_"):
            session.touch()
        if lane.kernel is not None:
            # A kernel that does not read: then its clients are not read either.
            await lane.kernel.client.room(incoming.channel)

    def _debugs(self, incoming: Incoming) -> None:
        """Raises BadRequest for what debugpy would never answer, nor anything after it."""
        if not isinstance(incoming.content.get("arguments", {}), dict):
            raise BadRequest("The arguments of a debug request are an object.")
        if not isinstance(incoming.content.get("command"), str) or not isinstance(incoming.content.get("seq", 0), int):
            raise BadRequest("A debug request has a command, which is a text, and a number.")
        name = str(incoming.header.get("session", ""))
        username = str(incoming.header.get("username", ""))[:LONGEST_USERNAME]
        if len(name) <= LONGEST_NAME:
            self._room.lane.debugging.asked(name, username, str(incoming.content.get("command")))

    # cells

    def _execute(self, incoming: Incoming) -> None:
        try:
            order, code, stdin = _order(incoming, self._room.lane.language.name)
            if order.id in self._room.session.executions:
                raise BadRequest("A msg_id can be used once.")
            execution = self._house.execute(self._room.session, code, None, None, stdin, order)
        except GatewayError as error:
            self._reply(incoming, failed(type(error).__name__, error.message))
            return
        self._room.owe(execution)

    def _answer(self, incoming: Incoming) -> None:
        current = self._room.lane.current
        value = incoming.content.get("value")
        # Only who asked for a cell is asked by it.
        if current is None or current.order is None or current.order.asker not in self._client.names:
            return
        if isinstance(value, str):
            try:
                self._room.session.answer_input(current, value)
            except NotWaitingForInput:
                return

    # the kernel's life

    async def _shut_down(self, incoming: Incoming) -> None:
        restart = incoming.content.get("restart") is True
        try:
            if restart:
                self._visit.restart(self._room.session)
            self._reply(incoming, {"status": "ok", "restart": restart})
            if not restart:
                await self._visit.let_go(self._room.session)
        except GatewayError as error:
            self._reply(incoming, failed(type(error).__name__, error.message))

    def _reply(self, incoming: Incoming, content: dict[str, Any]) -> None:
        """In the kernel's place, framed by the states that clients wait for."""
        parent = incoming.header
        kind = incoming.msg_type.removesuffix("_request") + "_reply"
        self._client.tell("iopub", status("busy", parent))
        self._client.tell(incoming.channel, message(kind, content, parent))
        self._client.tell("iopub", status("idle", parent))


def _order(incoming: Incoming, language: str) -> tuple[Order, str, bool]:
    """Raises BadRequest."""
    content = incoming.content
    code = content.get("code")
    if not isinstance(code, str):
        raise BadRequest("An execute_request has a code, which is a text.")
    if ID.fullmatch(incoming.header["msg_id"]) is None:
        raise BadRequest("A msg_id has 1 to 64 letters, digits, dashes or underscores here.")
    order = Order(
        incoming.header["msg_id"],
        "jupyter",
        str(incoming.header.get("username", ""))[:LONGEST_USERNAME],
        {name: value for name in HEADER if isinstance(value := incoming.header.get(name), str)},
        expressions=_expressions(content),
        stops=content.get("stop_on_error", True) is True,
        silent=content.get("silent") is True,
        request=tuple(_request(incoming, content, language)),
    )
    return order, code, content.get("allow_stdin", True) is True


def _expressions(content: dict[str, Any]) -> dict[str, str]:
    """They are run as the cell is, so they are told as it is. Raises BadRequest."""
    given = content.get("user_expressions") or {}
    if not isinstance(given, dict) or not all(isinstance(each, str) for each in given.values()):
        raise BadRequest("user_expressions are texts by name.")
    if sum(len(name) + len(each) for name, each in given.items()) > LONGEST_EXPRESSIONS:
        raise BadRequest(f"user_expressions may have {LONGEST_EXPRESSIONS >> 10} KiB together.")
    return given


def _request(incoming: Incoming, content: dict[str, Any], language: str) -> Parts:
    """As the client wrote it, and which of its kernel's languages it is in. What has to be skipped after a failure is
    known here, not to the kernel: it would skip what others are waiting for."""
    header, parent, metadata, changed, *buffers = incoming.parts
    try:
        if content.get("stop_on_error") is not False:
            changed = orjson.dumps({**content, "stop_on_error": False})
        if language in AMONG_OTHERS:
            metadata = orjson.dumps({**_object(metadata), "language": language})
    except orjson.JSONEncodeError as error:
        raise BadRequest(f"The request cannot be sent on: {error}.") from None
    return [header, parent, metadata, changed, *buffers]


def _object(part: bytes) -> dict[str, Any]:
    value = orjson.loads(part)
    return value if isinstance(value, dict) else {}
