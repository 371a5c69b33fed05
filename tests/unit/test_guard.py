"""The guard as pure ASGI: who passes, who does not, and that nothing is read of those who do not."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from starlette.types import Message, Receive, Scope, Send

from kernelgw.api.guard import ADMITTED, DEFAULTS, Guard

TOKEN = "right-token"
BEARER = ("authorization", f"Bearer {TOKEN}")
HOST = ("host", "127.0.0.1:8000")
Header = tuple[str, str]


class Inner:
    """The application behind the guard: counts its calls and reads the whole body."""

    def __init__(self) -> None:
        self.calls = 0
        self.body = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        if scope["type"] == "lifespan":
            return
        more = True
        while more:
            message = await receive()
            self.body += message.get("body", b"")
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


class Call:
    """One request through a guard."""

    def __init__(self, *, token: str = TOKEN, hosts: Sequence[str] = (), origins: Sequence[str] = ()) -> None:
        self.inner = Inner()
        self.guard = Guard(self.inner, token, hosts, origins, max_body=100)
        self.sent: list[Message] = []
        self.received = 0
        self.address = "192.0.2.1"
        self.admitted = 0

    async def __call__(
        self,
        *headers: Header,
        path: str = "/v1/sessions",
        query: str = "",
        kind: str = "http",
        body: Sequence[bytes] = (b"",),
    ) -> Any:
        """The status; for a WebSocket that is closed the code, else 101."""
        pieces = list(body)

        async def receive() -> Message:
            self.received += 1
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        async def send(message: Message) -> None:
            self.sent.append(message)

        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        scope: Scope = {"type": kind, "path": path, "query_string": query.encode(), "headers": raw, "method": "POST"}
        scope.update(client=(self.address, 1), extensions={ADMITTED: self._admit})
        await self.guard(scope, receive, send)
        if kind == "websocket":
            return self.sent[0].get("code", 101)
        return self.sent[0]["status"] if self.sent else None

    def _admit(self) -> None:
        self.admitted += 1

    def code(self) -> str:
        found: str = orjson.loads(self.sent[1]["body"])["error"]["code"]
        return found


@pytest.mark.parametrize(
    "value", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"token {TOKEN}", f"Token {TOKEN}", f"Bearer   {TOKEN} "]
)
async def test_the_token_in_a_header_passes(value: str) -> None:
    call = Call()
    assert await call(HOST, ("authorization", value)) == 200
    assert call.inner.calls == 1


@pytest.mark.parametrize("query", [f"token={TOKEN}", f"a=1&token={TOKEN}&b=2", "token=right%2dtoken"])
async def test_the_token_in_the_query_passes(query: str) -> None:
    assert await Call()(HOST, query=query) == 200


@pytest.mark.parametrize(
    "value",
    [
        *("", TOKEN, "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer x{TOKEN}"),
        *(f"Bearer {TOKEN.upper()}", f"Bearer{TOKEN}", "Bearer \xff\xfe", f"Bearer {TOKEN},{TOKEN}"),
    ],
)
async def test_anything_else_is_401_and_nothing_is_read(value: str) -> None:
    call = Call()
    assert await call(HOST, ("authorization", value)) == 401
    assert call.code() == "unauthorized"
    assert (call.inner.calls, call.received) == (0, 0)
    assert (b"www-authenticate", b"Bearer") in call.sent[0]["headers"]


@pytest.mark.parametrize("query", ["", "token=", "token=wrong", f"Token={TOKEN}", f"xtoken={TOKEN}", "token=%ff%00"])
async def test_a_query_without_the_token_is_401(query: str) -> None:
    assert await Call()(HOST, query=query) == 401


async def test_a_wrong_header_is_not_made_good_by_the_query() -> None:
    assert await Call()(HOST, ("authorization", "Bearer wrong"), query=f"token={TOKEN}") == 401


@pytest.mark.parametrize("headers", [[], [("authorization", "Bearer ")], [("authorization", "token")]])
async def test_a_guard_without_a_token_lets_nobody_in(headers: list[Header]) -> None:
    assert await Call(token="")(HOST, *headers) == 401
    assert await Call(token="")(HOST, *headers, query="token=") == 401


@pytest.mark.prop("GA12")
async def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, two: bytes) -> bool:
        compared.append((len(one), len(two)))
        return one == two

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for value in ("x", TOKEN, "x" * 1000):
        await Call()(HOST, ("authorization", f"Bearer {value}"))
    # Of the same length whatever was sent, or the length would tell.
    assert len(compared) == 3
    assert len({size for pair in compared for size in pair}) == 1


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:8000", "localhost", "LocalHost:1", "[::1]", "[::1]:8000"),
        *("chat.example", "CHAT.example:443"),
    ],
)
async def test_its_own_names_pass(host: str) -> None:
    assert await Call(hosts=["Chat.Example"])(("host", host), BEARER) == 200


@pytest.mark.parametrize(
    "host",
    [
        *("", ":8000", "evil.example", "evil.example:8000", "localhost.", "127.0.0.1.", "127.0.0.1.evil.example"),
        *("localhost.evil.example", "evil.example#localhost", "localhost@evil.example", "127.0.0.2", "0.0.0.0"),
        *("::1", "[::2]", "[]", " localhost", "2130706433", "127.1", "\xff", "localhost:1:1"),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_other_names_do_not_even_with_the_token(host: str, kind: str) -> None:
    call = Call(hosts=["chat.example"])
    status = await call(("host", host), BEARER, kind=kind)
    assert status == (421 if kind == "http" else 1008)
    assert call.inner.calls == 0


async def test_without_a_host_nobody_passes() -> None:
    call = Call()
    assert await call(BEARER) == 421
    assert call.code() == "host_not_allowed"


async def test_the_bracket_of_an_address_does_not_hide_another_name() -> None:
    assert await Call()(("host", "[::1].evil.example"), BEARER) == 421


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8000", "https://127.0.0.1:8000", "https://chat.example"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_own_and_allowed_pages_pass(origin: str, kind: str) -> None:
    call = Call(origins=["https://chat.example"])
    assert await call(HOST, BEARER, ("origin", origin), kind=kind) == (200 if kind == "http" else 101)


@pytest.mark.parametrize(
    "origin",
    [
        *("null", "", "http://evil.example", "http://127.0.0.1", "http://127.0.0.1:8001", "http://localhost:8000"),
        *("http://chat.example", "https://chat.example:444", "https://chat.example.evil.example", "127.0.0.1:8000"),
        *("http://x@127.0.0.1:8000", "http://127.0.0.1:8000.evil.example", "file://", "http://[", "http://[::1"),
        "\xff",
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_other_pages_do_not_even_with_the_token(origin: str, kind: str) -> None:
    call = Call(origins=["https://chat.example"])
    assert await call(HOST, BEARER, ("origin", origin), kind=kind) == (403 if kind == "http" else 1008)
    assert call.inner.calls == 0


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/favicon.ico", "/static/page/app.js"])
async def test_open_paths_need_no_token_but_the_right_name_and_page(path: str) -> None:
    assert await Call()(HOST, path=path) == 200
    assert await Call()(("host", "evil.example"), path=path) == 421
    assert await Call()(HOST, ("origin", "http://evil.example"), path=path) == 403


@pytest.mark.parametrize(
    "path", ["/docs", "/openapi.json", "/v1/sessions", "/static", "/healthz/", "//", "/metrics", ""]
)
async def test_other_paths_need_the_token(path: str) -> None:
    assert await Call()(HOST, path=path) == 401


@pytest.mark.parametrize(("size", "status"), [("0", 200), ("100", 200), ("101", 413), ("9" * 30, 413)])
async def test_an_announced_body_is_refused_before_it_is_read(size: str, status: int) -> None:
    call = Call()
    assert await call(HOST, BEARER, ("content-length", size)) == status
    if status == 413:
        assert call.code() == "body_too_large"
        assert call.received == 0


@pytest.mark.parametrize("size", ["-1", "ten", "", "1.0", "\xb2", "9" * 5000, "0x10"])
async def test_a_length_that_is_none_is_refused(size: str) -> None:
    call = Call()
    assert await call(HOST, BEARER, ("content-length", size)) in (400, 413)
    assert call.inner.calls == 0


@pytest.mark.parametrize("path", ["/v1/sessions", "/healthz"])
@pytest.mark.parametrize("announced", [[], [("content-length", "5")]])
async def test_a_body_is_counted_as_it_comes(path: str, announced: list[Header]) -> None:
    call = Call()
    assert await call(HOST, BEARER, *announced, path=path, body=[b"x" * 50, b"x" * 50]) == 200
    assert call.inner.body == b"x" * 100


class Forgiving(Inner):
    """As FastAPI: takes what goes wrong while the body is read for a fault in it, and answers itself."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except Exception:
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"fault"})


