"""What a client of the proxy may say, and what becomes of it."""

from __future__ import annotations

import pytest

from kernelgw.egress.names import Target
from kernelgw.egress.requests import Refusal, for_proxy, is_interim, parse, refusal, response_head

TUNNELS = {
    b"CONNECT example.org:443 HTTP/1.1": Target("example.org", 443),
    b"CONNECT EXAMPLE.org.:443 HTTP/1.0": Target("example.org", 443),
    b"CONNECT [::1]:443 HTTP/1.1": Target("::1", 443),
    b"CONNECT example.org:443 HTTP/1.1\r\nHost: other.test\r\nProxy-Authorization: Basic eA==": Target(
        "example.org", 443
    ),
}
REFUSED = {
    "empty": b"",
    "one word": b"CONNECT",
    "no version": b"CONNECT example.org:443",
    "old version": b"CONNECT example.org:443 HTTP/0.9",
    "new version": b"CONNECT example.org:443 HTTP/2.0",
    "two spaces": b"CONNECT  example.org:443 HTTP/1.1",
    "tab": b"CONNECT\texample.org:443 HTTP/1.1",
    "tab in target": b"GET http://example.org/\tx HTTP/1.1",
    "lower case": b"connect example.org:443 HTTP/1.1",
    "no port": b"CONNECT example.org HTTP/1.1",
    "url in tunnel": b"CONNECT http://example.org:443 HTTP/1.1",
    "user in tunnel": b"CONNECT user@example.org:443 HTTP/1.1",
    "nul": b"CONNECT example.org\0.evil.test:443 HTTP/1.1",
    "percent": b"CONNECT example%2eorg:443 HTTP/1.1",
    "not ascii": "CONNECT bücher.example:443 HTTP/1.1".encode(),
    "bare newline": b"CONNECT example.org:443 HTTP/1.1\nHost: a",
    "bare return": b"CONNECT example.org:443 HTTP/1.1\r\nHost: a\rX: b",
    "vertical tab": b"GET http://example.org/ HTTP/1.1\r\nX: a\x0bb",
    "delete": b"GET http://example.org/ HTTP/1.1\r\nX: a\x7fb",
    "folded": b"GET http://example.org/ HTTP/1.1\r\nX: a\r\n b",
    "space before colon": b"GET http://example.org/ HTTP/1.1\r\nContent-Length : 5",
    "no colon": b"GET http://example.org/ HTTP/1.1\r\nnonsense",
    "no name": b"GET http://example.org/ HTTP/1.1\r\n: value",
    "empty line first": b"\r\nCONNECT example.org:443 HTTP/1.1",
    "path only": b"GET / HTTP/1.1\r\nHost: example.org",
    "https in the open": b"GET https://example.org/ HTTP/1.1",
    "ftp": b"GET ftp://example.org/ HTTP/1.1",
    "scheme in capitals": b"GET HTTP://example.org/ HTTP/1.1",
    "file": b"GET file:///etc/passwd HTTP/1.1",
    "trace": b"TRACE http://example.org/ HTTP/1.1",
    "unknown method": b"BREW http://example.org/ HTTP/1.1",
    "user in url": b"GET http://user:pass@example.org/ HTTP/1.1",
    "other host by @": b"GET http://example.org@evil.test/ HTTP/1.1",
    "other host by #": b"GET http://example.org#@evil.test/ HTTP/1.1",
    "other host by ?": b"GET http://example.org?@evil.test/ HTTP/1.1",
    "other host by \\": b"GET http://example.org\\@evil.test/ HTTP/1.1",
    "empty host": b"GET http:///x HTTP/1.1",
    "host disagrees": b"GET http://example.org/ HTTP/1.1\r\nHost: evil.test",
    "port disagrees": b"GET http://example.org/ HTTP/1.1\r\nHost: example.org:81",
    "two hosts": b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\nHost: example.org",
    "hostless host": b"GET http://example.org/ HTTP/1.1\r\nHost:",
    "chunked": b"POST http://example.org/ HTTP/1.1\r\nTransfer-Encoding: chunked",
    "chunked and counted": b"POST http://example.org/ HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: identity",
    "two lengths": b"POST http://example.org/ HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6",
    "listed lengths": b"POST http://example.org/ HTTP/1.1\r\nContent-Length: 5, 5",
    "negative length": b"POST http://example.org/ HTTP/1.1\r\nContent-Length: -5",
    "signed length": b"POST http://example.org/ HTTP/1.1\r\nContent-Length: +5",
    "hexadecimal length": b"POST http://example.org/ HTTP/1.1\r\nContent-Length: 0x5",
    "empty length": b"POST http://example.org/ HTTP/1.1\r\nContent-Length:",
    "endless length": b"POST http://example.org/ HTTP/1.1\r\nContent-Length: " + b"9" * 16,
}


