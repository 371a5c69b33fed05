"""Jupyter's HTTP calls: statuses, models and errors to the letter, since clients check them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

import httpx
import pytest

from .client import House, Session
from .gateway import TOKEN
from .jupyter import attached, kernel_of

pytestmark = pytest.mark.live
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
# The path of Jupyter's own routes.
UUID = re.compile(r"\w+-\w+-\w+-\w+-\w+")


def assert_error(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert isinstance(body["message"], str)
    assert isinstance(body["reason"], str)


def assert_kernel(model: dict[str, object]) -> None:
    assert model.keys() == {"id", "name", "last_activity", "execution_state", "connections", "kernelgw"}
    assert UUID.fullmatch(str(model["id"]))
    assert MOMENT.fullmatch(str(model["last_activity"]))
    assert model["name"] == "python3"
    assert model["execution_state"] in ("starting", "idle", "busy")


def test_what_is_asked_of_a_server_first(house: House) -> None:
    assert house.client.get("/api").json().keys() == {"version"}
    status = house.client.get("/api/status").json()
    assert status.keys() == {"started", "last_activity", "kernels", "connections"}
    assert MOMENT.fullmatch(status["started"])
    assert MOMENT.fullmatch(status["last_activity"])
    me = house.client.get("/api/me", params={"permissions": '{"kernels": ["read", "execute"]}'}).json()
    assert me["permissions"] == {"kernels": ["read", "execute"]}
    assert me["identity"]["username"]
    for wrong in ("[", "[]", '{"a": 1}'):
        assert_error(house.client.get("/api/me", params={"permissions": wrong}), 400)


def test_kernel_specs(house: House) -> None:
    specs = house.client.get("/api/kernelspecs", params={"1732612345": ""}).json()
    assert specs["default"] == "python3"
    spec = specs["kernelspecs"]["python3"]
    assert spec["name"] == "python3"
    assert {"argv", "display_name", "language"} <= spec["spec"].keys()
    assert house.client.get("/api/kernelspecs/python3").json() == spec
    assert_error(house.client.get("/api/kernelspecs/cobol"), 404)


def test_there_is_no_page_of_jupyter_s(house: House) -> None:
    for path in ("/tree", "/tree?", "/lab", "/login", "/api/contents", "/api/terminals"):
        assert house.client.get(path).status_code == 404, path


@pytest.mark.parametrize("scheme", ["token", "Token", "Bearer", "bearer", "?"])
def test_every_form_of_the_token(house: House, scheme: str) -> None:
    given = {"params": {"token": TOKEN}} if scheme == "?" else {"headers": {"Authorization": f"{scheme} {TOKEN}"}}
    with httpx.Client(base_url=house.gateway.url, trust_env=False) as client:
        assert client.get("/api/kernels", **given).status_code == 200  # type: ignore[arg-type]
        assert_error(client.get("/api/kernels"), 401)


def test_a_kernel_from_its_beginning_to_its_end(house: House) -> None:
    made = house.client.post(
        "/api/kernels", json={"name": "python3", "env": {"KERNEL_WORKING_DIR": "/x", "COLOUR": "red"}}
    )
    assert made.status_code == 201
    model = made.json()
    assert_kernel(model)
    path = f"/api/kernels/{model['id']}"
    assert made.headers["location"] == path
    assert house.client.get(path).json()["id"] == model["id"]
    assert model["id"] in [each["id"] for each in house.client.get("/api/kernels").json()]
    with attached(house.gateway, model["id"]) as lab:
        environment = "import os; (os.environ.get('COLOUR'), 'KERNEL_WORKING_DIR' in os.environ)"
        assert lab.run(environment)[0] == "('red', False)"
        # It is a session like any other.
        assert [each["state"] for each in house.client.get("/v1/sessions").json()["sessions"]] == ["idle"]
    assert house.client.post(f"{path}/interrupt", json={}).status_code == 204
    restarted = house.client.post(f"{path}/restart", json={})
    assert restarted.status_code == 200
    assert_kernel(restarted.json())
    assert restarted.json()["id"] == model["id"]
    assert house.client.delete(path).status_code == 204
    assert_error(house.client.get(path), 404)
    assert_error(house.client.delete(path), 404)
    assert house.client.get("/v1/sessions").json()["sessions"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "cobol"}, 404),
        ({"name": 1}, 400),
        ({"env": []}, 400),
        ({"env": {"A=B": "x"}}, 400),
        ({"env": {"A": 1}}, 400),
        ({"env": {"A": "\0"}}, 400),
        ({"kernel_id": str(uuid.uuid4())}, 404),
        ([], 400),
    ],
)
def test_what_cannot_be_a_kernel(house: House, body: object, status: int) -> None:
    assert_error(house.client.post("/api/kernels", json=body), status)
    assert house.client.get("/api/kernels").json() == []


def test_an_unknown_kernel_is_404_everywhere(house: House) -> None:
    for path in (str(uuid.uuid4()), "x", "%00", "a" * 1000):
        for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/interrupt"), ("POST", "/restart")):
            assert_error(house.client.request(method, f"/api/kernels/{path}{rest}"), 404)


def test_every_chat_is_a_session_under_its_own_name(house: House) -> None:
    chats = [house.session(), house.session()]
    for chat in chats:
        chat.run("1")
    found = house.client.get("/api/sessions", params={"1732612345": ""}).json()
    assert (
        sorted(each["name"] for each in found) == sorted(each["path"] for each in found) == [each.id for each in chats]
    )
    for each in found:
        assert UUID.fullmatch(each["id"])
        assert each["type"] == "notebook"
        assert_kernel(each["kernel"])
        assert house.client.get(f"/api/sessions/{each['id']}").json()["name"] == each["name"]
    # The same after a restart of the kernel.
    before = kernel_of(chats[0])
    chats[0].restart()
    assert kernel_of(chats[0]) == before


def test_a_document_is_connected_to_a_chat_and_let_go_of(house: House, session: Session) -> None:
    session.run("x = 1")
    kernel = kernel_of(session)
    made = house.client.post(
        "/api/sessions", json={"path": "a/look.ipynb", "type": "notebook", "kernel": {"id": kernel}}
    )
    assert made.status_code == 201
    document = made.json()
    assert (document["path"], document["name"], document["kernel"]["id"]) == ("a/look.ipynb", "look.ipynb", kernel)
    again = house.client.post("/api/sessions", json={"path": "a/look.ipynb", "kernel": {"name": "python3"}})
    assert (again.status_code, again.json()["id"]) == (201, document["id"])
    path = f"/api/sessions/{document['id']}"
    moved = house.client.patch(path, json={"path": "b.ipynb", "name": "b"})
    assert (moved.status_code, moved.json()["path"], moved.json()["name"]) == (200, "b.ipynb", "b")
    assert house.client.delete(path).status_code == 204
    assert_error(house.client.get(path), 404)
    assert session.value("print(x)") == "1\n"
    assert kernel_of(session) == kernel


def test_a_document_brings_a_kernel_of_its_own_and_takes_it_along(house: House) -> None:
    made = house.client.post(
        "/api/sessions", json={"path": "own.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    )
    document = made.json()
    assert made.status_code == 201
    other = house.client.patch(f"/api/sessions/{document['id']}", json={"kernel": {"name": "python3"}}).json()
    assert other["id"] == document["id"]
    assert other["kernel"]["id"] != document["kernel"]["id"]
    # Nobody else was at the one that it had.
    assert_error(house.client.get(f"/api/kernels/{document['kernel']['id']}"), 404)
    assert house.client.delete(f"/api/sessions/{document['id']}").status_code == 204
    assert_error(house.client.get(f"/api/kernels/{other['kernel']['id']}"), 404)


def test_a_second_document_neither_hides_the_first_nor_takes_its_kernel_along(house: House) -> None:
    first = house.client.post("/api/sessions", json={"path": "a.ipynb", "kernel": {"name": "python3"}}).json()
    kernel = first["kernel"]
    console = house.client.post("/api/sessions", json={"path": "console-1", "type": "console", "kernel": kernel}).json()
    assert console["kernel"]["id"] == kernel["id"]
    paths = [each["path"] for each in house.client.get("/api/sessions").json()]
    assert sorted(paths) == ["a.ipynb", "console-1"]
    assert house.client.delete(f"/api/sessions/{console['id']}").status_code == 204
    assert house.client.get(f"/api/sessions/{first['id']}").json()["kernel"]["id"] == kernel["id"]
    assert house.client.delete(f"/api/sessions/{first['id']}").status_code == 204
    assert_error(house.client.get(f"/api/kernels/{kernel['id']}"), 404)


@pytest.mark.parametrize(
    "body", [{}, {"path": 1}, {"path": "x" * 2000}, {"path": "a", "kernel": []}, {"path": "a", "kernel": {"name": 1}}]
)
def test_what_cannot_be_a_session(house: House, body: object) -> None:
    assert_error(house.client.post("/api/sessions", json=body), 400)
    assert house.client.get("/api/sessions").json() == []


def test_a_full_house_is_told(make_house: Callable[..., House]) -> None:
    house = make_house(max_sessions=1, pool_size=0)
    first = house.client.post("/api/kernels", json={})
    assert first.status_code == 201
    assert_error(house.client.post("/api/kernels", json={}), 503)
    assert house.client.delete(f"/api/kernels/{first.json()['id']}").status_code == 204
    assert house.client.post("/api/kernels", json={}).status_code == 201
