"""Clients that others have written for Jupyter's servers, unchanged, against a gateway."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
import websocket
from jupyter_kernel_client import JupyterKernelClient
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.gateway.managers import GatewayKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from smolagents.monitoring import AgentLogger, LogLevel
from smolagents.remote_executors import RemotePythonExecutor, _create_kernel_http, _websocket_run_code_raise_errors
from smolagents.utils import AgentError

from tests.live.client import House
from tests.live.gateway import TOKEN

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.filterwarnings("default")]


# jupyter_kernel_client


def test_jupyter_kernel_client(house: House) -> None:
    with JupyterKernelClient(server_url=house.gateway.url, token=TOKEN) as kernel:
        reply = kernel.execute("x = 20\nprint('out')\nx + 22")
        assert reply["status"] == "ok"
        assert [each["output_type"] for each in reply["outputs"]] == ["stream", "execute_result"]
        assert reply["outputs"][1]["data"]["text/plain"] == "42"
        failed = kernel.execute("1 / 0")
        assert failed["outputs"][0]["ename"] == "ZeroDivisionError"
        assert "x" in {each["name"] for each in kernel.list_variables()}
        kernel.restart()
        assert kernel.execute("x")["outputs"][0]["ename"] == "NameError"
        assert kernel.is_alive()
        (listed,) = kernel.list_kernels()
        assert listed["id"] == kernel.id
    assert house.client.get("/api/kernels").json() == []


def test_jupyter_kernel_client_at_a_chat(house: House) -> None:
    """It comes to the variables of a bot's session, and leaves it alive."""
    chat = house.session()
    chat.run("x = 20")
    (kernel_id,) = (each["id"] for each in house.client.get("/api/kernels").json())
    kernel = JupyterKernelClient(server_url=house.gateway.url, token=TOKEN, kernel_id=kernel_id)
    kernel.start()
    assert kernel.execute("y = x + 22; y")["outputs"][0]["data"]["text/plain"] == "42"
    kernel.stop()
    assert chat.value("print(y)") == "42\n"


# nbclient, with the kernel manager that Jupyter's server has for gateways


@pytest.fixture
def gateway_manager(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its manager sends the token with its requests, and not with its WebSocket (jupyter_server 2.21): added here."""
    GatewayClient.clear_instance()
    client = GatewayClient.instance()
    client.url, client.auth_token = house.gateway.url, TOKEN
    header = {"Authorization": f"token {TOKEN}"}
    connect = functools.partial(websocket.create_connection, header=header)
    monkeypatch.setattr("jupyter_server.gateway.managers.websocket.create_connection", connect)
    yield
    GatewayClient.clear_instance()


def notebook(*cells: str) -> Any:
    made: Any = nbformat.v4
    return made.new_notebook(cells=[made.new_code_cell(cell) for cell in cells])


def executed(notebook: Any) -> Any:
    client = NotebookClient(notebook, kernel_name="python3", kernel_manager_class=GatewayKernelManager, timeout=30)
    return asyncio.run(client.async_execute())


def test_nbclient(gateway_manager: None, house: House) -> None:
    del gateway_manager
    made = executed(notebook("x = 20", "print(x)", "x + 22", "from matplotlib import pyplot; pyplot.plot([1, 2])"))
    assert made.cells[1].outputs[0].text == "20\n"
    assert made.cells[2].outputs[0].data["text/plain"] == "42"
    assert any("image/png" in output.get("data", {}) for output in made.cells[3].outputs)
    assert house.client.get("/api/kernels").json() == []


def test_nbclient_with_an_error(gateway_manager: None) -> None:
    del gateway_manager
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        executed(notebook("1 / 0", "print('never')"))


# smolagents, as its executors use a Kernel Gateway that they have started in a container


class Executor(RemotePythonExecutor):  # type: ignore[misc]
    """What `DockerExecutor` does once its container is up; all of the protocol is smolagents' own."""

    def __init__(self, url: str) -> None:
        super().__init__([], AgentLogger(level=LogLevel.OFF))
        self.kernel = _create_kernel_http(f"{url}/api/kernels?token={TOKEN}", self.logger)
        self.address = f"{url.replace('http', 'ws')}/api/kernels/{self.kernel}/channels?token={TOKEN}"

    def run_code_raise_errors(self, code: str) -> Any:
        with contextlib.closing(websocket.create_connection(self.address)) as connection:
            return _websocket_run_code_raise_errors(code, connection, self.logger)


def test_smolagents(house: House) -> None:
    executor = Executor(house.gateway.url)
    executor.send_variables({"state": {"x": 20}})
    first = executor("print('looked'); y = state['x'] + 22")
    assert "looked" in first.logs
    # Each call is a connection of its own, and the variables stay.
    assert executor("y").output == "42"
    with pytest.raises(AgentError, match="ZeroDivisionError"):
        executor("1 / 0")
    assert house.client.delete(f"/api/kernels/{executor.kernel}").status_code == 204
