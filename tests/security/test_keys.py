"""Keys: each opens what it is for, and nothing else; none outlives its time."""

from __future__ import annotations

import json
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import proc
from tests.live.client import House, Session, visiting
from tests.live.gateway import MODULE, TOKEN, Gateway
from tests.live.jupyter import attached, kernel_of

from .doors import Door, doors

pytestmark = pytest.mark.live
JSON = dict[str, Any]
# What one may call with a key for debugging; paths with the chat's own ids.
DEBUG = frozenset(
    {
        *("GET /docs", "GET /openapi.json", "GET /v1/sessions", "GET /v1/sessions/{session_id}"),
        *("POST /v1/sessions/{session_id}/interrupt", "GET /v1/sessions/{session_id}/events"),
        *("GET /v1/sessions/{session_id}/history", "GET /v1/sessions/{session_id}/notebook"),
        *("GET /v1/sessions/{session_id}/kernels", "GET /v1/sessions/{session_id}/kernels/{name}"),
        "POST /v1/sessions/{session_id}/kernels/{name}/interrupt",
        "GET /v1/sessions/{session_id}/executions/{execution_id}",
        "GET /v1/sessions/{session_id}/executions/{execution_id}/events",
        "GET /v1/sessions/{session_id}/artifacts",
        "GET /v1/sessions/{session_id}/artifacts/{artifact_id}",
    }
)
OPEN = frozenset({"GET /", "GET /healthz", "GET /readyz", "GET /static/page/{name}"})


def make(house: House, scope: str = "debug", **body: Any) -> JSON:
    answer = house.client.post("/v1/keys", json={"scope": scope, **body})
    assert answer.status_code == 201, answer.text
    made: JSON = answer.json()
    return made


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("keys") / "data", pool_size=1) as gateway:
        gateway.remember_baseline()
        yield gateway


