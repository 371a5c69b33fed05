"""/v1/sessions/{id}/executions: run code, as one answer or as a stream."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query, Request, Response

from ..errors import ExecutionNotFound
from ..sessions import browser
from ..sessions.execution import Execution
from ..sessions.older import find, revived
from ..sessions.session import Session
from ..store.service import Found
from .deps import House
from .models import ExecutionBody, InputBody
from .problems import JSON
from .sessions import resume_after
from .sse import EventStream, disconnected, execution_events

router = APIRouter(tags=["executions"])
PREFIX = "/v1/sessions/{session_id}/executions"


@router.post(PREFIX, summary="Run code; `Accept: text/event-stream` streams")
async def post_execution(session_id: str, body: ExecutionBody, request: Request, house: House) -> Response:
    known = house.sessions.get(session_id)
    environment = known.plan.environment if known is not None else None
    shown = browser.LANGUAGES.get(body.language.strip().lower()) if body.language is not None else None
    spoken = body.language if shown is None else None
    language = house.speaks(spoken, environment).name if spoken is not None else None
    session, _ = house.get_or_create(session_id, {"language": language})
    if shown is not None:
        execution = browser.show(session, body.code, shown)
    else:
        asks, given = (body.stdin, None) if isinstance(body.stdin, bool) else (False, body.stdin)
        execution = house.execute(session, body.code, language, body.timeout_s, asks, kernel=body.kernel, given=given)
    wants_stream = "text/event-stream" in request.headers.get("accept", "")
    leave = _leaver(session, execution) if body.on_disconnect == "interrupt" else None
    if wants_stream:
        return EventStream(execution_events(session.log, execution, 0), leave, execution.id)
    await until_done(execution, request)
    if not execution.finished and leave is not None:
        leave()
    return JSON(execution.as_json())


async def until_done(execution: Execution, request: Request) -> None:
    """Returns when the execution is done or the caller has gone."""
    if execution.finished:
        return
    done = asyncio.ensure_future(execution.done())
    left = asyncio.ensure_future(disconnected(request.receive))
    try:
        await asyncio.wait({done, left}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (done, left):
            task.cancel()
    if done.done() and not done.cancelled():
        done.result()


def _leaver(session: Session, execution: Execution) -> Any:
    def leave() -> None:
        if not execution.finished:
            session.stop(execution)

    return leave


@router.get(f"{PREFIX}/{{execution_id}}", summary="The execution as it stands")
async def get_execution(session_id: str, execution_id: str, house: House) -> Response:
    found = await find(house.store, house.get(session_id), execution_id)
    return JSON(orjson.Fragment(found.item) if isinstance(found, Found) else found.as_json())


@router.get(f"{PREFIX}/{{execution_id}}/events", summary="Its events, as SSE; resumable")
async def get_events(
    session_id: str,
    execution_id: str,
    house: House,
    last_event_id: Annotated[str | None, Header()] = None,
    after: Annotated[int | None, Query(ge=0, description="the same as Last-Event-ID")] = None,
) -> Response:
    session = house.get(session_id)
    found = await find(house.store, session, execution_id)
    execution = revived(found) if isinstance(found, Found) else found
    return EventStream(execution_events(session.log, execution, resume_after(last_event_id, after) or 0))


@router.post(f"{PREFIX}/{{execution_id}}/input", status_code=202, summary="Answer input()")
async def post_input(session_id: str, execution_id: str, body: InputBody, house: House) -> Response:
    session = house.get(session_id)
    if (execution := session.executions.get(execution_id)) is None:
        raise ExecutionNotFound(f"There is no execution {execution_id[:200]!r} in session {session_id!r}.")
    session.answer_input(execution, body.value)
    return JSON(execution.summary(), 202)
