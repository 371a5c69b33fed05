"""/api/sessions: documents that are connected to kernels; each chat is one of them from the beginning."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from ..errors import BadRequest
from .deps import JSON, Body, TheHall
from .hall import document
from .kernels import begin

router = APIRouter(tags=["jupyter"])


@router.get("/api/sessions", summary="Each chat, and each document at one")
async def list_sessions(hall: TheHall) -> Response:
    return JSON([hall.shown(entry) for entry in hall.entries()])


@router.post("/api/sessions", status_code=201, summary="Connect a document to a kernel, new or not")
async def post_session(body: Body, hall: TheHall) -> Response:
    wanted = {"type": "notebook", **document(body, "path")}
    wanted.setdefault("name", wanted["path"].rpartition("/")[2])
    entry = hall.at(wanted["path"])
    if entry is None:
        hall.check_room()
        session = await _kernel_for(body, hall, wanted)
        entry = hall.open(session, wanted)
    return JSON(hall.shown(entry), 201, {"Location": f"/api/sessions/{entry.id}"})


async def _kernel_for(body: Body, hall: TheHall, wanted: dict[str, str]) -> Any:
    kernel = {} if body.get("kernel") is None else body["kernel"]
    if not isinstance(kernel, dict):
        raise BadRequest("kernel is an object with an id or a name.")
    if isinstance(kernel.get("id"), str):
        return hall.find(kernel["id"])
    return await begin(hall, kernel.get("name"), body.get("env"), wanted)


@router.get("/api/sessions/{id}", summary="One document")
async def get_session(id: str, hall: TheHall) -> Response:
    return JSON(hall.shown(hall.entry(id)))


@router.patch("/api/sessions/{id}", summary="Rename it, or connect it to another kernel")
async def patch_session(id: str, body: Body, hall: TheHall) -> Response:
    entry = hall.entry(id)
    changes = document(body)
    session = await _kernel_for(body, hall, changes) if body.get("kernel") else None
    changed = hall.change(entry, changes, session)
    if changed.chat != entry.chat:
        await hall.leave(entry.chat)
    return JSON(hall.shown(changed))


@router.delete("/api/sessions/{id}", status_code=204, summary="Close it; a session begun here ends with its last one")
async def delete_session(id: str, hall: TheHall) -> Response:
    await hall.close(hall.entry(id))
    return Response(status_code=204)
