"""POST /api/execute: one call that runs code, as a front end uses it that knows nothing of sessions."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from . import proc
from .client import JSON, STREAM, EventStream, House, Session, problem, types
from .gateway import TOKEN
from .raw import Raw

pytestmark = pytest.mark.live

PATH = "/api/execute"
FIELDS = {
    *("success", "output", "error", "error_details", "stderr", "session_id", "session_ended", "execution_id", "status"),
    *("language", "engine", "reason", "outputs", "artifacts", "files", "execution_count", "duration_s", "state_lost"),
}
Execute = Callable[..., JSON]


@pytest.fixture
def execute(house: House) -> Execute:
    def execute(code: str, **body: Any) -> JSON:
        response = house.client.post(PATH, json={"code": code, **body})
        assert response.status_code == 200, response.text
        found: JSON = response.json()
        assert found.keys() == FIELDS
        assert isinstance(found["output"], str)
        assert (found["error"] is None) is found["success"]
        return found

    return execute


def sessions(house: House) -> list[JSON]:
    found: list[JSON] = house.client.get("/v1/sessions").json()["sessions"]
    return found


def refused(house: House, status: int, why: str, **body: Any) -> JSON:
    """Refused in the gateway's own form, which has besides what callers of this path look for."""
    response = house.client.post(PATH, json=body)
    error = problem(response, status, why)
    answer = response.json()
    assert answer["success"] is False
    assert answer["output"] == ""
    assert answer["message"] == f"{error['message']} {error['hint']}"
    return error


# what comes back


def test_output_is_what_was_printed_and_what_came_of_it(execute: Execute) -> None:
    found = execute("print('one')\nimport sys; print('two', file=sys.stderr)\nprint('three', end='')\n{'a': 1}")
    assert found["success"] is True
    assert found["output"] == "one\nthree\n{'a': 1}\n"
    assert found["stderr"] == "two\n"
    assert found["error"] is None
    assert found["error_details"] is None
    assert (found["status"], found["language"], found["engine"]) == ("completed", "python", "kernel")
    assert [each["output_type"] for each in found["outputs"]] == ["stream", "stream", "stream", "execute_result"]
    assert found["execution_count"] == 1
    assert 0 < found["duration_s"] < 10
    assert found["state_lost"] is False


def test_code_that_fails_is_an_answer_with_a_text(execute: Execute) -> None:
    found = execute("print('before')\nimport sys; print('careful', file=sys.stderr)\n1 / 0", language="python")
    assert (found["success"], found["status"], found["output"]) == (False, "failed", "before\n")
    assert found["error"].startswith("careful\n")
    assert found["error"].rstrip().endswith("ZeroDivisionError: division by zero")
    assert "\x1b" not in found["error"]
    assert found["error_details"]["name"] == "ZeroDivisionError"
    assert found["error_details"]["traceback"]


def test_hints_are_in_the_text(execute: Execute) -> None:
    found = execute("input()")
    assert "Hint: Nobody is asked" in found["error"]


def test_a_deadline(execute: Execute) -> None:
    found = execute("print('begun')\nwhile True: pass", timeout_s=0.5)
    assert (found["success"], found["status"], found["output"]) == (False, "timed_out", "begun\n")
    assert found["error"].startswith("It was stopped at its time limit of 0.5 s.")
    assert "variables" not in found["error"]


