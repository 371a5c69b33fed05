"""Sessions: made, found, described, ended; and what their wishes do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from .client import House, Session, problem

pytestmark = pytest.mark.live

AWKWARD = {
    "PLAIN": "value",
    "QUOTES": """it's "quoted" `so` """,
    "LINES": "one\ntwo\r\n\tthree\n",
    "DOLLAR": "$HOME ${PATH} $(id) %PATH% \\$",
    "UNICODE": "naïve 漢字 🐍",
    "EMPTY": "",
    "_under": "1",
}
SHOW_ENV = f"import os, json; print(json.dumps({{name: os.environ.get(name) for name in {list(AWKWARD)}}}))"


@pytest.fixture(params=["warm", "cold"])
def any_house(request: pytest.FixtureRequest) -> House:
    """Sessions on warm kernels, then on kernels that are started for them."""
    if request.param == "warm":
        house: House = request.getfixturevalue("house")
    else:
        house = request.getfixturevalue("make_house")(pool_size=0)
    return house


def test_put_creates_once(house: House) -> None:
    session = house.session()
    first = house.client.put(session.path, json={})
    assert first.status_code == 201
    assert first.json()["id"] == session.id
    assert house.client.put(session.path, json={}).status_code == 200
    assert house.client.put(session.path).status_code == 200


def test_post_makes_an_id(house: House) -> None:
    made = [house.client.post("/v1/sessions") for _ in range(2)]
    assert [response.status_code for response in made] == [201, 201]
    ids = {response.json()["id"] for response in made}
    assert len(ids) == 2
    assert all(house.client.get(f"/v1/sessions/{id_}").status_code == 200 for id_ in ids)


def test_post_takes_an_id(house: House) -> None:
    id_ = house.session().id
    assert house.client.post("/v1/sessions", json={"id": id_}).status_code == 201
    again = house.client.post("/v1/sessions", json={"id": id_})
    assert (again.status_code, again.json()["id"]) == (200, id_)


def test_running_code_creates(session: Session) -> None:
    assert session.value("print(6 * 7)") == "42\n"
    look = session.look()
    assert (look["state"], look["language"], look["executions"]) == ("idle", "python", 1)
    assert look["kernel"]["pid"] > 0


def test_list_look_delete(house: House) -> None:
    sessions = [house.session(language="python") for _ in range(3)]
    listed = house.client.get("/v1/sessions").json()["sessions"]
    assert [entry["id"] for entry in listed] == [session.id for session in sessions]
    gone = sessions[1]
    assert house.client.delete(gone.path).status_code == 204
    problem(house.client.get(gone.path), 404, "session_not_found")
    problem(house.client.delete(gone.path), 404, "session_not_found")
    assert len(house.client.get("/v1/sessions").json()["sessions"]) == 2


def test_a_deleted_id_begins_anew(session: Session) -> None:
    session.value("x = 1; open('kept', 'w').close()")
    session.delete()
    assert session.run("x")["error"]["name"] == "NameError"
    assert session.value("import os; print(os.listdir())") == "[]\n"


@pytest.mark.parametrize("id_", ["a", "Z-9._", "." * 3, "x" * 128])
def test_good_ids(house: House, id_: str) -> None:
    session = Session(house.client, id_)
    session.create()
    assert session.value("print(1)") == "1\n"


@pytest.mark.parametrize("id_", ["x" * 129, "a%20b", "a%2Fb", "%C3%A9", "a%0A", "a%00b", "a:b", "~a", "a+b"])
def test_bad_ids(house: House, id_: str) -> None:
    for response in (
        house.client.put(f"/v1/sessions/{id_}", json={}),
        house.client.post(f"/v1/sessions/{id_}/executions", json={"code": "1"}),
    ):
        # A slash makes it another path; either way it is refused, and nothing is created.
        code = "not_found" if "%2F" in id_ else "bad_request"
        problem(response, 404 if "%2F" in id_ else 400, code)
    assert house.client.get("/v1/sessions").json()["sessions"] == []


