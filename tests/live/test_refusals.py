"""What is refused, and how: unknown things, malformed bodies, strangers."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from .client import House, Session, problem
from .gateway import TOKEN, Gateway

pytestmark = pytest.mark.live

MIB = 1 << 20


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/events"),
        ("GET", "/history"),
        ("POST", "/interrupt"),
        ("POST", "/restart"),
        ("GET", "/executions/x"),
        ("GET", "/executions/x/events"),
        ("POST", "/executions/x/input"),
    ],
)
def test_unknown_session(house: House, method: str, path: str) -> None:
    response = house.client.request(method, f"{house.session().path}{path}", json={"value": ""})
    problem(response, 404, "session_not_found")
    assert house.client.get("/v1/sessions").json()["sessions"] == []


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/events"), ("POST", "/input")])
def test_unknown_execution(house: House, method: str, path: str) -> None:
    session = house.session(language="python")
    response = house.client.request(method, f"{session.path}/executions/none{path}", json={"value": ""})
    problem(response, 404, "execution_not_found")


def test_execution_of_another_session(house: House) -> None:
    mine, other = house.session(), house.session()
    execution = mine.run("1")
    other.run("1")
    problem(house.client.get(f"{other.path}/executions/{execution['id']}"), 404, "execution_not_found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"code": 1},
        {"code": None},
        {"code": "1", "unknown": 1},
        {"code": "1", "timeout_s": 0},
        {"code": "1", "timeout_s": -5},
        {"code": "1", "timeout_s": "x"},
        {"code": "1", "timeout_s": 1e9},
        {"code": "1", "stdin": 3},
        {"code": "1", "on_disconnect": "explode"},
        [],
        None,
    ],
    ids=str,
)
def test_bad_execution_bodies(house: House, body: object) -> None:
    session = house.session()
    error = problem(house.client.post(f"{session.path}/executions", json=body), 400, "bad_request")
    assert error["details"]["faults"]
    problem(house.client.get(session.path), 404, "session_not_found")


@pytest.mark.prop("GA09")
@pytest.mark.parametrize(
    "content", [b"{", b"", b"\xff\xfe", b'{"code": "1"', b"code=1", b'{"code": "\xed\xa0\x80"}', b"[" * 100_000]
)
def test_bad_json(house: House, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = house.client.post(f"{house.session().path}/executions", content=content, headers=headers)
    problem(response, 400, "bad_request")


def test_surrogates(house: House) -> None:
    """Legal in JSON, but no text: they can be neither Python source nor a variable."""
    headers = {"Content-Type": "application/json"}
    session = house.session()
    for method, path, body in (
        ("POST", f"{session.path}/executions", rb'{"code": "print(\"\ud800\")"}'),
        ("PUT", session.path, rb'{"env": {"A": "\udfff"}}'),
        ("PUT", session.path, rb'{"cwd": "\udfff"}'),
        ("POST", "/v1/sessions", rb'{"id": "\ud800"}'),
    ):
        problem(house.client.request(method, path, content=body, headers=headers), 400, "bad_request")
    assert house.client.get("/v1/sessions").json()["sessions"] == []


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 30, "²"])
def test_bad_last_event_id(session: Session, value: str) -> None:
    execution = session.run("1")
    for path in (f"{session.path}/events", f"{session.path}/executions/{execution['id']}/events"):
        headers = {b"Last-Event-ID": value.encode()}
        problem(session.client.get(path, headers=headers), 400, "bad_request")


def test_unknown_path_and_method(house: House) -> None:
    problem(house.client.get("/v1/nothing"), 404, "not_found")
    problem(house.client.patch("/v1/sessions"), 405, "method_not_allowed")


@pytest.mark.prop("GA09")
def test_body_too_large(house: House) -> None:
    path = f"{house.session().path}/executions"
    body = b'{"code": "' + b"#" * (17 * MIB) + b'"}'

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), MIB):
            yield body[start : start + MIB]

    for content in (body, pieces()):
        headers = {"Content-Type": "application/json"}
        error = problem(house.client.post(path, content=content, headers=headers), 413, "body_too_large")
        assert error["details"]["limit"] == 16 * MIB


def test_large_body_within_the_limit(session: Session) -> None:
    assert session.value(f"print(len('{'x' * (10 * MIB)}'))") == f"{10 * MIB}\n"


@pytest.fixture
def stranger(shared_gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shared_gateway.url, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("header", ["Bearer wrong", "token wrong", f"Basic {TOKEN}", TOKEN, "Bearer", ""])
def test_wrong_token(stranger: httpx.Client, header: str) -> None:
    response = stranger.get("/v1/sessions", headers={"Authorization": header})
    problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_no_token(stranger: httpx.Client) -> None:
    for path in ("/v1/sessions", "/v1/sessions/x", "/docs", "/openapi.json", "/metrics", "/none"):
        problem(stranger.get(path), 401, "unauthorized")
    problem(stranger.post("/v1/sessions/x/executions", json={"code": "1"}), 401, "unauthorized")
    problem(stranger.get("/v1/sessions?token=wrong"), 401, "unauthorized")


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"token {TOKEN}", f"Token {TOKEN}"])
def test_token_forms(stranger: httpx.Client, header: str) -> None:
    assert stranger.get("/v1/sessions", headers={"Authorization": header}).status_code == 200


def test_token_in_the_query(stranger: httpx.Client) -> None:
    assert stranger.get(f"/v1/sessions?token={TOKEN}").status_code == 200
    assert stranger.get(f"/v1/sessions?a=b&token={TOKEN}").status_code == 200


def test_health_needs_no_token(stranger: httpx.Client) -> None:
    assert stranger.get("/healthz").json() == {"status": "ok"}
    assert stranger.get("/readyz").status_code in (200, 503)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::2]:1", "10.0.0.1"]
)
def test_wrong_host(house: House, host: str) -> None:
    for path in ("/v1/sessions", "/", "/healthz"):
        problem(house.client.get(path, headers={"Host": host}), 421, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]", "[::1]:8"])
def test_right_host(house: House, host: str) -> None:
    assert house.client.get("/v1/sessions", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1", "http://localhost:1"])
def test_foreign_origin(house: House, origin: str) -> None:
    problem(house.client.get("/v1/sessions", headers={"Origin": origin}), 403, "origin_not_allowed")
    body = {"code": "1"}
    response = house.client.post("/v1/sessions/x/executions", json=body, headers={"Origin": origin})
    problem(response, 403, "origin_not_allowed")
    problem(house.client.get("/v1/sessions/x"), 404, "session_not_found")


def test_own_origin(house: House) -> None:
    url = house.gateway.url
    assert house.client.get("/v1/sessions", headers={"Origin": url}).status_code == 200