def test_a_kernel_that_dies(execute: Execute) -> None:
    found = execute("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert (found["success"], found["status"], found["state_lost"]) == (False, "killed", True)
    assert "KernelDied" in found["error"]
    # Nobody comes back for it.
    assert "next execution" not in found["error"]


def test_displays_come_as_they_are(execute: Execute) -> None:
    found = execute("from IPython.display import HTML\ndisplay(HTML('<b>x</b>'))")
    (output,) = found["outputs"]
    assert output["data"]["text/html"] == "<b>x</b>"
    assert found["output"].startswith("<IPython.core.display.HTML")


def test_much_output_is_bounded_and_says_so(make_house: Callable[..., House]) -> None:
    house = make_house(output_bytes=1 << 16, pool_size=1)
    found = house.client.post(PATH, json={"code": "print('x' * 1_000_000)\nprint('the end')"}).json()
    assert len(found["output"]) < 100_000
    assert found["output"].endswith("the end\n")
    assert "left out here" in found["stderr"]


# which language


@pytest.mark.parametrize("name", ["python", "py", "Python3", " PY ", "ipython"])
def test_aliases_of_python(execute: Execute, name: str) -> None:
    found = execute("print(1)", language=name)
    assert (found["output"], found["language"]) == ("1\n", "python")
    assert name.strip() in found["reason"]


@pytest.mark.parametrize("name", ["bash", "sh", "shell", "zsh", "terminal"])
def test_aliases_of_bash(execute: Execute, name: str) -> None:
    found = execute("echo $((1 + 1))", language=name)
    assert (found["output"], found["language"]) == ("2\n", "bash")


@pytest.mark.parametrize("name", ["javascript", "js", "node", "JS", "nodejs"])
def test_aliases_of_javascript(execute: Execute, name: str) -> None:
    found = execute("console.log(1 + 1)", language=name)
    assert (found["output"], found["language"]) == ("2\n", "javascript")


@pytest.mark.parametrize("name", ["typescript", "ts"])
def test_aliases_of_typescript(execute: Execute, name: str) -> None:
    found = execute("const n: number = 2; console.log(n)", language=name)
    assert (found["output"], found["language"]) == ("2\n", "typescript")


@pytest.mark.parametrize("asked", [{}, {"language": "auto"}, {"language": None}, {"language": ""}])
def test_the_language_is_found_out(execute: Execute, asked: JSON) -> None:
    found = execute("```\necho hi from a shell\n```", **asked)
    assert (found["output"], found["language"]) == ("hi from a shell\n", "bash")
    assert "shell commands" in found["reason"]
    assert "fence" in found["reason"]


@pytest.mark.parametrize("language", ["klingon", "c++", "x" * 1000, "ruby", "../python"])
def test_a_wrong_language(house: House, language: str) -> None:
    error = refused(house, 400, "unknown_language", code="print(1)", language=language)
    assert error["details"]["languages"] == house.client.get(PATH).json()["languages"]
    assert {"python", "html", "css"} <= set(error["details"]["languages"])


def test_code_in_another_language_is_told_by_its_name(house: House) -> None:
    error = refused(house, 400, "unknown_language", code="fn main() {\n    println!(1);\n}")
    assert "looks like Rust" in error["message"]
    assert "'rust'" in error["message"]
    assert "html" in error["details"]["languages"]


def test_a_prompt_and_a_magic_come_off(execute: Execute) -> None:
    assert execute("$ echo hi\nhi")["output"] == "hi\n"
    assert execute("%%js\nconsole.log([1, 2].map(x => x * 2).length)")["output"] == "2\n"
    assert execute("!echo hi")["language"] == "python"


def test_json_without_its_content_type(house: House) -> None:
    for path in (PATH, "/v1/sessions", "/v1/keys", "/api/kernels"):
        response = house.client.post(path, content='{"code": "1"}', headers={"Content-Type": "text/plain"})
        assert "Content-Type: application/json" in problem(response, 400, "bad_request")["hint"], path


@pytest.mark.parametrize("code", ["", " \n", "```python\n```", '{"a": 1}', "Write me a program that counts to ten."])
@pytest.mark.parametrize("language", ["auto", "python"])
def test_nothing_to_run(house: House, code: str, language: str) -> None:
    if language == "python" and code[:1] in ("{", "W"):
        # Who says that it is Python may have it so.
        assert house.client.post(PATH, json={"code": code, "language": language}).status_code == 200
    else:
        refused(house, 400, "nothing_to_run", code=code, language=language)


@pytest.mark.parametrize(
    "body",
    [
        *({}, {"code": 1}, {"code": "1", "timeout_s": 0}, {"code": "1", "timeout_s": "x"}, {"code": "1", "more": 1}),
        *({"code": "1", "stdin": 5}, {"code": "1", "files": ["a"]}, {"code": "1", "files": {"a": {"hex": "00"}}}),
        *({"code": "1", "files": {"a": {"base64": "!"}}}, {"code": "1", "session_id": "a/b"}, {"code": None}),
        *({"code": "1", "session_id": ""}, {"code": "\ud800"}, {"code": "1", "files": {"\ud800": ""}}),
    ],
    ids=lambda body: ascii(body)[:60],
)
def test_bad_requests(house: House, body: JSON) -> None:
    content = json.dumps(body).encode()
    response = house.client.post(PATH, content=content, headers={"Content-Type": "application/json"})
    problem(response, 400, "bad_request")
    assert response.json()["success"] is False
    assert sessions(house) == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods(house: House, method: str) -> None:
    response = house.client.request(method, PATH)
    assert response.status_code == 405
    assert response.json()["success"] is False


def test_health(house: House) -> None:
    found = house.client.get(PATH).json()
    assert (found["status"], found["platform"]) == ("ok", "linux")
    assert found["message"]
    assert {"python", "javascript", "typescript", "bash", "html"} <= set(found["languages"])


# sessions


def test_without_a_session_nothing_is_left(house: House, execute: Execute) -> None:
    first = execute("x = 1\nopen('kept', 'w').close()", language="python")
    second = execute("import os\nprint('x' in dir(), os.listdir('.'))")
    assert second["output"] == "False []\n"
    assert first["session_id"] != second["session_id"]
    assert first["session_ended"] is second["session_ended"] is True
    assert sessions(house) == []
    problem(house.client.get(f"/v1/sessions/{first['session_id']}"), 404, "session_not_found")


def test_a_session_goes_on(house: House, execute: Execute) -> None:
    name = house.session().id
    first = execute("x = 20", session_id=name)
    assert (first["session_id"], first["session_ended"]) == (name, False)
    assert execute("print(x + 1)", session_id=name)["output"] == "21\n"
    # What is ambiguous is in the session's own language.
    assert execute("x", session_id=name)["language"] == "python"
    session = Session(house.client, name)
    assert session.value("print(x)") == "20\n"
    history = house.client.get(f"{session.path}/history").json()["executions"]
    assert [each["code"] for each in history] == ["x = 20", "print(x + 1)", "x", "print(x)"]


def test_twenty_at_once(house: House) -> None:
    gate = threading.Barrier(20)

    def one(number: int) -> JSON:
        with house.gateway.client() as client:
            gate.wait()
            found: JSON = client.post(PATH, json={"code": f"print({number} ** 2)", "language": "py"}).json()
            return found

    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(one, range(20)))
    assert [each["output"] for each in found] == [f"{number**2}\n" for number in range(20)]
    assert len({each["session_id"] for each in found}) == 20
    assert sessions(house) == []