@pytest.mark.parametrize("id_", ["", "a b", "x" * 129, "../up"])
def test_bad_ids_in_the_body(house: House, id_: str) -> None:
    problem(house.client.post("/v1/sessions", json={"id": id_}), 400, "bad_request")


def test_variables_arrive_intact(any_house: House) -> None:
    session = any_house.session(env=AWKWARD)
    assert json.loads(session.value(SHOW_ENV)) == AWKWARD


def test_variables_reach_subprocesses_and_later_kernels(any_house: House) -> None:
    session = any_house.session(env={"DEEP": "down"})
    show = "import subprocess; print(subprocess.check_output(['printenv', 'DEEP'], text=True))"
    assert session.value(show) == "down\n\n"
    session.restart()
    assert session.value(show) == "down\n\n"


def test_variables_of_one_session_are_not_anothers(house: House) -> None:
    house.session(env={"SECRET": "mine"}).value("1")
    assert house.session().value("import os; print(os.environ.get('SECRET'))") == "None\n"


@pytest.mark.parametrize("cwd", ["sub", "a/b c/ü", "."])
def test_cwd(any_house: House, cwd: str) -> None:
    session = any_house.session(cwd=cwd)
    wanted = "/workspace" if cwd == "." else f"/workspace/{cwd}"
    show = "import os; print(os.getcwd()); open('here', 'w').close(); print(os.path.exists(os.getcwd() + '/here'))"
    assert session.value(show) == f"{wanted}\nTrue\n"


def test_cwd_after_restart(any_house: House) -> None:
    session = any_house.session(cwd="sub")
    session.value("open('kept', 'w').write('x')")
    session.restart()
    assert session.value("import os; print(os.getcwd(), os.listdir())") == "/workspace/sub ['kept']\n"


def test_default_cwd_is_the_workspace(any_house: House) -> None:
    assert any_house.session().value("import os; print(os.getcwd())") == "/workspace\n"


def test_existing_session_keeps_its_wishes(house: House) -> None:
    session = house.session(env={"A": "1"})
    assert house.client.put(session.path, json={"env": {"A": "2"}}).status_code == 200
    assert session.value("import os; print(os.environ['A'])") == "1\n"


@pytest.mark.parametrize(
    "body",
    [
        {"unknown": 1},
        {"env": {"A": 1}},
        {"env": ["A"]},
        {"env": {"1A": "x"}},
        {"env": {"A=B": "x"}},
        {"env": {"": "x"}},
        {"env": {"A": "nul\0"}},
        {"cwd": "/etc"},
        {"cwd": "../up"},
        {"cwd": "a/../../up"},
        {"cwd": "nul\0"},
        {"cwd": 5},
        {"idle_timeout_s": -1},
        {"idle_timeout_s": "soon"},
        {"network": "on"},
        {"language": 3},
        [],
        "text",
    ],
    ids=str,
)
def test_bad_wishes(house: House, body: Any) -> None:
    session = house.session()
    error = problem(house.client.put(session.path, json=body), 400, "bad_request")
    assert error["details"]["faults"]
    problem(house.client.get(session.path), 404, "session_not_found")


def test_unknown_language(house: House) -> None:
    session = house.session()
    calls: list[Callable[[], Any]] = [
        lambda: house.client.put(session.path, json={"language": "cobol"}),
        lambda: session.post("1", language="cobol"),
        lambda: house.client.post("/v1/sessions", json={"language": "cobol"}),
    ]
    for call in calls:
        error = problem(call(), 400, "unknown_language")
        assert "python" in error["details"]["languages"]
    assert house.client.get("/v1/sessions").json()["sessions"] == []


@pytest.mark.parametrize("name", ["none-such", "../default", "Default", "default\n", "x" * 300])
def test_unknown_environment(house: House, name: str) -> None:
    session = house.session()
    error = problem(house.client.put(session.path, json={"environment": name}), 400, "unknown_environment")
    assert error["details"]["environments"] == ["default", "plain"]
    problem(house.client.get(session.path), 404, "session_not_found")
