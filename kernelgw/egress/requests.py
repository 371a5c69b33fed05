"""What a client asks the proxy for, and what it is answered. Pure; refuses everything that can be read two ways."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from .names import BadName, Target, split

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
HTTP_PORT = 80
# For one connection only, or for proxies: never passed on.
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te"}
    | {"trailer", "upgrade", "http2-settings"}
)
# Written anew, or, as one waits for an answer in between that this relay does not wait for, left out.
OURS = frozenset({"host", "content-length", "expect"})
REASONS = MappingProxyType(
    {
        400: "Bad Request",
        403: "Forbidden",
        408: "Request Timeout",
        411: "Length Required",
        431: "Request Header Fields Too Large",
        502: "Bad Gateway",
        503: "Too Many Connections",
    }
)
TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Refusal(Exception):
    """`status` and a sentence for whoever runs the client."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass(frozen=True, slots=True)
class Request:
    """`head`: what goes to the server, empty for CONNECT; `body`: how many bytes of body follow."""

    method: str
    target: Target
    head: bytes = b""
    body: int = 0

    @property
    def is_tunnel(self) -> bool:
        return self.method == "CONNECT"


def parse(head: bytes) -> Request:
    """`head`: without the empty line at its end. Raises Refusal."""
    try:
        text = head.decode("ascii")
    except UnicodeDecodeError:
        raise Refusal(400, "the request has characters that are not ASCII") from None
    first, *lines = text.split("\r\n")
    if any((ord(each) < 32 and each != "\t") or ord(each) == 127 for line in (first, *lines) for each in line):
        raise Refusal(400, "the request has bare line ends, NULs or other control characters")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.0", "HTTP/1.1") or "\t" in first:
        raise Refusal(400, "the request line is not METHOD TARGET HTTP/1.1")
    method, wanted, _ = parts
    headers = [_header(line) for line in lines]
    if method == "CONNECT":
        return Request(method, _target(wanted, None))
    if method not in METHODS:
        raise Refusal(400, f"the method {method[:20]!r} is not passed on")
    return _plain(method, wanted, headers)


def _header(line: str) -> tuple[str, str]:
    name, found, value = line.partition(":")
    if not found or not name or not set(name) <= TOKEN:
        raise Refusal(400, "a header line is malformed")
    return name.lower(), value.strip(" \t")


def _target(text: str, default: int | None) -> Target:
    try:
        return split(text, default)
    except BadName as error:
        raise Refusal(400, str(error)) from None


def _plain(method: str, url: str, headers: list[tuple[str, str]]) -> Request:
    if not url.startswith("http://"):
        raise Refusal(400, "only http:// goes through here in the open; https:// is asked for with CONNECT")
    authority, slash, path = url.removeprefix("http://").partition("/")
    target = _target(authority, HTTP_PORT)
    hosts = [value for name, value in headers if name == "host"]
    if len(hosts) > 1 or (hosts and _target(hosts[0], HTTP_PORT) != target):
        raise Refusal(400, "the Host header and the URL disagree")
    if any(name == "transfer-encoding" for name, _ in headers):
        raise Refusal(411, "a body needs a Content-Length")
    lengths = {value for name, value in headers if name == "content-length"}
    if len(lengths) > 1 or not all(value.isdigit() and len(value) < 16 for value in lengths):
        raise Refusal(400, "the Content-Length is no number")
    named = {part.strip().lower() for name, value in headers if name == "connection" for part in value.split(",")}
    dropped = HOP_BY_HOP | named | OURS
    kept = [f"{name}: {value}" for name, value in headers if name not in dropped]
    # Never as the client has it: what it names in Connection would be gone, and the body be another request.
    framed = [f"Content-Length: {int(length)}" for length in lengths]
    host = target.host if ":" not in target.host else f"[{target.host}]"
    shown = host if target.port == HTTP_PORT else f"{host}:{target.port}"
    lines = [f"{method} {slash or '/'}{path} HTTP/1.1", f"Host: {shown}", *kept, *framed, "Connection: close"]
    return Request(method, target, _join(lines), int(next(iter(lengths), "0")))


def for_proxy(request: Request) -> bytes:
    """The head of a plain request as the next proxy wants it."""
    method, path, rest = request.head.split(b" ", 2)
    return b" ".join([method, f"http://{request.target}".encode() + path, rest])


def is_interim(head: bytes) -> bool:
    """Whether a response is one of those that another follows."""
    return any(status.startswith(b"1") for status in head.split(b" ", 2)[1:2])


def response_head(head: bytes) -> bytes:
    """A server's, so that the client knows that this connection is over afterwards."""
    first, *lines = head.split(b"\r\n")
    kept = [line for line in lines if line.partition(b":")[0].strip().lower().decode("latin-1") not in HOP_BY_HOP]
    return b"\r\n".join([first, *kept, b"Connection: close", b"", b""])


def _join(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def refusal(status: int, why: str) -> bytes:
    """pip, npm and curl show the reason phrase, the body, or both."""
    body = f"kernelgw: {why}\n".encode()
    phrase = REASONS[status] if status != 403 else why
    lines = [f"HTTP/1.1 {status} {phrase}", "Content-Type: text/plain; charset=utf-8", f"Content-Length: {len(body)}"]
    return _join([*lines, "Connection: close"]) + body
