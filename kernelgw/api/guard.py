"""Who may pass: every request and upgrade is checked here, before anything of it is read."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import re
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..access.caller import CALLER, EVERYTHING, REVOKED
from ..access.keys import Key, Keys
from ..errors import (
    BadRequest,
    BodyTooLarge,
    GatewayError,
    HostNotAllowed,
    OriginNotAllowed,
    TooManyTries,
    Unauthorized,
)
from .peers import Tries, network
from .problems import problem

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# Public by design: they tell nothing, or they are the page that then asks for the token.
OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/favicon.ico"})
HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]+))(?::\d{1,5})?")
OPEN_PREFIXES = ("/static/",)
# Twice, and whoever stands in front of the gateway may have read the other one.
ONCE = ("host", "origin", "authorization", "content-length")
# A callable in the scope's extensions: what the connection wants to know as soon as the token was seen on it.
ADMITTED = "kernelgw.admitted"
NO_LONGER = "this key does not hold any more"
# Of every answer that does not say otherwise: it is for one caller, and no page of others may make anything of it.
DEFAULTS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
)


class Guard:
    """Checks Host (against DNS rebinding), Origin (against other people's pages), token and body size.

    `keys`: what lets in beside the token. `wrong_tokens`: how many of them a minute are listened to from one address.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        hosts: Iterable[str],
        origins: Iterable[str],
        max_body: int,
        wrong_tokens: int = 30,
        keys: Keys | None = None,
    ) -> None:
        self.app = app
        self.keys = keys or Keys(None)
        self.tries = Tries(wrong_tokens)
        # Without one nobody passes: a digest of nothing would let in whoever sends nothing.
        self.token = _digest(token) if token else None
        self.hosts = frozenset(host.lower() for host in hosts) | LOOPBACK
        self.origins = frozenset(origins)
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        try:
            key = self._check(scope)
        except GatewayError as error:
            await self._refuse(error, scope, receive, send)
            return
        app = _Limited(self.app, self.max_body) if scope["type"] == "http" else self.app
        if key is None:
            await app(scope, receive, send)
        else:
            await self._as_long_as_it_holds(key, app, scope, receive, send)

    def _check(self, scope: Scope) -> Key | None:
        """By what key it came in, if not by the token."""
        headers = Headers(scope=scope)
        for name in ONCE:
            if len(headers.getlist(name)) > 1:
                raise BadRequest(f"A request has one {name} header at most.")
        host = _host(headers.get("host", ""))
        if host not in self.hosts:
            raise HostNotAllowed(f"This gateway does not answer to the name {host[:200]!r}.")
        origin = headers.get("origin")
        if origin is not None and not self._own(origin, headers.get("host", "")):
            raise OriginNotAllowed(f"Pages of {origin[:200]!r} may not call this gateway.")
        path = scope["path"]
        if path in OPEN_PATHS or path.startswith(OPEN_PREFIXES):
            return None
        key = self._check_token(scope, headers)
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and len(length) < 19) or int(length) > self.max_body:
            raise too_large(self.max_body)
        return key

    def _check_token(self, scope: Scope, headers: Headers) -> Key | None:
        """The token first, and only then how often it was wrong: nobody can lock a right one out."""
        presented = _presented(scope, headers)
        right = self.token is not None and hmac.compare_digest(_digest(presented), self.token)
        key = None if right else self.keys.find(presented)
        if right or key is not None:
            if (admitted := scope.get("extensions", {}).get(ADMITTED)) is not None:
                admitted()
            scope[CALLER] = caller = EVERYTHING if key is None else key.caller
            caller.check(scope.get("method", "WS"), scope["path"])
            return key
        client = scope.get("client")
        if presented and (wait := self.tries.failed(network(client[0]) if client else "")):
            raise TooManyTries("Too many wrong tokens came from this address.", retry_after_s=wait)
        raise Unauthorized("The token is missing or wrong.")

    async def _as_long_as_it_holds(self, key: Key, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Whoever is connected when it is revoked or expires is let go then."""
        with self.keys.over(key) as over:
            work = asyncio.ensure_future(app(scope, receive, send))
            try:
                await asyncio.wait((work, over), return_when=asyncio.FIRST_COMPLETED)
                scope[REVOKED] = not work.done()
            finally:
                work.cancel()
            if not scope[REVOKED]:
                await work
                return
            with contextlib.suppress(asyncio.CancelledError):
                await work
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": NO_LONGER})

    def _own(self, origin: str, host: str) -> bool:
        try:
            return origin in self.origins or urlsplit(origin).netloc == host
        except ValueError:
            return False

    async def _refuse(self, error: GatewayError, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": error.code})
            return
        await problem(error, scope["path"])(scope, receive, _with_defaults(send))


class _Limited:
    """A body without a Content-Length is counted as it comes in."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = 0
        refused = False
        send = _with_defaults(send)

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self.most:
                    raise too_large(self.most)
            return message

        async def answer(message: Message) -> None:
            # Whoever parses the body may take the refusal for a fault in it and answer with that.
            nonlocal refused
            if seen <= self.most:
                await send(message)
            elif not refused:
                refused = True
                await problem(too_large(self.most), scope["path"])(scope, receive, send)

        await self.app(scope, counted, answer)


def _with_defaults(send: Send) -> Send:
    async def headed(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = list(message.get("headers", ()))
            named = {name.lower() for name, _ in headers}
            message = {**message, "headers": headers + [each for each in DEFAULTS if each[0] not in named]}
        await send(message)

    return headed


def too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"A request body may have {limit:,} bytes here.", limit=limit)


def _presented(scope: Scope, headers: Headers) -> str:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "token") and value:
        return value.strip()
    query: dict[str, list[str]] = parse_qs(scope["query_string"].decode("latin-1"))
    return query.get("token", [""])[0]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _host(value: str) -> str:
    """Without its port, lower case; the brackets of an IPv6 address gone. "" when it is not a host at all."""
    found = HOST.fullmatch(value)
    return (found.group(1) or found.group(2)).lower() if found else ""
