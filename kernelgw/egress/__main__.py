"""`python -I -m kernelgw.egress OPTIONS`: the proxy as a process that knows no token and no session's content.

fd 3 is a SOCK_SEQPACKET socket to the gateway. It is told {"op": "open", "name", "rules"} with the session's listener,
and {"op": "close", "name"}; it tells its verdicts. It ends when that socket does.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..hardening import gain_nothing, hide
from .dial import World, resolve
from .names import canonical, split
from .proxy import Outlet
from .rules import Rules, trusts

CONTROL_FD = 3
LARGEST = 128 << 10
OPEN_FILES = 65536
# Each session may keep a few busy with names whose servers do not answer; those of all others must find room.
LOOKUP_THREADS = 512


class Proxy:
    def __init__(self, control: socket.socket, world: World) -> None:
        self.control = control
        self.world = world
        self.outlets: dict[str, Outlet] = {}
        self.over = asyncio.Event()

    async def run(self) -> None:
        self.control.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(LOOKUP_THREADS))
        loop.add_reader(self.control.fileno(), self._receive)
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
            outlet = Outlet(request["name"], Rules.from_json(request["rules"]), self.world, self._tell)
            self.outlets[outlet.name] = outlet
            outlet.open(socket.socket(fileno=fds[0]))

    def _tell(self, name: str, target: str, allowed: bool, why: str, untold: int) -> None:
        verdict = {"target": target, "allowed": allowed, "why": why} | ({"untold": untold} if untold else {})
        try:
            self.control.send(json.dumps({"name": name, "verdict": verdict}).encode())
        except OSError:
            # A gateway that is behind misses a line of its log, and nothing else.
            return


def confine(uid: int | None) -> None:
    """As little as a process can be that opens connections. Raises OSError."""
    os.chdir("/")
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
    own_names = frozenset(options["own_names"])
    world = World(trusts(options["trusts"]), frozenset(options["own_ports"]), own_names, upstream)
    asyncio.run(_until_over(control, world))


async def _until_over(control: socket.socket, world: World) -> None:
    await Proxy(control, world).run()
    # At once: threads that wait for an answer from some name server would be waited for.
    os._exit(0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
