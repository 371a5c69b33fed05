"""/api/sessions: documents that are connected to kernels; each chat is one of them from the beginning."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from ..errors import BadRequest
from .deps import JSON, Body, TheVisit
from .hall import document
from .kernels import begin

router = APIRouter(tags=["jupyter"])


@router.get("/api/sessions", summary="Each chat, and each document at one")
async def list_sessions(visit: TheVisit) -> Response:
    return JSON([visit.hall.shown(entry) for entry in visit.entries()])


@router.post("/api/sessions", status_code=201, summary="Connect a document to a kernel, new or not")
async def post_session(body: Body, visit: TheVisit) -> Response:
    wanted = {"type": "notebook", **document(body, "path")}
    wanted.setdefault("name", wanted["path"].rpartition("/")[2])
    named = _named(body, visit)
    entry = visit.at(wanted["path"], named)
    if entry is None:
        visit.hall.check_room()
        session = named if named is not None else await _kernel_for(body, visit, wanted)
        entry = visit.hall.open(session, wanted, visit.caller.owner)
    return JSON(visit.hall.shown(entry), 201, {"Location": f"/api/sessions/{entry.id}"})


def _named(body: Body, visit: TheVisit) -> Any:
    """The session whose kernel was asked for by its id."""
    kernel = body.get("kernel")
    wanted = kernel.get("id") if isinstance(kernel, dict) else None
    return visit.find(wanted) if isinstance(wanted, str) else None


async def _kernel_for(body: Body, visit: TheVisit, wanted: dict[str, str]) -> Any:
    kernel = {} if body.get("kernel") is None else body["kernel"]
    if not isinstance(kernel, dict):
        raise BadRequest("kernel is an object with an id or a name.")
    if (named := _named(body, visit)) is not None:
        return named
    return await begin(visit, kernel.get("name"), body.get("env"), wanted)


@router.get("/api/sessions/{id}", summary="One document")
async def get_session(id: str, visit: TheVisit) -> Response:
    return JSON(visit.hall.shown(visit.entry(id)))


@router.patch("/api/sessions/{id}", summary="Rename it, or connect it to another kernel")
async def patch_session(id: str, body: Body, visit: TheVisit) -> Response:
    entry = visit.own(visit.entry(id))
    changes = document(body)
    session = await _kernel_for(body, visit, changes) if body.get("kernel") else None
    changed = visit.hall.change(entry, changes, session)
    if changed.chat != entry.chat:
        await visit.leave(entry.chat)
    return JSON(visit.hall.shown(changed))


@router.delete("/api/sessions/{id}", status_code=204, summary="Close it; a session begun here ends with its last one")
async def delete_session(id: str, visit: TheVisit) -> Response:
    await visit.close(visit.entry(id))
    return Response(status_code=204)
