"""The Python client: events from lines, and every failure as a GatewayProblem."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from kernelgw.client import Client, Event, GatewayProblem
from kernelgw.client.http import parse
from kernelgw.events.log import EventLog

Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def client() -> Iterator[Callable[[Handler], Client]]:
    """A client whose requests go to a function."""
    made: list[Client] = []

    def make(handler: Handler) -> Client:
        found = Client("http://gateway.example", "t")
        old, found._http = (
            found._http,
            httpx.Client(
                base_url=found._http.base_url, headers=found._http.headers, transport=httpx.MockTransport(handler)
            ),
        )
        old.close()
        made.append(found)
        return found

    yield make
    for one in made:
        one.close()


Make = Callable[[Handler], Client]


def test_events_from_lines() -> None:
    lines = ["id: 3", "event: output.stream", 'data: {"text": "a: b"}', "", "id: 4", "event: x", "data: {}", ""]
    assert list(parse(lines)) == [Event(3, "output.stream", {"text": "a: b"}), Event(4, "x", {})]


def test_comments_retries_and_empty_frames_are_no_events() -> None:
    lines = [
        ": keep-alive",
        "",
        "",
        "retry: 10",
        "",
        "id: 1",
        "",
        ":",
        "id: 2",
        ": between",
        "event: x",
        "data: {}",
        "",
    ]
    assert list(parse(lines)) == [Event(2, "x", {})]


def test_a_space_after_the_colon_is_not_needed_and_only_one_is_taken() -> None:
    assert list(parse(["id:7", "event:x", 'data: {"a": 1}', ""])) == [Event(7, "x", {"a": 1})]


def test_a_frame_that_was_cut_off_is_no_event() -> None:
    assert list(parse(["id: 1", "event: x", "data: {}"])) == []


def test_events_come_as_soon_as_they_are_whole() -> None:
    def lines() -> Iterator[str]:
        yield from ("id: 1", "event: x", "data: {}", "")
        raise AssertionError("read too far")

    assert next(parse(lines())) == Event(1, "x", {})


ODD = "line\u2028separator\u2029next\x85line\x0b\x0c\x1c\x1d\x1e\r\n\ttab \U0001f600"


def test_every_text_survives_the_way_from_the_log_to_the_client(client: Make) -> None:
    log = EventLog(10**6)
    frames = [log.append("output.stream", {"text": text}).frame() for text in (ODD, "plain", *ODD)]

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=iter([b": keep-alive\n\n", *frames]))

    events = list(client(answer).stream("GET", "/v1/sessions/s/events"))
    assert [event.data["text"] for event in events] == [ODD, "plain", *ODD]
    assert [event.seq for event in events] == list(range(1, len(frames) + 1))


@pytest.mark.parametrize("step", [1, 7, 64])
def test_events_survive_any_cut_into_packets(client: Make, step: int) -> None:
    log = EventLog(10**6)
    data = b"".join(log.append("x", {"text": "ä\U0001f600\n" * 5}).frame() for _ in range(5))
    pieces = [data[start : start + step] for start in range(0, len(data), step)]
    events = list(client(lambda _: httpx.Response(200, content=iter(pieces))).stream("GET", "/"))
    assert [event.data for event in events] == [{"text": "ä\U0001f600\n" * 5}] * 5


def test_calls_go_where_they_should(client: Make) -> None:
    asked: list[tuple[str, str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer t"
        body = json.loads(request.content) if request.content else None
        asked.append((request.method, request.url.raw_path.decode(), body))
        return httpx.Response(202, json={"status": "completed"})

    session = client(answer).session("a/b ?")
    assert session.run("1", timeout_s=3) == {"status": "completed"}
    session.answer("e1", "yes")
    session.interrupt()
    session.restart()
    session.end()
    base = "/v1/sessions/a%2Fb%20%3F"
    assert asked == [
        ("POST", f"{base}/executions", {"code": "1", "timeout_s": 3}),
        ("POST", f"{base}/executions/e1/input", {"value": "yes"}),
        ("POST", f"{base}/interrupt", None),
        ("POST", f"{base}/restart", None),
        ("DELETE", base, None),
    ]


def test_an_answer_without_content_is_none(client: Make) -> None:
    assert client(lambda _: httpx.Response(204)).request("DELETE", "/x") is None


def test_a_stream_asks_for_events(client: Make) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept"] == "text/event-stream"
        return httpx.Response(200, content=b"")

    assert list(client(answer).session("s").stream("1")) == []


def problem_of(client: Client, streamed: bool) -> GatewayProblem:
    with pytest.raises(GatewayProblem) as raised:
        list(client.stream("GET", "/x")) if streamed else client.request("GET", "/x")
    return raised.value


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_has_the_gateway_s_words(client: Make, streamed: bool) -> None:
    body = {"error": {"code": "house_full", "message": "All taken.", "hint": "Wait.", "details": {}}}
    problem = problem_of(client(lambda _: httpx.Response(503, json=body)), streamed)
    assert (problem.status, problem.code, problem.message, problem.hint) == (503, "house_full", "All taken.", "Wait.")
    assert str(problem) == "All taken."


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b"null", b'{"error": null}', b'{"error": "Bad Gateway"}', b'{"error": {}}']
)
def test_a_refusal_by_somebody_else_is_a_problem_too(client: Make, body: bytes, streamed: bool) -> None:
    problem = problem_of(client(lambda _: httpx.Response(502, content=body)), streamed)
    assert problem.status == 502
    assert "502" in problem.message


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError])
def test_a_gateway_that_cannot_be_reached_is_a_problem(
    client: Make, kind: type[httpx.TransportError], streamed: bool
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise kind("refused")

    problem = problem_of(client(answer), streamed)
    assert (problem.status, problem.code) == (0, "unreachable")
    assert "kernelgw serve" in problem.hint


def test_a_stream_that_breaks_off_is_a_problem_after_its_events(client: Make) -> None:
    def content() -> Iterator[bytes]:
        yield b"id: 1\nevent: x\ndata: {}\n\n"
        raise httpx.ReadError("gone")

    events = client(lambda _: httpx.Response(200, content=content())).stream("GET", "/x")
    assert next(events) == Event(1, "x", {})
    with pytest.raises(GatewayProblem):
        next(events)


def test_url_and_token_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNELGW_URL", "http://elsewhere.example:1")
    monkeypatch.setenv("KERNELGW_TOKEN", "secret")
    with Client() as found:
        assert found._http.base_url == "http://elsewhere.example:1"
        assert found._http.headers["authorization"] == "Bearer secret"


def test_the_client_can_be_lifted_out() -> None:
    import kernelgw.client.http as module

    assert "from .." not in Path(module.__file__).read_text()
    assert orjson.__name__ not in Path(module.__file__).read_text()
