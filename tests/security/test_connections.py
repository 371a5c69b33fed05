"""Connections that mean no good: half sent, slow, endless, ambiguous. Nobody with the token notices them."""

from __future__ import annotations

import contextlib
import json
import resource
import select
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.live import proc
from tests.live.client import Session, streamed
from tests.live.gateway import TOKEN, Gateway
from tests.live.raw import Answer, Raw, raw

pytestmark = pytest.mark.live

KIB = 1 << 10
MIB = 1 << 20
FLOOD = 1500
MAX_CONNECTIONS = 400
MAX_STRANGERS = 100
TIMEOUT_S = 1
HEADER_BYTES = 8 * KIB
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One with little patience."""
    gateway = Gateway(
        tmp_path_factory.mktemp("connections") / "data",
        pool_size=1,
        head_timeout_s=TIMEOUT_S,
        body_timeout_s=TIMEOUT_S,
        keep_alive_s=TIMEOUT_S,
        max_header_bytes=HEADER_BYTES,
        max_connections=MAX_CONNECTIONS,
        max_strangers=MAX_STRANGERS,
    )
    with gateway:
        yield gateway
        assert "Traceback" not in gateway.output()


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One whose clocks are of no help: everything that comes stays, unless it has to give way."""
    gateway = Gateway(
        tmp_path_factory.mktemp("patient") / "data",
        pool_size=1,
        head_timeout_s=600,
        max_connections=MAX_CONNECTIONS,
        max_strangers=MAX_STRANGERS,
    )
    with gateway:
        yield gateway


def sockets(gateway: Gateway) -> list[list[str]]:
    """Lines of /proc/net/tcp, as fields: the gateway's ends of connections that it holds."""
    port = f":{urlsplit(gateway.url).port:04X}"
    lines = [line.split() for line in (proc.PROC / str(gateway.pid) / "net/tcp").read_text().splitlines()[1:]]
    # An inode of 0 is of nobody, the listening socket (0A) no connection.
    return [line for line in lines if line[1].endswith(port) and line[3] != "0A" and line[9] != "0"]


def connections(gateway: Gateway) -> int:
    return len(sockets(gateway))


def waiting(gateway: Gateway, connection: Raw) -> int:
    """Bytes on the gateway's side that this connection's other side has not taken; 0 when it is gone."""
    port = f":{connection.sock.getsockname()[1]:04X}"
    return sum(int(line[4].partition(":")[0], 16) for line in sockets(gateway) if line[2].endswith(port))


@contextlib.contextmanager
def flood(gateway: Gateway, count: int, sent: bytes, sources: tuple[str, ...] = ("",)) -> Iterator[list[Raw]]:
    """That many connections at once, each of which has sent this and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held: list[Raw] = []
    try:
        for n in range(count):
            held.append(Raw(gateway.url, source=sources[n % len(sources)]))
            with contextlib.suppress(ConnectionError):
                held[-1].send(sent)
        yield held
    finally:
        for connection in held:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def readable(connection: Raw, seconds: float) -> bool:
    """Waits that long for anything to come, its end included. Unlike select it takes any number of descriptors."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def closed(connection: Raw) -> bool:
    """Whether the other side has ended it, by now."""
    if not readable(connection, 0):
        return False
    try:
        return connection.sock.recv(1, socket.MSG_PEEK) == b""
    except ConnectionError:
        return True


def dripping(connection: Raw, drop: bytes) -> bytes:
    """Sends that again and again, ten times a second, until there is an answer; returns all of it."""
    while not readable(connection, 0.1):
        connection.send(drop)
    return connection.ended()


def code_of(rest: bytes) -> tuple[int, str]:
    head, _, body = rest.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)["error"]["code"]


# many


@pytest.mark.prop("GA09")
@pytest.mark.parametrize(
    "sent", [b"", b"GET /v1/sess", b"GET / HTTP/1.1\r\nHost: x\r\nX: "], ids=["idle", "line", "head"]
)
def test_half_sent_requests_lock_nobody_out(patient: Gateway, sent: bytes) -> None:
    with patient.client() as client:
        session = Session(client, "before")
        session.create()
        with session.follow() as stream, flood(patient, FLOOD, sent) as held:
            assert len(held) == FLOOD
            # From the very same address, on a new connection, and on the one that was there before.
            with raw(patient) as fresh:
                assert fresh.ask("GET /v1/sessions").status == 200
            proc.wait_until(lambda: connections(patient) <= MAX_STRANGERS + 3, 10, lambda: connections(patient))
            # They did stay for as long as there was room: it is their number that ends them, not a clock.
            assert connections(patient) >= MAX_STRANGERS
            assert sum(map(closed, held)) >= FLOOD - MAX_STRANGERS
            assert not closed(held[-1])
            assert session.value("print(6 * 7)") == "42\n"
            assert stream.until("execution.completed").data["status"] == "completed"
        session.delete()


