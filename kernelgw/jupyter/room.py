"""All clients at one session: what its kernel says goes to those whom it concerns."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from ..errors import GatewayStopping, TooManyConnections
from ..events.event import Event
from ..kernel.wire import Message, Undecodable
from ..sessions.execution import Execution
from ..sessions.lifecycle import State
from ..sessions.notebook import bundle
from ..sessions.session import Session
from .attached import Attached, Told
from .framing import Parts
from .messages import message, status
from .replay import reply, told

MOST_CLIENTS = 16
# Requests that wait for a kernel to be there.
MOST_HELD, MOST_HELD_BYTES = 200, 4 << 20
# Of executions that ended while a client was away, the newest; names of clients that are remembered.
MOST_MISSED, MOST_REMEMBERED = 20, 64
READ_BYTES = 256 << 10
# What stands outside its event and is larger is only named to a client that missed it.
MOST_EMBEDDED = 8 << 20
ENDED = (1000, "the session has ended")
# Those that a kernel may say; that it is dead, the gateway says.
STATES = frozenset({"starting", "idle", "busy"})
LARGEST_METADATA = 64 << 10
# What our kernel sends in its one numbered order, and where Jupyter has it.
OWN_CHANNEL = (("execute_reply", "shell"), ("input_request", "stdin"))
SUBSHELLS = "kernel subshells"


@dataclass(slots=True)
class Late:
    """Who came while a cell ran, and may have come after the kernel has said that it is over."""

    client: Attached
    reply: bool
    idle: bool = True


@dataclass(slots=True)
class Owed:
    """What is still to be said of an execution, by the kernel or in its place: to all, and to those who came late."""

    execution: Execution
    reply: bool
    idle: bool
    late: list[Late] = field(default_factory=list)

    def said(self, message: Message) -> None:
        """By the kernel, to all who are here."""
        if message.msg_type == "execute_reply":
            self.reply = False
            for late in self.late:
                late.reply = False
        elif message.msg_type == "status" and message.content.get("execution_state") == "idle":
            self.idle = False
            for late in self.late:
                late.idle = False


class Room:
    """Watches its session while somebody is here. `forget` is called when the session has ended."""

    def __init__(self, session: Session, forget: Callable[[Session], None]) -> None:
        self.session = session
        # Its own kernel.
        self.lane = session.main
        self.clients: list[Attached] = []
        self._forget = forget
        self._owed: dict[str, Owed] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._held: deque[tuple[str, Parts]] = deque()
        # Requests that took the other way to a kernel whose shell is busy.
        self._by_control: OrderedDict[str, None] = OrderedDict()
        # Where the log was when a client of this name last said something, and when the last of all left.
        self._heard: OrderedDict[str, int] = OrderedDict()
        self._left: int | None = None

    # who is here

    def enter(self, client: Attached) -> None:
        """From now on it is told everything, beginning with what it missed. Raises TooManyConnections."""
        if len(self.clients) >= MOST_CLIENTS:
            raise TooManyConnections(f"{MOST_CLIENTS} clients are at this kernel already.", retry_after_s=5)
        client.missed = self._missed(client.session_id, self._missed_by(client.session_id), self.session.log.last)
        if not self.clients:
            self.lane.watch(self)
        self.clients.append(client)
        self.heard(client)
        if (current := self.lane.current) is not None:
            owed = self._owed.get(current.id) or self._owe(Owed(current, reply=False, idle=False))
            owed.late.append(Late(client, own(current, client.session_id)))

    def leave(self, client: Attached) -> None:
        if client not in self.clients:
            return
        self.clients.remove(client)
        for owed in self._owed.values():
            owed.late = [each for each in owed.late if each.client is not client]
        self._say_who_debugs()
        if not self.clients:
            self._left = self.session.log.last
            self._held.clear()
            self.lane.watch(None)

    def withdraw(self, client: Attached) -> None:
        """What it has asked for is not run any more, or stopped: it may not ask for anything."""
        for execution in list(self.session.executions.values()):
            if not execution.finished and any(own(execution, name) for name in client.names):
                self.session.stop(execution)

    def _say_who_debugs(self) -> None:
        debugging = self.lane.debugging
        if debugging.clients:
            here = {name for client in self.clients if client.spoke for name in client.names}
            debugging.attended(not here.isdisjoint(debugging.clients))

    def heard(self, client: Attached) -> None:
        """It is alive, so what was said until now has reached it."""
        self._say_who_debugs()
        self._heard[client.session_id] = self.session.log.last
        self._heard.move_to_end(client.session_id)
        while len(self._heard) > MOST_REMEMBERED:
            self._heard.popitem(last=False)

    # what it missed

    def _missed_by(self, name: str) -> list[Execution]:
        """What runs, and what ended since the client was last heard of; where that is not known, since somebody was
        here last, and its own newest."""
        found: list[Execution] = []
        known = self._heard.get(name)
        since = self._left if known is None and not self.clients else known
        for execution in reversed(self.session.executions.values()):
            if len(found) >= MOST_MISSED:
                break
            if execution.kernel != self.lane.name:
                continue
            ended = execution.finished and since is not None and execution.last_seq > since
            newest = known is None and execution.finished and not found and own(execution, name)
            if execution is self.lane.current or ended or newest:
                found.append(execution)
        return found[::-1]

    def _missed(self, name: str, executions: list[Execution], until: int) -> Iterator[Told]:
        """Read as it is sent, so that nothing of it has to be kept."""
        for execution in executions:
            parent = header(execution)
            after = max(0, execution.first_seq - 1)
            last = min(until, execution.last_seq or until)
            question: dict[str, Any] | None = None
            while after < last and (events := self.session.log.read(after, READ_BYTES)):
                for event in events:
                    if event.seq <= last and (event.execution_id == execution.id or event.type == "stream.gap"):
                        yield from told(self._whole(event), parent, execution.execution_count)
                        question = event.data if event.type == "input.requested" else question
                after = events[-1].seq
            if question is not None and execution.waiting_for_input and own(execution, name):
                asked = {"prompt": question["prompt"], "password": question["password"]}
                yield "stdin", message("input_request", asked, parent)

    def _whole(self, event: Event) -> Event:
        """With what stands outside of it."""
        parts = event.data.get("artifacts") if event.type.startswith("output.") else None
        if not parts:
            return event
        contents: dict[str, bytes] = {}
        for entry in parts.values():
            contents |= self.session.artifacts.content(entry, MOST_EMBEDDED)
        return replace(event, data={**event.data, "data": bundle(event.data["data"], parts, contents)})

    # what is said to them

    def tell(self, channel: str, parts: Parts, to: str | None = None) -> None:
        """All of them, or only those that go by a name."""
        for client in list(self.clients):
            if to is None or to in client.names:
                client.tell(channel, parts)

    def on_message(self, channel: str, message: Message) -> None:
        """Of the kernel's; what is no message of Jupyter's is not passed on."""
        parent = _sound(message)
        if parent is None:
            return
        if channel == "control" and message.msg_type == "debug_reply":
            self.lane.debugging.on_reply(message)
        if channel == "control" and message.parent_id in self._by_control:
            channel = "shell"
        owed = self._owed.get(message.parent_id)
        parts = _parts(message)
        for kind, own in OWN_CHANNEL if channel == "iopub" else ():
            if message.msg_type == kind:
                channel = own
        if channel == "iopub":
            if message.msg_type.endswith(("_reply", "_request")):
                return
            if owed is not None:
                owed.said(message)
            self.tell(channel, parts)
            return
        if owed is not None:
            owed.said(message)
        # Of a cell that an earlier gateway was asked for, only the execution knows by whom.
        execution = self.session.executions.get(message.parent_id)
        order = execution.order if execution is not None else None
        if message.msg_type == "input_request" and (order is None or execution is not self.lane.current):
            # Code can name any parent. Who did not ask for what runs now is asked nothing by it.
            return
        asker = order.asker if order is not None else parent.get("session")
        self.tell(channel, parts, str(asker))

    def on_state(self) -> None:
        state = self.lane.state
        if state is State.IDLE:
            self._release()
        elif state is State.STARTING and self.lane.generation:
            self.tell("iopub", status("restarting"))
        elif state is State.DEAD:
            self._held.clear()
            # Unless it is only restarted, which is known a moment later.
            asyncio.get_running_loop().call_soon(self._tell_death)
        elif state is State.ENDED:
            self.tell("iopub", status("dead"))
            self._forget(self.session)
            for client in self.clients:
                client.close(*ENDED)

    def _tell_death(self) -> None:
        if self.lane.state is State.DEAD:
            self.tell("iopub", status("dead"))

    # what they asked for

    def pass_on(self, channel: str, parts: Parts) -> None:
        """To the kernel, as soon as there is one. Raises TooManyConnections when too much waits for it."""
        kernel = self.lane.kernel
        if kernel is not None:
            kernel.client.relay(channel, parts)
            return
        size = sum(sum(map(len, held)) for _, held in self._held) + sum(map(len, parts))
        if len(self._held) >= MOST_HELD or size > MOST_HELD_BYTES:
            raise TooManyConnections("Too much waits for the kernel to start already.")
        self._held.append((channel, parts))

    def ask_about(self, id_: str, parts: Parts) -> None:
        """What kernel it is. While a cell runs the control channel answers, in place of the shell: clients wait for it
        before they do anything else. Raises TooManyConnections."""
        if self.lane.current is None or self.lane.kernel is None:
            self.pass_on("shell", parts)
            return
        self._by_control[id_] = None
        while len(self._by_control) > MOST_REMEMBERED:
            self._by_control.popitem(last=False)
        self.pass_on("control", parts)

    def _release(self) -> None:
        while self._held and self.lane.kernel is not None:
            self.lane.kernel.client.relay(*self._held.popleft())

    def owe(self, execution: Execution) -> None:
        """Whoever asked for it is told how it ended, also when the kernel does not say so."""
        self._owe(Owed(execution, reply=True, idle=True))

    def _owe(self, owed: Owed) -> Owed:
        self._owed[owed.execution.id] = owed
        task = asyncio.create_task(self._see_off(owed))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return owed

    async def _see_off(self, owed: Owed) -> None:
        execution = owed.execution
        try:
            await execution.done()
        except GatewayStopping:
            return
        del self._owed[execution.id]
        parent = header(execution)
        answer = message("execute_reply", reply(execution.summary()), parent)
        if owed.reply:
            asker = execution.order.asker if execution.order is not None else ""
            if owed.idle and execution.error is not None and execution.error["name"] != "NotRun":
                error = {name: value for name, value in reply(execution.summary()).items() if name in ERROR}
                self.tell("iopub", message("error", error, parent))
            self.tell("shell", answer, asker)
        if owed.idle:
            self.tell("iopub", status("idle", parent))
        for late in owed.late:
            if late.reply and not owed.reply:
                late.client.tell("shell", answer)
            if late.idle and not owed.idle:
                late.client.tell("iopub", status("idle", parent))


ERROR = ("ename", "evalue", "traceback")


def header(execution: Execution) -> dict[str, Any]:
    """Of the request for it, which all that came of it refers to."""
    if execution.order is not None:
        return execution.order.header
    return {"msg_id": execution.id, "msg_type": "execute_request", "session": "", "username": "kernelgw"}


def own(execution: Execution, name: str) -> bool:
    return execution.order is not None and execution.order.asker == name


def _sound(message: Message) -> dict[str, Any] | None:
    """The parent header, if this is a message that clients can be given."""
    if len(message.raw[2]) > LARGEST_METADATA:
        return None
    try:
        head, parent, metadata = (orjson.loads(part) for part in message.raw[:3])
        content = message.content
    except (orjson.JSONDecodeError, Undecodable):
        return None
    texts = ("msg_id", "msg_type", "username", "version", "session")
    if not isinstance(head, dict) or not isinstance(metadata, dict) or not isinstance(parent, dict | None):
        return None
    if not all(isinstance(head.get(name), str) for name in texts):
        return None
    if message.msg_type == "status" and str(content.get("execution_state")) not in STATES:
        return None
    return parent or {}


# What only we know of an error. Clients keep an error as an output, and a notebook with more in it is not valid.
OURS = ("frames", "causes", "similar", "module")


def _parts(message: Message) -> Parts:
    """As they came; but clients that hear of subshells would use them, and there are none here."""
    if message.msg_type == "error" and any(name in message.content for name in OURS):
        content = {name: value for name, value in message.content.items() if name not in OURS}
        return [*message.raw[:3], orjson.dumps(content), *message.raw[4:]]
    if message.msg_type != "kernel_info_reply" or SUBSHELLS.encode() not in message.raw[3]:
        return message.raw
    content = message.content
    features = content.get("supported_features")
    if isinstance(features, list):
        content["supported_features"] = [each for each in features if each != SUBSHELLS]
    return [*message.raw[:3], orjson.dumps(content), *message.raw[4:]]
