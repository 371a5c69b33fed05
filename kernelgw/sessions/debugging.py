"""A session's debugger: who is at it, whether it holds the kernel, and that it lets go once nobody is there."""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ..errors import PausedInDebugger
from ..events.log import EventLog
from ..kernel.wire import Message
from . import notes
from .deadline import Deadline
from .dialogue import Dialogue
from .paused import GOES_ON, STOPPED, Holding, Pause, place_of
from .plan import Plan

# Clients that may be remembered as debugging; of more, the newest.
MOST_CLIENTS = 16
# A longer one is nobody's way to ask where the code is.
LARGEST_REPLY = 256 << 10
AGAIN = "Goes on after the debugger."


class Debugging:
    """`facts`: of the kernel's state, which are told again with each change of what is known of a pause."""

    def __init__(
        self, log: EventLog, dialogue: Dialogue, deadline: Deadline, plan: Plan, facts: Callable[[], Mapping[str, Any]]
    ) -> None:
        # Those who debug: what they go by, and their users' names.
        self.clients: OrderedDict[str, str] = OrderedDict()
        self._log = log
        self._dialogue = dialogue
        dialogue.debugging = self
        self._deadline = deadline
        self._facts = facts
        self._grace_s = plan.debugger_grace_s
        self._holding = Holding(plan.pause_s)
        self._most: asyncio.TimerHandle | None = None
        self._grace: asyncio.TimerHandle | None = None

    @property
    def pause(self) -> Pause | None:
        return self._holding.pause

    def check(self) -> None:
        """Before a chat's cell is taken. Raises PausedInDebugger."""
        if self.pause is not None:
            raise PausedInDebugger(
                f"A developer holds this session in the debugger. {self.pause.reason}", paused=self.pause.as_json()
            )

    # who is there: said by clients, which the session's code cannot forge

    def asked(self, name: str, username: str, command: str) -> None:
        """A client did, of the debugger."""
        if command == "disconnect":
            self._nobody()
            self.over()
        elif command == "attach" or self.clients:
            known = self.clients.get(name)
            self.clients[name] = username
            while len(self.clients) > MOST_CLIENTS:
                self.clients.popitem(last=False)
            if known != username:
                self._log.note(notes.debugging(self.clients, self._dialogue.key))
            self.attended(True)

    def attended(self, whether: bool) -> None:
        """Whether any of those who debug is here. Who has gone may only be reloading the page."""
        if whether or not self.clients:
            self._stay()
        elif self._grace is None:
            self._grace = asyncio.get_running_loop().call_later(self._grace_s, self.let_go)

    def let_go(self) -> None:
        """The debugger lets the kernel go on, whoever is there."""
        if self._dialogue.kernel is not None:
            request = {"type": "request", "seq": 1 << 30, "command": "disconnect"}
            request["arguments"] = {"restart": False, "terminateDebuggee": False}
            self._dialogue.kernel.client.send("control", "debug_request", uuid.uuid4().hex, request)
        self._nobody()
        self.over()

    def _stay(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
        self._grace = None

    def _nobody(self) -> None:
        self._stay()
        if self.clients:
            self.clients.clear()
            self._log.note(notes.debugging(self.clients, self._dialogue.key))

    # what the kernel says

    def on_event(self, message: Message) -> None:
        event = str(message.content.get("event"))
        if event == STOPPED:
            self._stopped()
        elif event in GOES_ON:
            self.over()

    def on_reply(self, message: Message) -> None:
        """To what a client has asked of the debugger."""
        if self.pause is None or self.pause.place is not None or len(message.raw[3]) > LARGEST_REPLY:
            return
        place = place_of(message.content)
        if place is not None and self._holding.at(place):
            self._tell()

    def _stopped(self) -> None:
        execution = self._dialogue.current
        going = execution is not None and (execution.stopping is not None or execution.ended is not None)
        if not self.clients or going:
            return
        began = self._holding.stopped(_now(), next(reversed(self.clients.values())))
        if self.pause is None:
            # It was held for long enough.
            self.let_go()
        elif began:
            self._hold()
            self._tell()

    def _hold(self) -> None:
        left = max(0.0, self._holding.left_s(_now()))
        self._most = asyncio.get_running_loop().call_later(left, self.let_go)
        if self._dialogue.current is not None:
            self._deadline.hold(self._dialogue.current)

    def _unwatch(self) -> None:
        if self._most is not None:
            self._most.cancel()
        self._most = None

    def over(self) -> None:
        """It goes on, or is to end: nobody waits for the debugger any more."""
        self._unwatch()
        if not self._holding.over(_now()):
            return
        if (execution := self._dialogue.current) is not None:
            execution.held_s = self._holding.spent_s(_now())
            self._log.note(notes.held(execution))
            self._deadline.go_on(execution)
        self._tell()

    def _tell(self) -> None:
        pause, execution = self.pause, self._dialogue.current
        reason, paused = (pause.reason, pause.as_json()) if pause is not None else (AGAIN, None)
        data = {**self._facts(), "reason": reason, "paused": paused}
        self._log.append("session.state", data, execution.id if execution is not None else None)

    # the session's life

    def begun(self) -> None:
        """An execution is."""
        self._holding.begin()
        if self.pause is not None and self._dialogue.current is not None:
            self._deadline.hold(self._dialogue.current)

    def forget(self) -> None:
        """The kernel has ended, and its debugger with it."""
        self.close()
        self._holding.over(_now())
        self._nobody()

    def restore(self, clients: Mapping[str, str], paused: Mapping[str, Any] | None) -> None:
        """What an earlier gateway knew."""
        self.clients.update(clients)
        self._holding.pause = Pause.parse(paused) if paused is not None else None

    def resume(self) -> None:
        """After `restore`, with the kernel: those who were there may come back."""
        execution = self._dialogue.current
        self._holding.begin(execution.held_s if execution is not None else 0.0)
        if self.pause is not None:
            self._hold()
        self.attended(False)

    def close(self) -> None:
        self._unwatch()
        self._stay()


def _now() -> datetime:
    return datetime.now(UTC)
