"""The gateway's side of the proxy: starts it when the first session needs it, and tells it who may go where."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from .rules import Rules, trusts

LARGEST = 128 << 10
CONTROL_FD = 3
END_TIMEOUT_S = 5.0
log = logging.getLogger("kernelgw.egress")


class EgressService:
    """`uid`: what the proxy becomes when the gateway is root. `own_ports`: where the gateway itself listens.

    `private`: "host=CIDR" exceptions. `upstream`: "http://host:port" of a proxy to go through, or "". Raises BadRule.
    """

    def __init__(
        self, uid: int | None = None, own_ports: Sequence[int] = (), private: Sequence[str] = (), upstream: str = ""
    ) -> None:
        trusts(private)
        self._options = {
            "uid": uid,
            "own_ports": list(own_ports),
            "trusts": list(private),
            "upstream": urlsplit(upstream).netloc,
        }
        self._control: socket.socket | None = None
        self._pid = 0

    async def start(self) -> None:
        """Without effect when it runs. Sessions that an earlier one served lose their way out with it."""
        if self._control is not None:
            return
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
        asyncio.get_running_loop().add_reader(ours.fileno(), self._hear)

    def open(self, name: str, rules: Rules) -> socket.socket:
        """The socket over which the session's listener is to be sent; the caller closes it. Raises OSError."""
        if self._control is None:
            raise ConnectionError("the egress proxy does not run")
        handed, kept = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with kept:
            message = {"op": "open", "name": name, "rules": rules.as_json()}
            try:
                socket.send_fds(self._control, [json.dumps(message).encode()], [kept.fileno()])
            except BaseException:
                handed.close()
                raise
        return handed

    def close(self, name: str) -> None:
        if self._control is not None:
            try:
                self._control.send(json.dumps({"op": "close", "name": name}).encode())
            except OSError:
                log.warning("the egress proxy could not be told that %s is over", name)

    async def stop(self) -> None:
        """Ends the proxy and waits for it."""
        if self._control is None:
            return
        self._forget()
        try:
            await asyncio.wait_for(asyncio.to_thread(_collect, self._pid), END_TIMEOUT_S)
        except TimeoutError:
            os.kill(self._pid, 9)

    def _forget(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            asyncio.get_running_loop().remove_reader(control.fileno())
            control.close()

    def _hear(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            log.error("the egress proxy ended; sessions get their network back when their kernels are restarted")
            self._forget()
            _collect(self._pid)
            return
        event = json.loads(data)
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
