"""`python -I -m kernelgw.egress UID OPTIONS`: the proxy as a process that knows no token and no session's content.

fd 3 is a SOCK_SEQPACKET socket to the gateway. It is told {"op": "open", "name", "rules"} with a socket over which the
session's listener comes, and {"op": "close", "name"}; it tells its verdicts. It ends when that socket does.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import sys
from typing import Any

from ..hardening import gain_nothing, hide
from .names import canonical, split
from .proxy import Outlet, World, resolve
from .rules import Rules, trusts

CONTROL_FD = 3
LARGEST = 128 << 10
OPEN_FILES = 8192


class Proxy:
    def __init__(self, control: socket.socket, world: World) -> None:
        self.control = control
        self.world = world
        self.outlets: dict[str, Outlet] = {}
        self.over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        self.control.setblocking(False)
        asyncio.get_running_loop().add_reader(self.control.fileno(), self._receive)
        await self.over.wait()

    def _receive(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self.control, LARGEST, 1)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self.over.set()
            return
        request = json.loads(data)
        if (old := self.outlets.pop(request["name"], None)) is not None:
            old.close()
        if request["op"] == "open":
            self._open(request, socket.socket(fileno=fds[0]))

    def _open(self, request: dict[str, Any], handed: socket.socket) -> None:
        outlet = Outlet(request["name"], Rules.from_json(request["rules"]), self.world, self._tell)
        self.outlets[outlet.name] = outlet
        task = asyncio.create_task(self._adopt(outlet, handed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _adopt(self, outlet: Outlet, handed: socket.socket) -> None:
        """The listener is made in the session's namespace, and comes when that is there."""
        with handed:
            handed.setblocking(False)
            loop = asyncio.get_running_loop()
            came: asyncio.Future[None] = loop.create_future()
            loop.add_reader(handed.fileno(), _set, came)
            try:
                await came
                _, fds, _, _ = socket.recv_fds(handed, 64, 1)
            finally:
                loop.remove_reader(handed.fileno())
        if fds:
            listener = socket.socket(fileno=fds[0])
            if self.outlets.get(outlet.name) is outlet:
                await outlet.open(listener)
            else:
                listener.close()

    def _tell(self, name: str, target: str, allowed: bool, why: str) -> None:
        event = {"event": "verdict", "name": name, "target": target, "allowed": allowed, "why": why}
        try:
            self.control.send(json.dumps(event).encode())
        except OSError:
            # A gateway that is behind misses a line of its log, and nothing else.
            return


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def confine(uid: int | None) -> None:
    """As little as a process can be that opens connections. Raises OSError."""
    if uid is not None and os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    hide()
    gain_nothing()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


async def _rehearse() -> None:
    await resolve("localhost", 80)
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    server.close()


def main(options: dict[str, Any]) -> None:
    control = socket.socket(fileno=CONTROL_FD)
    os.set_inheritable(CONTROL_FD, False)
    # What Python imports on first use may be out of reach for what this process becomes.
    canonical("bücher.example")
    asyncio.run(_rehearse())
    confine(options["uid"])
    upstream = split(options["upstream"]) if options["upstream"] else None
    world = World(trusts(options["trusts"]), frozenset(options["own_ports"]), upstream)
    asyncio.run(Proxy(control, world).run())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