async def test_a_body_that_grows_too_large_is_413_once_whoever_answers() -> None:
    call = Call()
    call.inner = call.guard.app = Forgiving()
    assert await call(HOST, BEARER, body=[b"x" * 50, b"x" * 51, b"x" * 50]) == 413
    assert call.code() == "body_too_large"
    assert [message["type"] for message in call.sent] == ["http.response.start", "http.response.body"]
    assert call.received == 2


async def test_a_websocket_needs_the_token_and_is_closed_with_1008_without() -> None:
    call = Call()
    assert await call(HOST, kind="websocket") == 1008
    assert call.sent == [{"type": "websocket.close", "code": 1008, "reason": "unauthorized"}]
    assert await Call()(HOST, BEARER, kind="websocket") == 101
    assert await Call()(HOST, kind="websocket", query=f"token={TOKEN}") == 101


async def test_the_lifespan_passes() -> None:
    call = Call()
    await call(kind="lifespan")
    assert call.inner.calls == 1


@pytest.mark.parametrize("name", ["Host", "Origin", "Authorization", "Content-Length"])
async def test_what_is_judged_may_stand_there_once(name: str) -> None:
    values = {"Host": HOST[1], "Origin": f"http://{HOST[1]}", "Authorization": BEARER[1], "Content-Length": "1"}
    headers = [(each.lower(), value) for each, value in values.items()]
    assert await Call()(*headers) == 200
    call = Call()
    assert await call(*headers, (name.lower(), values[name])) == 400
    assert call.code() == "bad_request"
    assert (call.inner.calls, call.received) == (0, 0)