@pytest.mark.prop("NE08")
@pytest.mark.parametrize("head", TUNNELS, ids=repr)
def test_tunnels(head: bytes) -> None:
    request = parse(head)
    assert request.is_tunnel
    assert (request.target, request.head, request.body) == (TUNNELS[head], b"", 0)


@pytest.mark.prop("NE08", "NE12")
@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_two_ways_is_refused(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse(REFUSED[name])
    assert caught.value.status in (400, 411)
    assert caught.value.why
    head, _, body = refusal(caught.value.status, caught.value.why).partition(b"\r\n\r\n")
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert f"Content-Length: {len(body)}".encode() in head


def passed_on(head: bytes) -> list[bytes]:
    whole = parse(head).head
    assert whole.endswith(b"\r\n\r\n")
    return whole.removesuffix(b"\r\n\r\n").split(b"\r\n")


def test_a_plain_request_is_written_anew() -> None:
    request = parse(
        b"POST http://EXAMPLE.org.:80/a?b=c HTTP/1.0\r\nhost: example.org\r\nX-A:  b \r\nProxy-Connection: close\r\n"
        b"Proxy-Authorization: Basic eA==\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"
        b"TE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nExpect: 100-continue\r\nContent-Length: 007"
    )
    assert (request.method, request.target, request.body) == ("POST", Target("example.org", 80), 7)
    assert request.head.split(b"\r\n") == [
        *(
            b"POST /a?b=c HTTP/1.1",
            b"Host: example.org",
            b"x-a: b",
            b"Content-Length: 7",
            b"Connection: close",
            b"",
            b"",
        )
    ]


@pytest.mark.prop("NE12")
@pytest.mark.parametrize("named", [b"content-length", b"Content-Length", b"close, CONTENT-LENGTH", b"host"])
def test_a_body_cannot_become_another_request(named: bytes) -> None:
    """By naming what frames it as a header of this connection only."""
    lines = passed_on(
        b"POST http://example.org/ HTTP/1.1\r\nHost: example.org\r\nContent-Length: 40\r\nConnection: " + named
    )
    assert lines.count(b"Content-Length: 40") == 1
    assert lines.count(b"Host: example.org") == 1
    assert lines[-1] == b"Connection: close"


def test_the_same_length_twice_is_one() -> None:
    lines = passed_on(b"POST http://example.org/ HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5")
    assert [line for line in lines if b"ength" in line] == [b"Content-Length: 5"]


@pytest.mark.parametrize(
    ("url", "first", "host"),
    [
        (b"http://example.org", b"GET / HTTP/1.1", b"Host: example.org"),
        (b"http://example.org:8080/x", b"GET /x HTTP/1.1", b"Host: example.org:8080"),
        (b"http://[2001:DB8::1]:81//a//b", b"GET //a//b HTTP/1.1", b"Host: [2001:db8::1]:81"),
        (b"http://example.org/http://evil.test/", b"GET /http://evil.test/ HTTP/1.1", b"Host: example.org"),
        (b"http://example.org/@evil.test", b"GET /@evil.test HTTP/1.1", b"Host: example.org"),
    ],
)
def test_the_host_is_the_url_s(url: bytes, first: bytes, host: bytes) -> None:
    assert passed_on(b"GET " + url + b" HTTP/1.1")[:2] == [first, host]


def test_the_next_proxy_gets_the_whole_url() -> None:
    head = for_proxy(parse(b"GET http://example.org/a?b HTTP/1.1\r\nX: y"))
    assert head == b"GET http://example.org:80/a?b HTTP/1.1\r\nHost: example.org\r\nx: y\r\nConnection: close\r\n\r\n"


def test_a_response_ends_the_connection() -> None:
    head = response_head(
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nTransfer-Encoding: chunked\r\nX: \xff"
    )
    assert head == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: \xff\r\nConnection: close\r\n\r\n"


def test_responses_that_another_follows() -> None:
    assert is_interim(b"HTTP/1.1 100 Continue")
    assert is_interim(b"HTTP/1.1 103 Early Hints\r\nLink: x")
    assert not any(map(is_interim, (b"HTTP/1.1 200 OK", b"HTTP/1.1", b"", b"nonsense 2")))


def test_a_refusal_says_why_where_clients_look() -> None:
    assert refusal(403, "example.org is not").startswith(b"HTTP/1.1 403 example.org is not\r\n")
    assert refusal(503, "too many").startswith(b"HTTP/1.1 503 Too Many Connections\r\n")
    assert refusal(502, "no answer").endswith(b"\r\n\r\nkernelgw: no answer\n")