@pytest.mark.prop("GA09")
def test_nor_from_many_addresses(patient: Gateway) -> None:
    sources = tuple(f"127.0.0.{n}" for n in range(2, 32))
    with flood(patient, FLOOD, b"GET /v1/", sources) as held:
        with raw(patient) as fresh:
            assert fresh.ask("GET /v1/sessions").status == 200
        proc.wait_until(lambda: connections(patient) <= MAX_CONNECTIONS, 10, lambda: connections(patient))
        assert sum(map(closed, held)) >= FLOOD - MAX_CONNECTIONS


def test_when_all_places_are_taken_by_callers_the_next_hears_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    gateway = Gateway(tmp_path_factory.mktemp("full") / "data", pool_size=0, max_connections=16)
    with gateway, flood(gateway, 16, b"") as held:
        for connection in held:
            assert connection.ask("GET /v1/sessions").status == 200
        with raw(gateway) as late:
            answer = late.answer()
            assert (answer.status, answer.code) == (503, "too_many_connections")
            assert answer.headers["retry-after"] == "1"
            assert late.ended() == b""
        held.pop().close()
        proc.wait_until(lambda: _admits(gateway), 10, "a place that became free is given away")


def _admits(gateway: Gateway) -> bool:
    with raw(gateway) as connection, contextlib.suppress(ConnectionError):
        return connection.ask("GET /v1/sessions").status == 200
    return False


# slow


@pytest.mark.prop("GA09")
def test_a_head_has_to_come(gateway: Gateway) -> None:
    with raw(gateway) as idle:
        assert idle.ended() == b""
    for sent in (b"G", b"GET /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\n"):
        with raw(gateway) as half:
            half.send(sent)
            assert code_of(half.ended()) == (408, "too_slow")
    with raw(gateway) as slow:
        slow.send(slow.head("GET /v1/sessions").removesuffix(b"\r\n") + b"X: ")
        assert code_of(dripping(slow, b"x")) == (408, "too_slow")
    # After a request it is no different, and empty lines are not one.
    with raw(gateway) as second:
        assert second.ask("GET /v1/sessions").status == 200
        assert code_of(dripping(second, b"\r\n")) == (408, "too_slow")


@pytest.mark.prop("GA09")
@pytest.mark.parametrize("drop", [b"", b" ", b"1\r\n \r\n"], ids=["nothing", "bytes", "chunks"])
def test_a_body_has_to_come(gateway: Gateway, drop: bytes) -> None:
    length = CHUNKED if b"\r" in drop else "Content-Length: 100000"
    with raw(gateway) as slow:
        slow.send(slow.head("PUT /v1/sessions/slow", length, "Content-Type: application/json"))
        assert code_of(dripping(slow, drop)) == (408, "too_slow")
    with gateway.client() as client:
        assert client.get("/v1/sessions/slow").status_code == 404


def test_a_slow_line_is_waited_for(gateway: Gateway) -> None:
    body = json.dumps({"code": "print('made it')".ljust(64 * KIB)}).encode()
    with gateway.client() as client, raw(gateway) as slow:
        slow.send(
            slow.head(
                "POST /v1/sessions/line/executions", f"Content-Length: {len(body)}", "Content-Type: application/json"
            )
        )
        for start in range(0, len(body), 4 * KIB):
            slow.send(body[start : start + 4 * KIB])
            assert not readable(slow, TIMEOUT_S / 8) or start + 4 * KIB >= len(body)
        answer = slow.answer()
        assert (answer.status, b"made it" in answer.body) == (200, True)
        Session(client, "line").delete()


def test_what_works_or_streams_has_no_clock(gateway: Gateway) -> None:
    code = f"import time; time.sleep({3 * TIMEOUT_S}); print('done')"
    with gateway.client() as client:
        session = Session(client, "long")
        session.create()
        with session.follow() as stream:
            assert session.value(code) == "done\n"
            stream.until_text("done")
        events = session.events(code)
        assert streamed(events) == "done\n"
        session.delete()


