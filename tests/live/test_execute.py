"""POST /api/execute: one call that runs code, as a front end uses it that knows nothing of sessions."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from .client import JSON, House, Session, problem
from .executing import PATH, Execute, refused, sessions

pytestmark = pytest.mark.live


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