@pytest.mark.prop("GA12")
async def test_wrong_tokens_are_limited_by_address_and_the_right_one_never_is() -> None:
    call = Call()

    async def asked(value: str, address: str = "192.0.2.1") -> int:
        call.sent.clear()
        call.address = address
        status: int = await call(HOST, ("authorization", f"Bearer {value}"))
        return status

    assert [await asked(f"wrong-{n}") for n in range(31)] == [401] * 30 + [429]
    assert call.code() == "too_many_tries"
    assert int(dict(call.sent[0]["headers"])[b"retry-after"]) >= 1
    assert await asked(TOKEN) == 200
    assert await asked("wrong") == 429
    assert await asked("wrong", "192.0.2.2") == 401
    # To send none is no try: a page that asks for it first must not be locked out.
    assert await asked("") == 401


async def test_the_connection_hears_of_the_token_and_of_nothing_else() -> None:
    call = Call()
    for headers, path in (([HOST], "/v1/sessions"), ([HOST], "/"), ([HOST, BEARER], "/healthz")):
        await call(*headers, path=path)
    assert call.admitted == 0
    await call(("host", "evil.example"), BEARER)
    await call(HOST, BEARER, ("origin", "null"))
    assert call.admitted == 0
    await call(HOST, BEARER)
    assert call.admitted == 1


async def test_every_answer_keeps_to_itself() -> None:
    for headers in ([HOST, BEARER], [HOST], [], [HOST, BEARER, ("content-length", "101")]):
        call = Call()
        await call(*headers)
        assert set(DEFAULTS) <= set(call.sent[0]["headers"])
        assert dict(call.sent[0]["headers"])[b"cache-control"] == b"no-store"


async def test_what_an_answer_says_itself_is_left_to_it() -> None:
    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Cache-Control", b"no-cache")]})
        await send({"type": "http.response.body", "body": b""})

    call = Call()
    call.guard.app = page
    await call(HOST, BEARER)
    names = [name.lower() for name, _ in call.sent[0]["headers"]]
    assert names.count(b"cache-control") == 1
    assert (b"Cache-Control", b"no-cache") in call.sent[0]["headers"]
