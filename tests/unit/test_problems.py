"""What is wrong with a request is said by the names that its caller knows."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import Body, FastAPI
from starlette.testclient import TestClient

from kernelgw.api import problems
from kernelgw.api.models import SessionBody
from kernelgw.compat.execute import ExecuteBody

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    problems.install(app)

    @app.post("/api/execute")
    async def execute(body: ExecuteBody) -> None: ...

    @app.put("/v1/sessions/a")
    async def session(body: Annotated[SessionBody | None, Body()] = None) -> None: ...

    return TestClient(app)


def told(client: TestClient, content: bytes, headers: dict[str, str], path: str = "/api/execute") -> dict[str, Any]:
    answer = client.request("POST" if "execute" in path else "PUT", path, content=content, headers=headers)
    assert answer.status_code == 400, answer.text
    found: dict[str, Any] = answer.json()["error"]
    return found


@pytest.mark.parametrize("path", ["/api/execute", "/v1/sessions/a"])
@pytest.mark.parametrize("kind", ["", "application/x-www-form-urlencoded", "text/plain"])
def test_json_without_its_content_type(client: TestClient, path: str, kind: str) -> None:
    found = told(client, b'{"language": "js"}', {"Content-Type": kind} if kind else {}, path)
    assert kind in found["message"]
    assert "Content-Type" in found["message"]
    assert "Content-Type: application/json" in found["hint"]
    assert "dictionary" not in found["message"]


def test_json_that_is_no_object(client: TestClient) -> None:
    assert told(client, b"[1]", JSON)["message"] == "body: Input should be an object."


def test_broken_json(client: TestClient) -> None:
    message = told(client, b'{"code": "1",\n "files": {,}}', JSON)["message"]
    assert message.startswith("The body is not JSON: line 2, column 12: ")
    assert told(client, b'{"code": "1"', JSON)["message"].startswith("The body is not JSON: line 1, column 13: ")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"code": "1", "files": {"a": 5}}', "body.files.a"),
        (b'{"code": "1", "files": {"Base64": 5}}', "body.files.Base64"),
        (b'{"code": "1", "files": {"a": {"hex": "00"}}}', "body.files.a"),
        (b'{"code": "1", "files": ["a"]}', "body.files"),
        (b'{"code": "1", "timeout_s": 0}', "body.timeout_s"),
        (b'{"code": "1", "more": 1}', "body.more"),
        (b"{}", "body.code"),
    ],
)
def test_names_are_the_callers(client: TestClient, body: bytes, where: str) -> None:
    found = told(client, body, JSON)
    assert found["message"].startswith(f"{where}: ")
    for fault in found["details"]["faults"]:
        assert fault["where"] in (where, f"{where}.base64", f"{where}.hex")
        for internal in ("function-after", "_unicode", "dictionary", "instance", "Value error"):
            assert internal not in f"{fault}"


def test_choices(client: TestClient) -> None:
    found = told(client, b'{"network": "x", "env": {"a b": "1"}}', JSON, "/v1/sessions/a")
    faults = {fault["where"]: fault["what"] for fault in found["details"]["faults"]}
    assert faults["body.network"] == "Input should be 'off', 'packages' or 'full', or: Input should be an object"
    assert faults["body.env"] == "'a b' cannot be an environment variable"
