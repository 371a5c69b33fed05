"""A reader that knows one thing only: the last event that it has seen."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx

from tests.live.client import Event, Session
from tests.live.gateway import Gateway

# A gateway that is away for longer than that does not come back.
PATIENCE_S = 60.0


class Reader(threading.Thread):
    """Follows a session from its beginning, over as many connections and gateways as it takes."""

    def __init__(self, gateway: Gateway, session: str) -> None:
        super().__init__(name=f"reader of {session}", daemon=True)
        self.gateway = gateway
        self.session = session
        self.events: list[Event] = []
        self.connections = 0
        self._changed = threading.Condition()
        self._left = False
        self._gone = threading.Event()

    def run(self) -> None:
        while not self._left:
            try:
                with self.gateway.client(timeout=5) as client:
                    self._follow(Session(client, self.session))
            except (httpx.HTTPError, AssertionError):
                # Cut off, even in the middle of an event; or nobody is there yet.
                self._gone.wait(0.1)

    def _follow(self, session: Session) -> None:
        after = self.events[-1].id if self.events else 0
        with session.follow(after=after) as stream:
            self.connections += 1
            for event in stream:
                with self._changed:
                    self.events.append(event)
                    self._changed.notify_all()
                if self._left:
                    return

    def wait(self, condition: Callable[[list[Event]], object], what: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.events), PATIENCE_S), f"{self.name}: no {what}"

    def leave(self) -> None:
        self._left = True
        self._gone.set()
