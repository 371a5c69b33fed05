"""POST /api/execute: streams, callers that leave, what browsers run, servers, and who may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from . import proc
from .client import JSON, STREAM, EventStream, House, problem, types
from .executing import PATH, Execute, refused, sessions
from .gateway import TOKEN
from .raw import Raw

pytestmark = pytest.mark.live


# streams, and callers that leave


def test_a_stream(house: House) -> None:
    body = {"code": "print('a')\n1 + 1", "language": "py"}
    with house.client.stream("POST", PATH, json=body, headers=STREAM) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-execution-language"] == "python"
        assert response.headers["x-execution-engine"] == "kernel"
        assert "'py' was asked for" in response.headers["x-execution-reason"]
        events = list(EventStream(response))
    assert types(events) == ["execution.started", "output.stream", "output.result", "execution.completed"]
    assert events[-1].data["status"] == "completed"
    assert events[-1].data["id"] == response.headers["x-execution-id"]
    gone(house)


def gone(house: House) -> None:
    proc.wait_until(lambda: not sessions(house), 10, lambda: sessions(house))


def test_a_reader_that_leaves_ends_its_run(house: House) -> None:
    body = {"code": "print('here', flush=True)\nwhile True: pass", "language": "python"}
    with house.client.stream("POST", PATH, json=body, headers=STREAM) as response:
        stream = EventStream(response)
        stream.until_text("here")
        assert len(sessions(house)) == 1
    gone(house)


@pytest.fixture
def raw(house: House) -> Iterator[Raw]:
    raw = Raw(house.gateway.url)
    yield raw
    raw.sock.close()


def post(raw: Raw, **body: Any) -> None:
    content = json.dumps(body).encode()
    headers = (f"Content-Length: {len(content)}", "Content-Type: application/json")
    raw.send(raw.head(f"POST {PATH}", *headers, token=TOKEN) + content)


def test_a_caller_that_leaves_ends_its_run(house: House, raw: Raw) -> None:
    post(raw, code="while True: pass", language="python")
    proc.wait_until(lambda: [each["state"] for each in sessions(house)] == ["busy"], 10, lambda: sessions(house))
    raw.sock.close()
    gone(house)


@pytest.mark.parametrize("leaves", ["detach", "interrupt"])
def test_a_caller_that_leaves_a_session(house: House, raw: Raw, leaves: str) -> None:
    session = house.session()
    session.run("import os, time")
    loop = "while not os.path.exists('stop'): time.sleep(0.01)"
    post(raw, code=loop, language="python", session_id=session.id, on_disconnect=leaves)
    proc.wait_until(lambda: session.look()["state"] == "busy", 10, session.look)
    raw.sock.close()
    if leaves == "detach":
        session.touch("stop")
    proc.wait_until(lambda: session.look()["state"] == "idle", 10, session.look)
    last = house.client.get(f"{session.path}/history").json()["executions"][-1]
    assert last["status"] == ("completed" if leaves == "detach" else "interrupted")


# what a browser runs


def test_html_is_shown_and_not_run(house: House, execute: Execute) -> None:
    found = execute("<!doctype html><h1>Hi</h1><script>console.log(1)</script>")
    assert (found["success"], found["language"], found["engine"]) == (True, "html", "browser")
    assert (found["session_id"], found["session_ended"]) == (None, False)
    (output,) = found["outputs"]
    assert output["output_type"] == "display_data"
    assert output["data"]["text/html"].endswith("<h1>Hi</h1><script>console.log(1)</script>")
    assert output["metadata"]["text/html"] == {"isolated": True}
    assert found["output"] == f"{output['data']['text/plain']}\n"
    assert sessions(house) == []


def test_html_has_its_place_in_a_session(house: House, execute: Execute) -> None:
    session = house.session()
    session.run("x = 1")
    shown = execute("document.title = 'x'", session_id=session.id)
    session.run("x")
    history = house.client.get(f"{session.path}/history").json()["executions"]
    assert shown["language"] == "javascript"
    assert [each["language"] for each in history] == ["python", "browser-javascript", "python"]
    assert history[1]["id"] == shown["execution_id"]
    assert session.execution(shown["execution_id"])["outputs"] == shown["outputs"]
    with session.follow(shown["execution_id"]) as stream:
        assert [event.type for event in stream] == ["execution.started", "output.display", "execution.completed"]


def test_html_is_replayed_as_it_was(house: House, execute: Execute) -> None:
    session = house.session()
    for code in ("x = 1", "<p>x</p>", "document.title = 'x'", "p { margin: 0 }", "x"):
        assert execute(code, session_id=session.id)["success"]
    assert execute("print(input())", session_id=session.id, stdin="given")["success"]
    found = house.client.post(f"{session.path}/replay").json()
    assert (found["same"], found["different"]) == (6, 0)
    notebook = house.client.get(f"{session.path}/notebook").json()
    assert ["text/html" in str(cell["outputs"]) for cell in notebook["cells"]] == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]


def test_html_needs_no_kernel_and_waits_for_none(house: House) -> None:
    session = house.session()
    with session.stream("print('busy', flush=True)\nwhile True: pass") as stream:
        stream.until_text("busy")
        found = session.run("<p>x</p>", language="html")
        assert (found["status"], found["language"]) == ("completed", "html")
        assert session.look()["state"] == "busy"
        session.interrupt()
        assert stream.until("execution.completed").data["status"] == "interrupted"
    fresh = house.session()
    assert [event.type for event in fresh.events("p { color: red }", language="css")] == [
        *("execution.started", "output.display", "execution.completed")
    ]
    assert fresh.look()["state"] == "new"


def test_html_as_a_stream(house: House) -> None:
    with house.client.stream("POST", PATH, json={"code": "<p>x</p>"}, headers=STREAM) as response:
        assert response.headers["x-execution-engine"] == "browser"
        events = list(EventStream(response))
    assert types(events) == ["execution.started", "output.display", "execution.completed"]


@pytest.mark.parametrize("body", [{"stdin": "x"}, {"files": {"a": "x"}}])
def test_what_a_browser_cannot_have(house: House, body: JSON) -> None:
    refused(house, 400, "bad_request", code="<p>x</p>", **body)


# servers


def test_a_server_is_told_as_one_and_does_not_hang(house: House, execute: Execute) -> None:
    code = "from flask import Flask\napp = Flask(__name__)\n@app.route('/')\ndef home(): return 'hi'\napp.run()\n"
    found = execute(code)
    assert (found["success"], found["execution_id"]) == (False, None)
    assert found["error_details"]["name"] == "ServerProgram"
    assert "Flask" in found["error"]
    assert "session_id" in found["error"]
    assert sessions(house) == []


def test_a_server_beside_the_rest_of_a_program_is_run(execute: Execute) -> None:
    code = """
