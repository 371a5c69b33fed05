"""The gateway's side of the proxy: starts it when the first session needs it, again when it was lost, and tells it who
may go where."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..children import ended
from .rules import Rules, trusts, upstream

LARGEST = 128 << 10
CONTROL_FD = 3
END_TIMEOUT_S = 5.0
# A proxy that is lost soon after its start would most likely be lost again.
RESTART_S, SOON_S, RESTART_SLOWLY_S = 0.5, 5.0, 5.0
log = logging.getLogger("kernelgw.egress")


@dataclass
class _Outlet:
    """One kernel's way out. The listener is kept, so that a proxy that is lost loses no session its network."""

    session: str
    rules: Rules
    coming: socket.socket | None
    arrived: Callable[[int], None] = lambda _: None
    listener: socket.socket | None = None


class EgressService:
    """`uid`: what the proxy becomes when the gateway is root. `own_ports`, `own_names`: where the gateway listens.

    `private`: "host=CIDR" exceptions. `through`: "http://host:port" of a proxy to go through, or "". Raises BadRule.
    """

    def __init__(
        self,
        uid: int | None = None,
        own_ports: Sequence[int] = (),
        own_names: Iterable[str] = (),
        private: Sequence[str] = (),
        through: str = "",
    ) -> None:
        trusts(private)
        target = upstream(through)
        self._options = {
            "uid": uid,
            "own_ports": list(own_ports),
            "own_names": list(own_names),
            "trusts": list(private),
            "upstream": str(target) if target else "",
        }
        self._outlets: dict[str, _Outlet] = {}
        self._control: socket.socket | None = None
        self._outbox: deque[tuple[str, str]] = deque()
        self._pid = 0
        self._started = 0.0
        self._again: asyncio.TimerHandle | None = None

    def open(
        self, name: str, session: str, rules: Rules, arrived: Callable[[int], None] = lambda _: None
    ) -> socket.socket:
        """The socket over which a listener made in the session's namespace is to be sent; the caller closes it.
        `session`: as verdicts name it. `arrived` is called with the listener's descriptor. Raises OSError."""
        self._need()
        handed, coming = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        coming.setblocking(False)
        self._outlets[name] = _Outlet(session, rules, coming, arrived)
        asyncio.get_running_loop().add_reader(coming.fileno(), self._take, name)
        return handed

    def adopt(self, name: str, session: str, rules: Rules, listener: int) -> None:
        """One whose listener an earlier gateway had made; it is this one's now. Raises OSError."""
        self._need()
        self._outlets[name] = _Outlet(session, rules, None, listener=socket.socket(fileno=listener))
        self._say("open", name)

    def _need(self) -> None:
        if self._control is None and self._again is None:
            self._start()

    def close(self, name: str) -> None:
        outlet = self._outlets.pop(name, None)
        if outlet is None:
            return
        self._stop_waiting(outlet)
        if outlet.listener is not None:
            outlet.listener.close()
            self._say("close", name)

    async def stop(self) -> None:
        """Ends the proxy and waits for it."""
        for name in [*self._outlets]:
            self.close(name)
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self._control is None:
            return
        self._forget()
        try:
            await asyncio.wait_for(ended(self._pid), END_TIMEOUT_S)
        except TimeoutError:
            os.kill(self._pid, signal.SIGKILL)
            await ended(self._pid)

    def _take(self, name: str) -> None:
        """The listener has come, or never will."""
        outlet = self._outlets[name]
        assert outlet.coming is not None
        try:
            _, fds, _, _ = socket.recv_fds(outlet.coming, 64, 1)
        except BlockingIOError:
            return
        except OSError:
            fds = []
        self._stop_waiting(outlet)
        if fds:
            outlet.listener = socket.socket(fileno=fds[0])
            outlet.arrived(fds[0])
            self._say("open", name)

    @staticmethod
    def _stop_waiting(outlet: _Outlet) -> None:
        if outlet.coming is not None:
            asyncio.get_running_loop().remove_reader(outlet.coming.fileno())
            outlet.coming.close()
            outlet.coming = None

    # the process

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._pid = _launch(theirs, json.dumps(self._options))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._control = ours
        loop = asyncio.get_running_loop()
        self._started = loop.time()
        loop.add_reader(ours.fileno(), self._hear)
        for name, outlet in self._outlets.items():
            if outlet.listener is not None:
                self._say("open", name)

    def _start_again(self) -> None:
        self._again = None
        try:
            self._start()
        except OSError as error:
            log.error("the egress proxy cannot be started: %s", error)
            self._later()

    def _later(self) -> None:
        loop = asyncio.get_running_loop()
        soon = loop.time() - self._started < SOON_S
        self._again = loop.call_later(RESTART_SLOWLY_S if soon else RESTART_S, self._start_again)

    def _forget(self) -> None:
        control, self._control = self._control, None
        self._outbox.clear()
        if control is not None:
            asyncio.get_running_loop().remove_reader(control.fileno())
            asyncio.get_running_loop().remove_writer(control.fileno())
            control.close()

    def _lost(self) -> None:
        log.error("the egress proxy was lost; it is started again")
        self._forget()
        # It has most likely ended; whatever it does instead, it is not waited for.
        os.kill(self._pid, signal.SIGKILL)
        _collect(self._pid)
        self._later()

    # what is said

    def _say(self, op: str, name: str) -> None:
        if self._control is not None:
            self._outbox.append((op, name))
            self._send()

    def _send(self) -> None:
        """As much as the proxy takes in now; the rest when it takes in more."""
        control = self._control
        if control is None:
            return
        loop = asyncio.get_running_loop()
        while self._outbox:
            try:
                self._send_one(control, *self._outbox[0])
            except BlockingIOError:
                loop.add_writer(control.fileno(), self._send)
                return
            except OSError as error:
                log.error("the egress proxy cannot be told: %s", error)
            self._outbox.popleft()
        loop.remove_writer(control.fileno())

    def _send_one(self, control: socket.socket, op: str, name: str) -> None:
        message: dict[str, Any] = {"op": op, "name": name}
        if op == "close":
            control.send(json.dumps(message).encode())
        elif (outlet := self._outlets.get(name)) is not None and outlet.listener is not None:
            message["rules"] = outlet.rules.as_json()
            socket.send_fds(control, [json.dumps(message).encode()], [outlet.listener.fileno()])

    def _hear(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        told = json.loads(data)
        outlet = self._outlets.get(told["name"])
        event = {"session": outlet.session if outlet else None, "kernel": told["name"], **told["verdict"]}
        # As JSON, in which nothing that a session has written can look like another line.
        log.log(logging.INFO if event["allowed"] else logging.WARNING, "egress %s", json.dumps(event))


def _launch(control: socket.socket, options: str) -> int:
    argv = [sys.executable, "-I", "-m", "kernelgw.egress", options]
    actions = [
        (os.POSIX_SPAWN_DUP2, control.fileno(), CONTROL_FD),
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    ]
    return os.posix_spawn(argv[0], argv, {"LANG": "C.UTF-8"}, file_actions=actions, setsid=True)


def _collect(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        log.debug("the egress proxy %d is not our child", pid)