@pytest.fixture
def house(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[House]:
    with visiting(gateway, request.node.name) as house:
        yield house


@pytest.fixture
def holder(house: House) -> Iterator[Callable[..., httpx.Client]]:
    """A client by a key of its own, or by a given one."""
    clients: list[httpx.Client] = []

    def hold(key: str = "", **body: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key or make(house, **body)['key']}"}
        clients.append(httpx.Client(base_url=house.gateway.url, headers=headers, timeout=30, trust_env=False))
        return clients[-1]

    yield hold
    for client in clients:
        client.close()


@pytest.fixture
def chat(house: House) -> Session:
    chat = house.session()
    chat.run("x = 20")
    return chat


def by_key(house: House, chat: Session, key: str) -> Any:
    return attached(house.gateway, kernel_of(chat), additional_headers={"Authorization": f"token {key}"})


# what it opens


@pytest.mark.parametrize("session", [None, "another"], ids=["all sessions", "one other session"])
def test_a_key_for_debugging_opens_what_it_is_for(
    house: House, chat: Session, holder: Callable[..., httpx.Client], session: str | None, tmp_path: Path
) -> None:
    client = holder(session_id=session)
    execution = chat.run("1")["id"]
    for door in doors(tmp_path):
        if str(door) in OPEN or (door.path.startswith("/api") and not door.path.startswith("/api/execute")):
            continue
        path = door.path.format(
            session_id=chat.id, execution_id=execution, artifact_id="0" * 64, key_id="none", name="none"
        )
        answer = _status(client, door, path)
        about = "{session_id}" in door.path or door.path == "/v1/sessions"
        if str(door) in DEBUG and not (about and session is not None):
            assert answer in (200, 202, 404), door
        else:
            assert answer == 403, door
    assert chat.value("print(x)") == "20\n"


def _status(client: httpx.Client, door: Door, path: str) -> int:
    with client.stream(door.method, path, json={} if door.method != "GET" else None) as answer:
        if answer.status_code == 403:
            assert json.loads(answer.read())["error"]["code"] == "not_allowed"
        return answer.status_code


def test_with_it_a_developer_works_at_a_chat_and_cannot_break_it(
    house: House, chat: Session, holder: Callable[..., httpx.Client]
) -> None:
    key = make(house)["key"]
    client = holder(key)
    with by_key(house, chat, key) as lab:
        assert lab.run("x = x + 1; x")[0] == "21"
        _, reply = lab.ended(lab.send("shutdown_request", {"restart": True}, "control"))
        assert (reply.content["status"], reply.content["ename"]) == ("error", "NotAllowed")
        _, reply = lab.ended(lab.send("shutdown_request", {"restart": False}, "control"))
        assert reply.content["status"] == "ok"
    kernel = kernel_of(chat)
    refused = client.post(f"/api/kernels/{kernel}/restart", json={})
    assert refused.status_code == 403
    assert "variables" in refused.json()["message"]
    assert client.delete(f"/api/kernels/{kernel}").status_code == 204
    for entry in client.get("/api/sessions").json():
        if entry["kernel"]["id"] == kernel:
            assert client.delete(f"/api/sessions/{entry['id']}").status_code == 204
    assert chat.value("print(x)") == "21\n"


def test_a_kernel_that_others_began_by_jupyter_s_door_is_left_alone(
    house: House, holder: Callable[..., httpx.Client]
) -> None:
    debugging = holder()
    theirs = house.client.post("/api/kernels", json={}).json()["id"]
    own = debugging.post("/api/kernels", json={}).json()["id"]
    for kernel in (theirs, own):
        assert debugging.delete(f"/api/kernels/{kernel}").status_code == 204
    assert house.client.get(f"/api/kernels/{theirs}").status_code == 200
    assert house.client.get(f"/api/kernels/{own}").status_code == 404
    assert house.client.delete(f"/api/kernels/{theirs}").status_code == 204
    assert house.client.get(f"/api/kernels/{theirs}").status_code == 404


def test_a_key_for_one_session_sees_no_other(house: House, chat: Session, holder: Callable[..., httpx.Client]) -> None:
    other = house.session()
    other.run("secret = 1")
    key = make(house, session_id=chat.id)["key"]
    client = holder(key)
    assert [each["name"] for each in client.get("/api/sessions").json()] == [chat.id]
    assert [each["id"] for each in client.get("/api/kernels").json()] == [kernel_of(chat)]
    assert client.get("/api/status").json()["kernels"] == 1
    for path in (f"/api/kernels/{kernel_of(other)}", f"/api/kernels/{kernel_of(other)}/channels"):
        assert client.get(path).status_code == 404
    assert client.post(f"/api/kernels/{kernel_of(other)}/interrupt").status_code == 404
    assert client.post("/api/kernels", json={"kernel_id": kernel_of(other)}).status_code == 404
    for body in ({"path": other.id}, {"path": "new.ipynb"}):
        assert client.post("/api/sessions", json=body).status_code == 403
    assert client.post("/api/kernels", json={}).status_code == 403
    with pytest.raises(Exception, match="404"), by_key(house, other, key):
        pass
    with by_key(house, chat, key) as lab:
        assert lab.run("x")[0] == "20"
    assert client.get(f"/v1/sessions/{other.id}").status_code == 403
    assert client.get(f"/v1/sessions/{chat.id}").status_code == 200


def test_a_full_key_is_for_everything(house: House, chat: Session, holder: Callable[..., httpx.Client]) -> None:
    client = holder(scope="full")
    assert client.post(f"{chat.path}/restart").status_code == 202
    made = client.post("/v1/keys", json={"scope": "debug"}).json()
    assert client.delete(f"/v1/keys/{made['id']}").status_code == 204


def test_nobody_is_led_to_a_kernel_by_what_another_calls_a_document(
    house: House, chat: Session, holder: Callable[..., httpx.Client]
) -> None:
    limited, debugging = holder(session_id=chat.id), holder()
    other = house.session()
    other.run("1")
    kernel, another = kernel_of(chat), kernel_of(other)
    own = next(each for each in limited.get("/api/sessions").json())
    assert limited.patch(f"/api/sessions/{own['id']}", json={"path": "work.ipynb"}).status_code == 403
    trap = {"path": "work.ipynb", "kernel": {"id": kernel}}
    mine = limited.post("/api/sessions", json=trap).json()
    assert mine["kernel"]["id"] == kernel
    assert limited.post("/api/sessions", json={**trap, "path": other.id}).status_code == 201
    for client in (house.client, debugging):
        made = client.post("/api/sessions", json={"path": "work.ipynb", "kernel": {"name": "python3"}}).json()
        assert made["kernel"]["id"] not in (kernel, another)
        # What is a chat's name leads to that chat.
        assert client.post("/api/sessions", json={"path": other.id}).json()["kernel"]["id"] == another
        # Its own, again.
        again = client.post("/api/sessions", json={"path": "work.ipynb", "kernel": {"name": "python3"}}).json()
        assert again["id"] == made["id"]
        # A kernel that is named by its id is meant.
        to = {"path": "work.ipynb", "kernel": {"id": another}}
        assert client.post("/api/sessions", json=to).json()["kernel"]["id"] == another
        assert client.delete(f"/api/kernels/{made['kernel']['id']}").status_code == 204
    assert limited.patch(f"/api/sessions/{mine['id']}", json={"path": "other.ipynb"}).status_code == 200
    assert debugging.patch(f"/api/sessions/{mine['id']}", json={"path": "x.ipynb"}).status_code == 403


def test_holders_of_keys_leave_each_other_s_kernels_alone(house: House, holder: Callable[..., httpx.Client]) -> None:
    one, other = holder(), holder()
    kernel = one.post("/api/kernels", json={}).json()["id"]
    assert other.post(f"/api/kernels/{kernel}/restart", json={}).status_code == 403
    assert other.delete(f"/api/kernels/{kernel}").status_code == 204
    assert one.get(f"/api/kernels/{kernel}").status_code == 200
    assert one.post(f"/api/kernels/{kernel}/restart", json={}).status_code == 200
    assert one.delete(f"/api/kernels/{kernel}").status_code == 204
    assert one.get(f"/api/kernels/{kernel}").status_code == 404


# how it ends


def test_a_revoked_key_opens_nothing_and_lets_go_of_who_holds_it(
    house: House, chat: Session, holder: Callable[..., httpx.Client]
) -> None:
    made = make(house)
    client = holder(made["key"])
    with (
        by_key(house, chat, made["key"]) as lab,
        attached(house.gateway, kernel_of(chat)) as other,
        client.stream("GET", f"{chat.path}/events", params={"after": 0}) as events,
    ):
        lab.run("1")
        lines = events.iter_lines()
        next(lines)
        assert house.client.delete(f"/v1/keys/{made['id']}").status_code == 204
        assert lab.closed() == 1008
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in lines:
                pass
        assert other.run("x")[0] == "20"
    assert client.get("/v1/sessions").status_code == 401
    assert house.client.delete(f"/v1/keys/{made['id']}").status_code == 404
    assert chat.value("print(x)") == "20\n"


def test_what_was_asked_for_by_a_revoked_key_is_not_run(
    house: House, chat: Session, holder: Callable[..., httpx.Client]
) -> None:
    made = make(house)
    with by_key(house, chat, made["key"]) as lab:
        running = lab.execute("import time; time.sleep(60)")
        lab.until(lambda message: message.type == "execute_input")
        waiting = lab.execute("x = 'taken'")
        proc.wait_until(lambda: chat.look()["queued"] == 1, 20, "it does not wait")
        house.client.delete(f"/v1/keys/{made['id']}")
        assert lab.closed() == 1008
    assert chat.value("print(x)") == "20\n"
    assert [chat.execution(id_)["status"] for id_ in (running, waiting)] == ["interrupted", "interrupted"]


def test_a_key_for_a_session_ends_with_it(house: House, holder: Callable[..., httpx.Client]) -> None:
    chat = house.session()
    chat.run("1")
    client = holder(session_id=chat.id)
    assert client.get(f"{chat.path}/history").status_code == 200
    chat.delete()
    assert client.get(f"{chat.path}/history").status_code == 401


def test_an_expired_key_does_too(house: House, chat: Session, holder: Callable[..., httpx.Client]) -> None:
    made = make(house, expires_s=1.5)
    with by_key(house, chat, made["key"]) as lab:
        assert lab.closed() == 1008
    assert time.time() >= made["expires_at"]
    assert holder(made["key"]).get("/v1/sessions").status_code == 401
    assert made["id"] not in [key["id"] for key in house.client.get("/v1/keys").json()["keys"]]


# what is kept


def test_keys_outlive_the_gateway_and_are_kept_as_digests(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with Gateway(path, pool_size=0) as gateway:
        made = _asked(gateway, "POST", "/v1/keys", TOKEN, {"scope": "debug", "name": "ada"}).json()
        revoked = _asked(gateway, "POST", "/v1/keys", TOKEN, {"scope": "debug"}).json()
        _asked(gateway, "DELETE", f"/v1/keys/{revoked['id']}", TOKEN)
    kept = path / "keys.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert made["key"] not in kept.read_text()
    assert made["name"] in kept.read_text()
    with Gateway(path, pool_size=0) as gateway:
        assert _asked(gateway, "GET", "/v1/sessions", made["key"]).status_code == 200
        assert _asked(gateway, "GET", "/v1/sessions", revoked["key"]).status_code == 401
        listed = _asked(gateway, "GET", "/v1/keys", TOKEN).json()["keys"]
        assert [(key["id"], key["name"]) for key in listed] == [(made["id"], "ada")]
        assert "key" not in listed[0]
        assert "digest" not in listed[0]


def _asked(gateway: Gateway, method: str, path: str, key: str, body: JSON | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.request(method, gateway.url + path, json=body, headers=headers, trust_env=False)


def test_a_file_of_keys_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with Gateway(path, pool_size=0) as gateway:
        _asked(gateway, "POST", "/v1/keys", TOKEN, {"scope": "debug"})
    kept = path / "keys.json"
    kept.write_text(kept.read_text()[:-3])
    gateway = Gateway(path, pool_size=0)
    assert gateway.launch().wait(30) == 2
    assert "keys.json cannot be read" in gateway.output()


def test_the_command_makes_lists_and_revokes(house: House) -> None:
    def keys(*arguments: str) -> subprocess.CompletedProcess[str]:
        where = ("--url", house.gateway.url, "--token", TOKEN)
        return subprocess.run([*MODULE, "keys", *arguments, *where], capture_output=True, text=True, timeout=30)

    made = keys("create", "--name", "ada's", "--session", "chat-1", "--expires-s", "7200")
    assert made.returncode == 0, made.stderr
    secret, id_ = made.stdout.strip(), made.stderr.split("revoke ")[1].split("`")[0]
    assert _asked(house.gateway, "GET", "/v1/sessions/chat-1", secret).status_code == 404
    listed = [line.split() for line in keys("list").stdout.splitlines()]
    assert [id_, "debug", "chat-1", "in", "2", "h", "ada's"] in listed
    assert keys("revoke", id_).returncode == 0
    assert _asked(house.gateway, "GET", "/v1/sessions/chat-1", secret).status_code == 401
    again = keys("revoke", id_)
    assert again.returncode == 1
    assert "There is no key" in again.stderr


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"scope": "all"},
        {"scope": "debug", "expires_s": 0},
        {"scope": "debug", "session_id": "../x"},
        {"scope": "full", "session_id": "chat"},
        {"scope": "debug", "more": 1},
        {"scope": "debug", "name": "\u001b[2J"},
    ],
    ids=json.dumps,
)
def test_bad_bodies_are_told_so(house: House, body: JSON) -> None:
    answer = house.client.post("/v1/keys", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


def test_guessed_keys_count_as_wrong_tokens(house: House, holder: Callable[..., httpx.Client]) -> None:
    right = make(house)["key"]
    for wrong in (right[:-1], right + "x", right.removeprefix("kgw_"), "kgw_", right.upper()):
        assert holder(wrong).get("/v1/sessions").status_code == 401
    assert holder(right).get("/v1/sessions").status_code == 200
