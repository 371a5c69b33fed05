"""kernelgw itself, run as an operator runs it: the installed command, default isolation, a fresh data directory."""

import contextlib
import os
import secrets
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.processes import Server
from tests.bench.systems.base import KernelLost, OnText, Outcome, WrongResult
from tests.bench.systems.jupyter_http import SocketSession, attach
from tests.bench.wire.http import Address, Http
from tests.bench.wire.sse import Event, events

SETTLE_S = 60.0


class GatewaySession:
    """Runs cells as SSE when somebody listens to the text, else as one JSON answer."""

    def __init__(self, http: Http, path: str = "") -> None:
        self._http = http
        self.path = path or f"/v1/sessions/bench-{uuid.uuid4().hex}"

    def create(self, wishes: dict[str, object]) -> None:
        answer = self._http.request("PUT", self.path, wishes)
        if answer.status != 201:
            raise WrongResult(f"PUT session: {answer.status} {answer.body[:500]!r}")

    def run(self, code: str, on_text: OnText | None = None, timeout: float = 60.0) -> Outcome:
        self._http.wait_at_most(timeout)
        if on_text is not None:
            return gather(self.stream(code), on_text)
        answer = self._http.request("POST", f"{self.path}/executions", {"code": code})
        if answer.status != 200:
            raise WrongResult(f"execution: {answer.status} {answer.body[:500]!r}")
        execution = answer.json()
        outcome = Outcome()
        for output in execution["outputs"]:
            outcome.add_output(output["output_type"], output, None)
        _take_end(outcome, execution)
        return outcome

    def stream(self, code: str) -> Iterator[Event]:
        """The execution's events. Nothing is read from the socket but by the iteration."""
        return events(self._http.stream("POST", f"{self.path}/executions", {"code": code}))

    def told(self, path: str) -> Iterator[bytes]:
        """A stream as it comes, unread: each piece is some whole events."""
        return iter(self._http.stream("GET", f"{self.path}{path}"))

    @contextlib.contextmanager
    def beside(self) -> "Iterator[GatewaySession]":
        """The same session over another connection, for when this one is streaming."""
        with self._http.again() as http:
            yield GatewaySession(http, self.path)

    def pid(self) -> int:
        with self._http.again() as http:
            return int(http.request("GET", self.path).json()["kernel"]["pid"])

    def close(self) -> None:
        self._http.close()
        with self._http.again() as http:
            status = http.request("DELETE", self.path).status
        if status not in (204, 404):
            raise WrongResult(f"DELETE session: {status}")


def gather(stream: Iterator[Event], on_text: OnText | None = None) -> Outcome:
    """Reads an execution's stream to its end, which must be there. Raises KernelLost with the reason."""
    outcome = Outcome(finished=False)
    for event in stream:
        data = event.data
        if event.type == "output.stream":
            outcome.add_output("stream", data, on_text)
        elif event.type == "output.result":
            outcome.add_output("execute_result", data, on_text)
        elif event.type == "output.display":
            outcome.add_output("display_data", data, on_text)
        elif event.type == "execution.completed":
            outcome.finished = True
            _take_end(outcome, data)
    if not outcome.finished:
        raise WrongResult("the stream ended without execution.completed")
    return outcome


def _take_end(outcome: Outcome, execution: dict[str, Any]) -> None:
    error = execution["error"]
    if execution["status"] == "killed":
        raise KernelLost(error["value"] if error else "")
    if error:
        outcome.error = f"{error['name']}: {error['value']}"
    elif execution["status"] != "completed":
        outcome.error = f"status {execution['status']}"


class Gateway:
    title = "kernelgw"

    def __init__(self, name: str = "kernelgw", **options: object) -> None:
        """`options` are those of `kernelgw serve`, with underscores."""
        self.name = name
        self._options = {"max_sessions": 64, "on_stop": "end", **options}

    def start(self, folder: Path) -> None:
        self._token = secrets.token_hex(16)
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("KERNELGW_", "JUPYTER", "IPYTHON", "MPL"))}
        environ |= {f"KERNELGW_{name.upper()}": str(value) for name, value in self._options.items()}
        self.data_dir = folder / "data"
        command = [str(Path(sys.executable).parent / "kernelgw"), "serve", "--port", "0"]
        command += ["--data-dir", str(self.data_dir), "--token", self._token]
        self._server = Server(command, environ, folder)
        found = self._server.wait_for_line(r"http://([\d.]+):(\d+)/?\S*\?token=", timeout=180)
        self._address = Address(found[1], int(found[2]))
        self._server.wait_until(self._healthy)
        self.settle()

    @property
    def pid(self) -> int:
        return self._server.pid

    def open(self) -> GatewaySession:
        return GatewaySession(Http(self._address, self._token))

    def open_with(self, **wishes: object) -> GatewaySession:
        """One with limits of its own, say; made now."""
        session = self.open()
        session.create(wishes)
        return session

    def one_shot(self, code: str, wanted: str) -> float:
        """Seconds that one call took which runs Python without a session."""
        with Http(self._address, self._token) as http:
            # The connection, and the token on it.
            http.request("GET", "/api/execute")
            start = time.perf_counter()
            answer = http.request("POST", "/api/execute", {"code": code, "language": "python"})
            taken = time.perf_counter() - start
        if answer.status != 200 or answer.json()["output"] != wanted:
            raise WrongResult(f"one shot: {answer.status} {answer.body[:500]!r}")
        return taken

    def settle(self) -> None:
        """Until the pool is full."""
        self._server.wait_until(self._full, SETTLE_S)

    def stop(self) -> None:
        self._server.stop()

    def _healthy(self) -> bool:
        with Http(self._address, timeout=10) as http:
            return http.request("GET", "/healthz").status == 200

    def _full(self) -> bool:
        with Http(self._address, timeout=10) as http:
            answer = http.request("GET", "/readyz")
        if answer.status != 200:
            return False
        pool = answer.json()["pool"]
        return bool(pool["ready"] >= pool["size"])


class JupyterDoor(Gateway):
    """The same, used as a Jupyter server is: REST to begin a kernel, and its WebSocket."""

    title = "kernelgw, by its Jupyter door"

    def open(self) -> SocketSession:  # type: ignore[override]
        with Http(self._address, self._token) as http:
            kernel: str = http.request("POST", "/api/kernels", {"name": "python3"}).json()["id"]

        def end() -> bool:
            with Http(self._address, self._token) as http:
                return http.request("DELETE", f"/api/kernels/{kernel}").status == 204

        return attach(self._address, kernel, self._token, end)
