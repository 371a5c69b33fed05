"""The peers with Jupyter's REST and WebSocket doors: Kernel Gateway, jupyter_server, jupyverse."""

import contextlib
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.bench.environments import Environment
from tests.bench.processes import Server, free_port
from tests.bench.systems.base import KernelLost, OnText, Outcome
from tests.bench.wire.http import Address, Http, Timeout
from tests.bench.wire.jupyter import V1, Codec, Message
from tests.bench.wire.websocket import WebSocket

LOST_AFTER_S = 3.0
"""Output or the idle status is given up this long after the reply, when nothing more comes: the server dropped it."""
NUDGE_S = 0.5


class SocketSession:
    """A kernel behind a WebSocket, ready once it has answered kernel_info with busy and idle on IOPub."""

    def __init__(self, socket: WebSocket, session_id: str, end: Callable[[], bool]) -> None:
        self._socket = socket
        self._lost = False
        self._codec = Codec(session_id, socket.subprotocol == V1)
        self._end = end

    def handshake(self, timeout: float = 120.0) -> None:
        """A kernel that is still starting may lose the first request's status: asks again until one comes whole."""
        deadline = time.monotonic() + timeout
        replied: set[str] = set()
        idle: set[str] = set()
        while not replied & idle:
            if time.monotonic() > deadline:
                raise Timeout("the kernel was not ready in time")
            self._send("kernel_info_request", {})
            with contextlib.suppress(Timeout):
                # On a busy machine the answer to an earlier request may come only now: any will do.
                while not replied & idle:
                    message = self._receive(NUDGE_S)
                    if message.type == "kernel_info_reply":
                        replied.add(message.parent_id)
                    elif message.type == "status" and message.content["execution_state"] == "idle":
                        idle.add(message.parent_id)

    def run(self, code: str, on_text: OnText | None = None, timeout: float = 60.0) -> Outcome:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        outcome = Outcome()
        self._until_idle(self._send("execute_request", content), outcome, on_text, timeout)
        return outcome

    def pid(self) -> int:
        return int(self.run("import os; os.getpid()").results[0])

    def close(self) -> None:
        self._socket.close()
        # A server that is just restarting a killed kernel answers DELETE with 500; it ends it when it is stopped.
        if not self._end() and not self._lost:
            raise RuntimeError("the server did not end the kernel")

    def _send(self, kind: str, content: dict[str, object]) -> str:
        asked, opcode, payload = self._codec.request(kind, content)
        self._socket.send(payload, opcode)
        return asked

    def _receive(self, timeout: float) -> Message:
        return self._codec.decode(*self._socket.receive(timeout))

    def _until_idle(self, asked: str, outcome: Outcome, on_text: OnText | None, timeout: float) -> None:
        idle = replied = False
        while not (idle and replied):
            try:
                message = self._receive(LOST_AFTER_S if replied else timeout)
            except Timeout:
                if not replied:
                    raise
                outcome.finished = False
                return
            if _tells_of_death(message):
                self._lost = True
                raise KernelLost  # Jupyter's servers say that it went, never why
            if message.parent_id != asked:
                continue
            if message.channel == "shell":
                replied = True
            elif message.type == "status":
                idle = message.content["execution_state"] == "idle"
            else:
                outcome.add_output(message.type, message.content, on_text)


def _tells_of_death(message: Message) -> bool:
    return message.type == "status" and message.content["execution_state"] in ("restarting", "dead")


def attach(
    address: Address, kernel: str, token: str | None, end: Callable[[], bool], quick_ack: bool = False
) -> SocketSession:
    """`end` ends the kernel; False when it did not."""
    # jupyverse sends a reply only where the messages' session is the WebSocket's.
    session_id = uuid.uuid4().hex
    channels = f"/api/kernels/{kernel}/channels?session_id={session_id}"
    session = SocketSession(WebSocket(address, channels, token, V1, quick_ack), session_id, end)
    session.handshake()
    return session


class JupyterServer:
    """Starts a stock server on loopback without authentication, one connection to it for the REST calls."""

    name = "jupyter_server"
    title = "jupyter_server"

    quick_ack = False

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def command(self, port: int) -> list[str]:
        return [
            self._environment.command("jupyter"),
            "server",
            "--allow-root",
            "--no-browser",
            "--ip=127.0.0.1",
            f"--port={port}",
            "--IdentityProvider.token=",
            "--ServerApp.disable_check_xsrf=True",
        ]

    def start(self, folder: Path) -> None:
        self._address = Address("127.0.0.1", free_port())
        self._server = Server(self.command(self._address.port), self._environment.environ(folder), folder)
        self._server.wait_until(self._answers)

    def open(self) -> SocketSession:
        with Http(self._address) as http:
            kernel, path = self.create(http)

        def end() -> bool:
            # Not over the first connection: a server may have ended that in the meantime.
            with Http(self._address) as http:
                return http.request("DELETE", path).status == 204

        return attach(self._address, kernel, None, end, self.quick_ack)

    def create(self, http: Http) -> tuple[str, str]:
        """Starts a kernel; its id, and the path whose DELETE ends it."""
        answer = http.request("POST", "/api/kernels", {"name": "python3"})
        if answer.status != 201:
            raise RuntimeError(f"POST /api/kernels: {answer.status} {answer.body[:300]!r}")
        kernel = answer.json()["id"]
        return kernel, f"/api/kernels/{kernel}"

    def settle(self) -> None:
        pass

    def stop(self) -> None:
        self._server.stop()

    def _answers(self) -> bool:
        with Http(self._address, timeout=10) as http:
            return http.request("GET", "/api/kernelspecs").status == 200


class QuickAckServer(JupyterServer):
    """A client that asks its kernel not to delay ACKs: shows how much of the figure is Nagle meeting delayed ACK."""

    name = "jupyter_server_quickack"
    title = "jupyter_server, client with TCP_QUICKACK"
    quick_ack = True


class KernelGateway(JupyterServer):
    name = "kernel_gateway"
    title = "Kernel Gateway"

    def command(self, port: int) -> list[str]:
        return [
            self._environment.command("jupyter"),
            "kernelgateway",
            "--KernelGatewayApp.ip=127.0.0.1",
            f"--KernelGatewayApp.port={port}",
        ]


class Jupyverse(JupyterServer):
    name = "jupyverse"
    title = "jupyverse"

    def command(self, port: int) -> list[str]:
        return [self._environment.command("jupyverse"), "--host", "127.0.0.1", "--port", str(port)]

    def create(self, http: Http) -> tuple[str, str]:
        # It has no POST /api/kernels; a session's path must end in .ipynb.
        name = f"{uuid.uuid4().hex}.ipynb"
        wanted = {"name": name, "path": name, "type": "notebook", "kernel": {"name": "python3"}}
        answer = http.request("POST", "/api/sessions", wanted)
        if answer.status not in (200, 201):
            raise RuntimeError(f"POST /api/sessions: {answer.status} {answer.body[:300]!r}")
        model = answer.json()
        return model["kernel"]["id"], f"/api/sessions/{model['id']}"