def test_an_idle_connection_is_used_again_and_then_closed(gateway: Gateway) -> None:
    with raw(gateway) as connection:
        for _ in range(3):
            assert connection.ask("GET /v1/sessions").status == 200
        assert connection.ended() == b""


@pytest.mark.prop("GA09")
def test_a_stranger_has_to_read(gateway: Gateway) -> None:
    with raw(gateway, receive_buffer=4 * KIB) as deaf, raw(gateway) as other:
        unread = [0]
        # What is not read piles up, until the system takes no more of it.
        while len(set(unread[-5:])) > 1 or len(unread) < 5:
            deaf.send(deaf.head("GET /static/page/page.css", token=None))
            assert other.ask("GET /healthz").status == 200
            unread.append(waiting(gateway, deaf))
        assert unread[-1] > 64 * KIB
        proc.wait_until(lambda: waiting(gateway, deaf) == 0, 20, "the gateway to give it up")


@pytest.mark.prop("GA09")
@pytest.mark.parametrize("framing", [f"Content-Length: {17 * MIB}", CHUNKED])
def test_an_answer_ahead_of_a_large_body_says_that_it_is_the_last(gateway: Gateway, framing: str) -> None:
    """Or a caller would take the connection for its next request, which nobody would read."""
    with raw(gateway) as connection:
        connection.send(connection.head("POST /v1/sessions/x/executions", framing, "Content-Type: application/json"))
        if framing == CHUNKED:
            connection.send(f"{16 * MIB + 1:x}\r\n".encode() + bytes(16 * MIB + 1) + b"\r\n")
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
    with raw(gateway) as connection:
        assert "connection" not in connection.ask("GET /healthz").headers


@pytest.mark.prop("GA09")
def test_bodies_of_strangers_are_not_read(gateway: Gateway) -> None:
    before = proc.resident_bytes(gateway.pid)
    with raw(gateway) as small:
        small.send(small.head("PUT /v1/sessions/x", "Content-Length: 10", token=None))
        assert small.answer().status == 401
        small.send(b"0123456789")
        assert small.ask("GET /v1/sessions").status == 200
    for line in ("PUT /v1/sessions/x", "GET /", "POST /none"):
        with raw(gateway) as endless:
            endless.send(endless.head(line, f"Content-Length: {1 << 40}", token=None))
            assert endless.answer().status in (200, 401)
            with contextlib.suppress(ConnectionError):
                for _ in range(1000):
                    endless.send(b"x" * MIB)
                pytest.fail("a gigabyte was taken from somebody without a token")
        with raw(gateway) as trailing:
            trailing.send(trailing.head(line, CHUNKED, token=None) + b"0\r\nX: ")
            assert trailing.answer().status in (200, 401)
            with contextlib.suppress(ConnectionError):
                for _ in range(1000):
                    trailing.send(b"x" * MIB)
                pytest.fail("and as much of a trailer")
    assert proc.resident_bytes(gateway.pid) - before < 64 * MIB


# large


@pytest.mark.prop("GA09")
@pytest.mark.parametrize("token", [TOKEN, None])
def test_heads_are_limited(gateway: Gateway, token: str | None) -> None:
    many = [f"X-{n}: {n}" for n in range(200)]
    for line, *headers in (
        ["GET /v1/sessions", f"X: {'x' * HEADER_BYTES}"],
        [f"GET /v1/sessions?{'x' * HEADER_BYTES}"],
        [f"GET /{'x' * HEADER_BYTES}"],
        ["GET /v1/sessions", *many],
    ):
        with raw(gateway) as connection:
            answer = connection.ask(line, *headers, token=token)
            assert (answer.status, answer.code) == (431, "head_too_large")
            assert connection.ended() == b""
    with raw(gateway) as connection:
        assert connection.ask("GET /v1/sessions", *many[:90]).status == 200
        assert connection.ask("GET /v1/sessions", f"X: {'x' * (HEADER_BYTES // 2)}").status == 200