import threading, urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'hello')
server = HTTPServer(('127.0.0.1', 0), Hello)
threading.Thread(target=lambda: server.serve_forever(), daemon=True).start()
print(urllib.request.urlopen(f'http://127.0.0.1:{server.server_port}/').read())
"""
    assert execute(code)["output"] == "b'hello'\n"
    code = (
        "python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 & "
        "until : 2>/dev/null </dev/tcp/127.0.0.1/8000; do sleep 0.1; done; echo it is up; kill %1"
    )
    assert execute(code, language="bash", timeout_s=30)["output"].startswith("it is up\n")


def test_a_server_runs_in_a_session(house: House) -> None:
    session = house.session()
    code = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'hello')
        print('asked', flush=True)
server = HTTPServer(('127.0.0.1', 0), Hello)
import threading, urllib.request
url = f'http://127.0.0.1:{server.server_port}/'
threading.Timer(0.05, lambda: print(urllib.request.urlopen(url).read(), flush=True)).start()
server.serve_forever()
"""
    body = {"code": code, "session_id": session.id}
    with house.client.stream("POST", PATH, json=body, headers=STREAM) as response:
        stream = EventStream(response)
        stream.until_text("b'hello'")
    session.interrupt()
    proc.wait_until(lambda: session.look()["state"] == "idle", 10, session.look)


# who may


def test_only_callers_with_everything_may(house: House) -> None:
    nobody = httpx.post(f"{house.gateway.url}{PATH}", json={"code": "1"}, trust_env=False)
    problem(nobody, 401, "unauthorized")
    assert nobody.json()["success"] is False
    problem(httpx.get(f"{house.gateway.url}{PATH}", trust_env=False), 401, "unauthorized")
    for scope, allowed in (("full", True), ("debug", False)):
        made = house.client.post("/v1/keys", json={"scope": scope}).json()
        headers = {"Authorization": f"Bearer {made['key']}"}
        with httpx.Client(base_url=house.gateway.url, headers=headers, trust_env=False) as client:
            for path in (PATH, f"{PATH}/", f"{PATH}/more"):
                answer = client.post(path, json={"code": "print(1)", "language": "py"})
                assert answer.status_code == (403 if not allowed else 200 if path == PATH else 404), path
            assert client.get(PATH).status_code == (200 if allowed else 403)
        house.client.delete(f"/v1/keys/{made['id']}")
    assert sessions(house) == []


def test_a_key_that_is_revoked_ends_its_run(house: House) -> None:
    made = house.client.post("/v1/keys", json={"scope": "full"}).json()
    body = {"code": "print('here', flush=True)\nwhile True: pass", "language": "python"}
    headers = {"Authorization": f"Bearer {made['key']}", **STREAM}
    with (
        httpx.Client(base_url=house.gateway.url, trust_env=False) as client,
        client.stream("POST", PATH, json=body, headers=headers) as response,
    ):
        stream = EventStream(response)
        stream.until_text("here")
        house.client.delete(f"/v1/keys/{made['id']}")
        gone(house)