def test_when_the_house_is_full(make_house: Callable[..., House]) -> None:
    house = make_house(max_sessions=1, pool_size=0)
    chat = house.session()
    chat.run("1")
    response = house.client.post(PATH, json={"code": "1", "language": "python"})
    problem(response, 503, "house_full")
    assert response.headers["retry-after"]
    assert response.json()["success"] is False
    chat.delete()
    assert house.client.post(PATH, json={"code": "1", "language": "python"}).json()["success"] is True


@pytest.mark.parametrize("language", ["python", "auto", "html"])
def test_five_megabytes_of_code(execute: Execute, language: str) -> None:
    if language == "html":
        found = execute("<p>" + "y" * 5_000_000 + "</p>", language=language)
        assert found["outputs"][0]["data"]["text/html"].endswith("yyy</p>")
    else:
        found = execute(f"text = '{'x' * 5_000_000}'\nprint(len(text))", language=language)
        assert found["output"] == "5000000\n"
    assert found["success"]


def test_too_much(house: House) -> None:
    response = house.client.post(PATH, json={"code": "x" * (17 << 20)})
    problem(response, 413, "body_too_large")
    assert response.json()["success"] is False


# files and standard input


def test_files_are_there_before_and_come_back(execute: Execute) -> None:
    code = """
import os
print(open('data/names.csv', encoding='utf-8').read(), list(open('raw', 'rb').read()))
open('out.txt', 'w').write('made')
os.makedirs('deep/er')
open('deep/er/picture.bin', 'wb').write(bytes(range(256)))
"""
    files = {"data/names.csv": "Ana\nJürgen\n", "raw": {"base64": base64.b64encode(b"\x00\xff").decode()}, "./dot": ""}
    found = execute(code, files=files)
    assert found["output"].startswith("Ana\nJürgen\n [0, 255]\n")
    # What came with it is not what it made.
    assert [each["path"] for each in found["files"]] == ["deep/er/picture.bin", "out.txt"]
    made = {each["name"]: base64.b64decode(each["base64"]) for each in found["artifacts"]}
    assert made == {"out.txt": b"made", "picture.bin": bytes(range(256))}
    assert {each["url"] for each in found["artifacts"]} == {None}


def test_files_of_a_session_stay_and_have_addresses(house: House, execute: Execute) -> None:
    name = house.session().id
    execute("1", session_id=name, files={"a.txt": "first"})
    found = execute("open('a.txt', 'a').write(' second')", session_id=name, language="python")
    (made,) = found["artifacts"]
    assert house.client.get(made["url"]).text == "first second"
    again = execute("print(open('a.txt').read())", session_id=name, files={"a.txt": "new", "b.txt": ""})
    assert again["output"] == "new\n"
    assert again["files"] == []