@pytest.mark.prop("GA09")
@pytest.mark.parametrize("start", [b"", b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n"])
def test_a_head_without_end_is_not_gathered(gateway: Gateway, start: bytes) -> None:
    before = proc.resident_bytes(gateway.pid)
    with raw(gateway) as endless:
        with contextlib.suppress(ConnectionError):
            endless.send(start)
            for _ in range(1000):
                endless.send(b"x" * MIB)
            pytest.fail("a gigabyte of a head was taken")
        assert proc.resident_bytes(gateway.pid) - before < 16 * MIB


# ambiguous

SMUGGLED = "PUT /v1/sessions/smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
# Headers and body of a DELETE that two servers could read in two ways.
AMBIGUOUS = {
    "two lengths": (["Content-Length: 0", "Content-Length: 5"], "01234"),
    "two equal lengths": (["Content-Length: 0", "Content-Length: 0"], ""),
    "lengths in a list": (["Content-Length: 0, 0"], ""),
    "signed length": (["Content-Length: +0"], ""),
    "hexadecimal length": (["Content-Length: 0x0"], ""),
    "length and chunks": (["Content-Length: 5", CHUNKED], "0\r\n\r\n"),
    "chunks and length": ([CHUNKED, "Content-Length: 5"], "0\r\n\r\n"),
    "chunks twice": ([CHUNKED, CHUNKED], "0\r\n\r\n"),
    "other encoding": (["Transfer-Encoding: xchunked"], "0\r\n\r\n"),
    "encoding in a list": (["Transfer-Encoding: gzip, chunked"], "0\r\n\r\n"),
    "capital encoding": (["Transfer-Encoding: CHUNKED"], "0\r\n\r\n"),
    "space before the colon": (["Content-Length : 0"], ""),
    "folded line": (["Content-Length: 0", " 5"], ""),
    "bare line feed": (["X: y\nContent-Length: 0"], ""),
    "bare carriage return": (["X: y\rContent-Length: 0"], ""),
    "NUL": (["X: a\0b"], ""),
    "two hosts": (["Host: evil.example"], ""),
    "two tokens": (["Authorization: Bearer x"], ""),
    "two origins": (["Origin: http://127.0.0.1", "Origin: http://evil.example"], ""),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused(gateway: Gateway, name: str) -> None:
    headers, body = AMBIGUOUS[name]
    with gateway.client() as client:
        victim = Session(client, "victim")
        victim.create()
        with raw(gateway) as connection:
            connection.send(connection.head(f"DELETE {victim.path}", *headers) + body.encode())
            assert connection.answer().status == 400
        assert victim.look()["id"] == "victim"
        # The same without the doubtful headers is done.
        with raw(gateway) as connection:
            assert connection.ask(f"DELETE {victim.path}").status == 204


def test_chunks_have_to_be_as_they_are_written_down(gateway: Gateway) -> None:
    smuggled = SMUGGLED.format(token=TOKEN)
    for body in (
        f"0\n\n{smuggled}",
        f"0x0\r\n\r\n{smuggled}",
        f"-1\r\n\r\n{smuggled}",
        f"fffffffffffffffff\r\n{smuggled}",
        f"1\r\nab\r\n0\r\n\r\n{smuggled}",
        f"2\r\n{{}}0\r\n\r\n{smuggled}",
    ):
        with raw(gateway) as connection:
            head = connection.head("PUT /v1/sessions/chunked", CHUNKED, "Content-Type: application/json")
            connection.send(head + body.encode())
            assert connection.answer().status == 400
            assert connection.ended() == b""
    with gateway.client() as client:
        for name in ("chunked", "smuggled"):
            assert client.get(f"/v1/sessions/{name}").status_code == 404
        # And what was to be smuggled is a request, when it is let through.
        with raw(gateway) as connection:
            connection.send(smuggled.encode())
            assert connection.answer().status == 201
        Session(client, "smuggled").delete()


def test_trailers_are_no_headers(gateway: Gateway) -> None:
    with raw(gateway) as connection:
        head = connection.head("GET /v1/sessions", CHUNKED, token=None)
        connection.send(head + f"0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        assert connection.answer().status == 401
        connection.send(connection.head("GET /v1/sessions", CHUNKED) + b"0\r\nHost: evil.example\r\n\r\n")
        assert connection.answer().status == 200


@pytest.mark.parametrize(
    ("line", "status"),
    [
        *(("GET http://evil.example/v1/sessions", 400), ("GET http://127.0.0.1/v1/sessions", 400)),
        *(("CONNECT 127.0.0.1:22", 400), ("OPTIONS *", 400), ("GET v1/sessions", 400), ("GET ", 400)),
        *(("OPTIONS /v1/sessions", 405), ("TRACE /v1/sessions", 405), ("BREW /v1/sessions", 400)),
        *(("GET /v1/sessions\0", 400), ("GET /v1/s\xe9ssions", 400), ("GET //v1/sessions", 404)),
        *(("GET /v1/sessions/../sessions", 404), ("get /v1/sessions", 400), ("GET /v1/sessions", 200)),
    ],
)
def test_targets_and_methods(gateway: Gateway, line: str, status: int) -> None:
    with raw(gateway) as connection:
        answer = connection.ask(line)
        assert answer.status == status
        assert TOKEN.encode() not in answer.body
        _plain(answer)


def test_other_protocols_are_none_of_ours(gateway: Gateway) -> None:
    for data in (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.9\r\n\r\n",
        b"\0" * 64,
    ):
        with raw(gateway) as connection:
            connection.send(data)
            assert code_of(connection.ended()) == (400, "bad_request")
    with raw(gateway) as connection:
        connection.send(f"GET /v1/sessions HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        assert connection.answer().status == 421


def test_nothing_is_answered_with_more_than_was_asked(gateway: Gateway) -> None:
    """No banner, no compression, no ranges, no word about who forwarded it."""
    with raw(gateway) as connection:
        asked = ("Accept-Encoding: gzip, br", "Range: bytes=0-3", "X-Forwarded-Host: evil.example", "X-Original-URL: /")
        answer = connection.ask("GET /v1/sessions", *asked)
        assert answer.status == 200
        assert (
            not {"server", "date", "x-powered-by", "content-encoding", "accept-ranges", "via"} & answer.headers.keys()
        )
        page = connection.ask("GET /static/page/page.css", *asked, token=None)
        assert page.status == 200
        assert len(page.body) > 1000
        assert "evil" not in str(answer) + str(page)
        _plain(answer)


@pytest.mark.prop("GA01")
def test_there_is_nothing_to_upgrade_to(gateway: Gateway) -> None:
    upgrade = ("Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    for protocol in ("websocket", "h2c"):
        wanted = (*upgrade, f"Upgrade: {protocol}")
        for headers, token, status in (
            (wanted, None, 401),
            (wanted, "wrong", 401),
            ((*wanted, "Origin: http://evil.example"), TOKEN, 403),
            ((*wanted, "Origin: null"), TOKEN, 403),
            (wanted, TOKEN, 200),
        ):
            with raw(gateway) as connection:
                assert connection.ask("GET /v1/sessions", *headers, token=token).status == status
                with contextlib.suppress(ConnectionError):
                    connection.send(SMUGGLED.format(token=TOKEN).encode())
                assert connection.ended() == b""
    with gateway.client() as client:
        assert client.get("/v1/sessions/smuggled").status_code == 404


# one after the other


def test_requests_behind_each_other_are_answered_in_order(gateway: Gateway) -> None:
    with raw(gateway) as connection:
        connection.send(b"".join(connection.head(f"GET /v1/sessions/{n}") for n in range(5)))
        assert [f"'{n}'" in connection.answer().body.decode() for n in range(5)] == [True] * 5


@pytest.mark.prop("GA09")
def test_but_not_without_end(gateway: Gateway) -> None:
    before = proc.resident_bytes(gateway.pid)
    with raw(gateway) as connection:
        line = connection.head("GET /v1/sessions", token=None)
        with contextlib.suppress(ConnectionError):
            connection.send(line * 10_000)
            connection.ended()
    assert proc.resident_bytes(gateway.pid) - before < 16 * MIB
    with raw(gateway) as connection:
        assert connection.ask("GET /v1/sessions").status == 200


def test_who_leaves_is_missed_whatever_was_sent_behind(gateway: Gateway) -> None:
    body = json.dumps({"code": "print('on', flush=True)\nwhile True: pass", "on_disconnect": "interrupt"}).encode()
    with gateway.client() as client:
        session = Session(client, "left")
        session.create()
        with session.follow() as stream:
            with raw(gateway) as leaving:
                head = leaving.head(
                    f"POST {session.path}/executions",
                    "Accept: text/event-stream",
                    "Content-Type: application/json",
                    f"Content-Length: {len(body)}",
                )
                leaving.send(head + body + leaving.head("GET /v1/sessions"))
                stream.until_text("on")
            assert stream.until("execution.completed").data["status"] == "interrupted"
        session.delete()


def _plain(answer: Answer) -> None:
    """What every answer of the interface says to a browser that came by it somehow."""
    if answer.status in (400, 431):
        return
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not [name for name in answer.headers if name.startswith("access-control-")]
