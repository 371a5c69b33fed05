"""Jupyter's own server in front of this gateway, as `jupyter lab --gateway-url` runs it, at a chat's kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from . import proc
from .client import House, Session
from .debugger import Debugger
from .gateway import TOKEN, Gateway
from .jupyter import attached, kernel_of, text
from .test_debugger import CODE, debug
from .test_jupyter import OPEN

pytestmark = [pytest.mark.live, pytest.mark.slow]
START_S = 60
OWN = "token-of-jupyters-own-server"


@dataclass
class Server:
    """`url`: as tests of a gateway have it."""

    process: subprocess.Popen[bytes]
    url: str
    client: httpx.Client
    output: Path

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(START_S)


def started(folder: Path, gateway: Gateway) -> Server:
    return serving(folder, [f"--gateway-url={gateway.url}"], {"JUPYTER_GATEWAY_AUTH_TOKEN": TOKEN})


def serving(folder: Path, options: Sequence[str], variables: Mapping[str, str]) -> Server:
    (folder / "root").mkdir(parents=True)
    environ = {"HOME": str(folder), "PATH": os.environ["PATH"], "JUPYTER_CONFIG_DIR": str(folder / "config")}
    environ |= dict(variables) | {"JUPYTER_RUNTIME_DIR": str(folder / "run")}
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--port=0", "--ip=127.0.0.1"]
    command += [f"--IdentityProvider.token={OWN}", f"--ServerApp.root_dir={folder}/root", *options]
    output = folder / "output"
    with output.open("wb") as out:
        process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def announced() -> list[Path]:
        assert process.poll() is None, output.read_text()
        return [path for path in (folder / "run").glob("jpserver-*.json") if path.read_text().endswith("}")]

    proc.wait_until(announced, START_S, output.read_text)
    url = json.loads(announced()[0].read_text())["url"].rstrip("/")
    client = httpx.Client(base_url=url, headers={"Authorization": f"token {OWN}"}, trust_env=False, timeout=30)
    proc.wait_until(lambda: answers(client), START_S, output.read_text)
    return Server(process, url, client, output)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/api/status").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def server(house: House, tmp_path: Path) -> Iterator[Server]:
    server = started(tmp_path / "jupyter", house.gateway)
    yield server
    server.client.close()
    if server.process.poll() is None:
        server.process.kill()
        server.process.wait()


@pytest.fixture
def chat(session: Session) -> Session:
    session.run("x = 20")
    return session


def adopt(server: Server, kernel: str) -> None:
    body = {"path": "chat.ipynb", "name": "chat", "type": "notebook", "kernel": {"id": kernel}}
    answer = server.client.post("/api/sessions", json=body)
    assert (answer.status_code, answer.json()["kernel"]["id"]) == (201, kernel), answer.text


def through(server: Server, kernel: str) -> Any:
    """A client of that server's, which passes it on to the gateway."""
    headers = {"Authorization": f"token {OWN}"}
    return attached(server, kernel, v1=False, additional_headers=headers)  # type: ignore[arg-type]


def test_it_is_attached_to_a_chat_and_leaves_it_alive(chat: Session, server: Server) -> None:
    kernel = kernel_of(chat)
    assert "python3" in server.client.get("/api/kernelspecs").json()["kernelspecs"]
    adopt(server, kernel)
    with through(server, kernel) as lab:
        assert lab.ended(lab.send("kernel_info_request", {}))[1].content["status"] == "ok"
        assert lab.run("y = x + 22; y")[0] == "42"
        assert chat.value("print(y)") == "42\n"
        # What it could not read is not sent to it, and it hears on.
        lab.run(OPEN)
        assert lab.run("'still there'")[0] == "'still there'"
        id_ = lab.execute("print(input('? '))")
        lab.until(lambda message: message.type == "input_request")
        lab.send("input_reply", {"value": "answered"}, "stdin")
        assert "answered" in str(lab.ended(id_)[0])
        running = lab.execute("while True: pass")
        lab.until(lambda message: message.type == "execute_input" and message.of == running)
        assert server.client.post(f"/api/kernels/{kernel}/interrupt").status_code == 204
        assert lab.ended(running)[1].content["ename"] == "KeyboardInterrupt"
    assert server.client.get("/api/kernels").json()[0]["id"] == kernel
    # It shuts down all kernels that it knows, as it ends.
    assert server.stop() == 0
    assert "UnicodeDecodeError" not in server.output.read_text()
    assert chat.value("print(x, y)") == "20 42\n"
    assert chat.look()["generation"] == 1


def test_it_debugs_a_chat_s_kernel_and_lets_go_with_the_page(chat: Session, server: Server) -> None:
    kernel = kernel_of(chat)
    specs = server.client.get("/api/kernelspecs").json()["kernelspecs"]
    # Otherwise Lab offers no debugger.
    assert specs["python3"]["spec"]["metadata"] == {"debugger": True}
    adopt(server, kernel)
    with through(server, kernel) as lab:
        debugger = Debugger(lab)
        debugger.attach()
        assert text(debug(debugger)) == "total 6\n"
        before = len(lab.seen)
        id_ = lab.execute(CODE)
        debugger.stopped(before)
        assert chat.look()["paused"] is not None
    with chat.follow(id_, after=0) as stream:
        assert stream.until("execution.completed").data["status"] == "completed"


def test_a_kernel_of_its_own_ends_with_it(house: House, server: Server) -> None:
    made = server.client.post("/api/kernels", json={"name": "python3"})
    assert made.status_code == 201
    kernel = made.json()["id"]
    with through(server, kernel) as lab:
        assert lab.run("6 * 7")[0] == "42"
    assert server.client.post(f"/api/kernels/{kernel}/restart").status_code == 200
    with through(server, kernel) as lab:
        assert lab.run("'again'")[0] == "'again'"
    assert [each["id"] for each in house.client.get("/api/kernels").json()] == [kernel]
    assert server.stop() == 0
    assert house.client.get("/api/kernels").json() == []
