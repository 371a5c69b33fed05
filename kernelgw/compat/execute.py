"""/api/execute: one call that runs code and answers, for front ends that know nothing of sessions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field
from starlette.types import Receive, Scope, Send

from .. import __version__
from ..api.deps import House
from ..api.executions import until_done
from ..api.models import Body, Text
from ..api.problems import JSON
from ..api.sse import EventStream, execution_events
from ..errors import BadRequest, UnknownLanguage
from ..events.log import EventLog
from ..languages import DEFAULT
from ..sessions import browser
from ..sessions.execution import Execution
from ..sessions.registry import Registry
from ..sessions.session import Session
from . import files
from .answer import answer, inlined, refusal, with_contents
from .router import Route, route
from .servers import serves
from .shots import OneShots

router = APIRouter(tags=["execute"])
PATH = "/api/execute"
MOST_FILES = 1000
IN_A_SESSION = (
    "Run it in a session, by session_id: there it runs until its time limit, timeout_s, or until it is interrupted, "
    "and code of the same session can send it requests."
)

IF_IT_IS_NOT = "If it is another, say so by language; details has those that there are."


class Base64(Body):
    base64: str


class ExecuteBody(Body):
    code: Text = Field(description="a program, or a cell of one; fences around it are taken off")
    language: Text | None = Field(None, description="by any name that is known for it; auto finds it out")
    session_id: Text | None = Field(None, description="of a session that goes on; without it one for this run alone")
    stdin: Text | None = Field(None, description="all that it may read from standard input")
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    files: Annotated[dict[Text, Text | Base64], Field(max_length=MOST_FILES)] | None = Field(
        None, description="by path in the workspace: text, or base64; there before the code runs"
    )
    on_disconnect: Literal["detach", "interrupt"] = Field("detach", description="without a session always interrupt")


async def _shots(request: Request) -> OneShots:
    shots: OneShots = request.app.state.shots
    return shots


Shots = Annotated[OneShots, Depends(_shots)]


@router.get(PATH, summary="Whether code can be run, and in which languages")
async def get_execute(house: House) -> Response:
    return JSON(
        {
            "status": "ok",
            "message": "kernelgw runs code in sandboxed sessions",
            "platform": sys.platform,
            "version": __version__,
            "languages": _languages(house, None),
        }
    )


@router.post(PATH, summary="Run code and answer; `Accept: text/event-stream` streams")
async def post_execute(body: ExecuteBody, request: Request, house: House, shots: Shots) -> Response:
    known = house.sessions.get(body.session_id) if body.session_id is not None else None
    environment = known.plan.environment if known else None
    usual = known.plan.language if known else DEFAULT.name
    found = route(body.code, body.language, usual, house.languages(environment))
    run = _Run(body, found, house, shots)
    if found.engine == browser.ENGINE:
        return await run.shown(request)
    if (spoken := house.languages(environment).find(found.language)) is None:
        raise _unknown(found, house, environment)
    language = spoken.name
    if body.session_id is None and (why := serves(found.code, language)) is not None:
        return JSON(refusal("ServerProgram", why, IN_A_SESSION, found))
    return await run.in_kernel(language, request)


def _languages(house: Registry, environment: str | None) -> list[str]:
    """Those for a browser, too."""
    names = house.languages(environment).names
    return [*names, *sorted(set(browser.LANGUAGES.values()) - set(names))]


def _unknown(found: Route, house: Registry, environment: str | None) -> UnknownLanguage:
    names = _languages(house, environment)
    message = f"There is no language {found.language[:200]!r} here."
    if found.guessed:
        return UnknownLanguage(f"{found.reason} {message}", IF_IT_IS_NOT, languages=names)
    return UnknownLanguage(message, languages=names)


class _Run:
    """One request's."""

    def __init__(self, body: ExecuteBody, found: Route, house: Registry, shots: OneShots) -> None:
        self.body = body
        self.route = found
        self.house = house
        self.shots = shots
        self.once = body.session_id is None
        self.files = files.decoded(_plain(body.files or {}))

    async def in_kernel(self, language: str, request: Request) -> Response:
        session = self._session(language)
        after: Callable[[], None] = partial(self.shots.end, session) if self.once else _nothing
        try:
            if self.files:
                lane = session.lane_for(self.house.speaks(language, session.plan.environment), None)
                await files.bring(self.house, lane, self.files)
            body = self.body
            execution = self.house.execute(
                session, self.route.code, language, body.timeout_s, stdin=False, given=body.stdin
            )
            if _streams(request):
                return _Followed(self._stream(session.log, execution, partial(self._left, session, execution)), after)
            await until_done(execution, request)
            if not execution.finished:
                self._left(session, execution)
            return _Followed(JSON(await self._answer(session, execution)), after)
        except BaseException:
            after()
            raise

    async def shown(self, request: Request) -> Response:
        """By whoever asked: nothing runs here. In a session it has its place in the history."""
        if self.body.stdin is not None or (self.once and self.files):
            raise BadRequest("This is for a browser: it has no standard input, and no workspace without a session.")
        what = (self.route.code, self.route.language)
        if self.once:
            log = EventLog(sys.maxsize)
            execution = browser.record(*what, "", log, sys.maxsize)
        else:
            session = self._session(None)
            if self.files:
                await files.bring(self.house, session.main, self.files)
            log = session.log
            execution = browser.show(session, *what)
        if _streams(request):
            return self._stream(log, execution, None)
        return JSON(answer(execution, self.route, self.body.session_id, ended=False))

    def _session(self, language: str | None) -> Session:
        if self.once and language is not None:
            return self.shots.begin(language)
        return self.house.get_or_create(self.body.session_id, {"language": language})[0]

    def _left(self, session: Session, execution: Execution) -> None:
        """The caller has gone."""
        if self.once:
            self.shots.end(session)
        elif self.body.on_disconnect == "interrupt" and not execution.finished:
            session.stop(execution)

    async def _answer(self, session: Session, execution: Execution) -> dict[str, Any]:
        content = answer(execution, self.route, session.id, ended=self.once)
        if self.once and execution.artifacts:
            contents = await session.artifacts.contents(inlined(execution.artifacts))
            content["artifacts"] = with_contents(execution.artifacts, contents)
        return content

    def _stream(self, log: EventLog, execution: Execution, left: Callable[[], None] | None) -> EventStream:
        stream = EventStream(execution_events(log, execution, 0), left, execution.id)
        facts = {"language": self.route.language, "engine": self.route.engine, "reason": self.route.reason}
        for name, value in facts.items():
            stream.raw_headers.append((b"x-execution-" + name.encode(), value.encode("ascii", "replace")))
        return stream


class _Followed(Response):
    """A response after which something is done, however it ends."""

    def __init__(self, inner: Response, after: Callable[[], None]) -> None:
        super().__init__()
        self.raw_headers = inner.raw_headers
        self._inner = inner
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._inner(scope, receive, send)
        finally:
            self._after()


def _streams(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "")


def _plain(given: Mapping[str, str | Base64]) -> dict[str, str | dict[str, str]]:
    return {path: each if isinstance(each, str) else {"base64": each.base64} for path, each in given.items()}


def _nothing() -> None:
    return None
