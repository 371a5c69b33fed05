"""/v1/sessions: make, look, list, end, interrupt, restart."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Header, Query, Response

from ..errors import BadRequest
from ..sessions.notebook import notebook
from ..sessions.older import cells_of, pages
from ..sessions.replay import replay
from ..sessions.view import view
from .deps import House
from .models import NewSessionBody, ReplayBody, SessionBody
from .problems import JSON
from .sse import EventStream, session_events

router = APIRouter(tags=["sessions"])


@router.put("/v1/sessions/{session_id}", status_code=201, summary="Get or create, by the caller's id")
async def put_session(session_id: str, house: House, body: Annotated[SessionBody | None, Body()] = None) -> Response:
    session, new = house.get_or_create(session_id, body.model_dump() if body else None)
    return JSON(view(session), 201 if new else 200)


@router.post("/v1/sessions", status_code=201, summary="Create, with an id made here")
async def post_session(house: House, body: Annotated[NewSessionBody | None, Body()] = None) -> Response:
    wishes = body.model_dump() if body else {}
    session, new = house.get_or_create(wishes.pop("id", None), wishes)
    return JSON(view(session), 201 if new else 200)


@router.get("/v1/sessions", summary="List")
async def list_sessions(house: House) -> Response:
    return JSON({"sessions": [view(session) for session in house.sessions.values()]})


@router.get("/v1/sessions/{session_id}", summary="Look")
async def get_session(session_id: str, house: House) -> Response:
    return JSON(view(house.get(session_id)))


@router.delete("/v1/sessions/{session_id}", status_code=204, summary="End; its files and its history go too")
async def delete_session(session_id: str, house: House) -> Response:
    """202 when the store cannot be used now: the session is gone, and what is stored of it goes as soon as it can."""
    return Response(status_code=204 if await house.delete(session_id) else 202)


@router.post("/v1/sessions/{session_id}/interrupt", status_code=202, summary="Stop what runs and what waits")
async def interrupt(session_id: str, house: House) -> Response:
    session = house.get(session_id)
    session.interrupt()
    return JSON(view(session), 202)


@router.post("/v1/sessions/{session_id}/restart", status_code=202, summary="Fresh kernel, same files")
async def restart(session_id: str, house: House) -> Response:
    session = house.get(session_id)
    house.restart(session)
    return JSON(view(session), 202)


@router.get("/v1/sessions/{session_id}/events", summary="All events, as SSE; resumable")
async def events(
    session_id: str,
    house: House,
    last_event_id: Annotated[str | None, Header()] = None,
    after: Annotated[int | None, Query(ge=0, description="the same as Last-Event-ID")] = None,
) -> Response:
    log = house.get(session_id).log
    start = resume_after(last_event_id, after)
    return EventStream(session_events(log, log.last if start is None else start))


@router.get("/v1/sessions/{session_id}/history", summary="Executions so far, oldest first; by page, by text")
async def history(
    session_id: str,
    house: House,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[str | None, Query(description="an execution's id: only what came before it")] = None,
    search: Annotated[str | None, Query(max_length=1000, description="text in code, output or error")] = None,
) -> Response:
    found, more = await pages(house.store, house.get(session_id), limit, before, search or "")
    return JSON({"executions": found, "more": more})


@router.post("/v1/sessions/{session_id}/replay", summary="Its successful cells in a fresh kernel, and what differs")
async def post_replay(session_id: str, house: House, body: Annotated[ReplayBody | None, Body()] = None) -> Response:
    return JSON(await replay(house, house.get(session_id), body is not None and body.keep))


@router.get("/v1/sessions/{session_id}/notebook", summary="The session as a notebook (nbformat 4.5)")
async def get_notebook(session_id: str, house: House) -> Response:
    session = house.get(session_id)
    content = notebook(session.id, session.main.language, await cells_of(house.store, session))
    # Opened by whoever saves it, never by the browser that asked.
    headers = {"Content-Disposition": f'attachment; filename="{session.id}.ipynb"'}
    return JSON(content, headers=headers, media_type="application/x-ipynb+json")


def resume_after(header: str | None, query: int | None) -> int | None:
    if query is not None or header is None or header == "":
        return query
    if not header.isascii() or not header.isdigit() or len(header) > 18:
        raise BadRequest(f"Last-Event-ID is a number, not {header[:50]!r}.")
    return int(header)