def test_files_belong_to_the_session(execute: Execute) -> None:
    code = """
import os
for path in ('a', 'a/b', 'a/b/c'):
    facts = os.lstat(path)
    print(facts.st_uid == os.getuid(), facts.st_gid == os.getgid(), oct(facts.st_mode & 0o777))
open('a/b/c', 'a').write('more'); os.rename('a/b', 'a/d')
"""
    found = execute(code, files={"a/b/c": "text"})
    assert found["output"] == "True True 0o755\nTrue True 0o755\nTrue True 0o644\n"
    assert found["success"]


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "", "a//b", "a/", "x" * 300, "a\0b", "."])
def test_files_that_lead_elsewhere(house: House, path: str) -> None:
    refused(house, 400, "bad_path", code="1", language="python", files={path: "x"})
    assert sessions(house) == []


def test_links_that_a_session_made_are_not_followed(house: House, execute: Execute) -> None:
    name = house.session().id
    execute("import os\nos.symlink('/tmp', 'out')\nos.symlink('/etc/hostname', 'file')", session_id=name)
    refused(house, 409, "file_not_written", code="1", session_id=name, files={"out/x": "x"})
    found = execute(
        "import os\nprint(os.path.islink('file'), open('file').read())", session_id=name, files={"file": "x"}
    )
    assert found["output"] == "False x\n"


def test_one_name_twice(house: House) -> None:
    refused(house, 400, "bad_path", code="1", language="python", files={"a": "1", "./a": "2"})


READS = [
    ("print([input('? '), input()])", "? ['one', 'two']\n"),
    ("import sys\nprint(repr(sys.stdin.read()))", "'one\\ntwo\\nthree'\n"),
    ("import sys\nprint(sys.stdin.readline().strip(), [line for line in sys.stdin])", "one ['two\\n', 'three']\n"),
    ("print(open(0).read().upper())", "ONE\nTWO\nTHREE\n"),
    ("import subprocess\nprint(subprocess.run(['cat'], capture_output=True, text=True).stdout)", "one\ntwo\nthree\n"),
    ("import sys\nfor line in map(str.rstrip, sys.stdin):\n    print(len(line))", "3\n3\n5\n"),
    ("import getpass\nprint(getpass.getpass('secret '))", "secret one\n"),
    ("import fileinput\nprint(sum(1 for _ in fileinput.input('-')))", "3\n"),
]


@pytest.mark.parametrize(("code", "output"), READS, ids=[code.split("\n")[-1][:30] for code, _ in READS])
def test_standard_input(execute: Execute, code: str, output: str) -> None:
    assert execute(code, language="python", stdin="one\ntwo\nthree")["output"] == output


def test_standard_input_ends(execute: Execute) -> None:
    found = execute("print(input())\ninput()", stdin="ü 🐍\n")
    assert (found["output"], found["error_details"]["name"]) == ("ü 🐍\n", "EOFError")
    assert execute("input()", stdin="")["error_details"]["name"] == "EOFError"
    large = "x" * 3_000_000
    assert execute("print(len(input()))", stdin=large)["output"] == "3000000\n"


def test_standard_input_is_of_one_run_alone(house: House, execute: Execute) -> None:
    name = house.session().id
    execute("import sys; before = sys.stdin", session_id=name)
    assert execute("print(input())", session_id=name, stdin="a\nb\n")["output"] == "a\n"
    assert execute("print(input())", session_id=name, stdin="c\n")["output"] == "c\n"
    session = Session(house.client, name)
    assert session.value("import os; print(sys.stdin is before, repr(os.read(0, 10)))") == "True b''\n"
    assert session.run("input()")["error"]["name"] == "StdinNotImplementedError"
    with session.stream("print(input('? '))", stdin=True) as stream:
        asked = stream.until("input.requested")
        assert session.answer(asked.data["execution_id"], "asked").status_code == 202
        stream.until_text("asked\n")
    # Also after one that was stopped while it read.
    found = execute(
        "import sys\nfor line in sys.stdin: pass\nwhile True: pass", session_id=name, stdin="x", timeout_s=0.3
    )
    assert found["status"] == "timed_out"
    assert session.value("print(sys.stdin is before)") == "True\n"


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
