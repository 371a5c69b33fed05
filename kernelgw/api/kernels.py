"""/v1/sessions/{id}/kernels: a session's interpreters: list, make, look, interrupt, restart, end."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response

from ..sessions.view import view_of
from .deps import House
from .models import KernelBody
from .problems import JSON

router = APIRouter(tags=["kernels"])
ALL = "/v1/sessions/{session_id}/kernels"
ONE = "/v1/sessions/{session_id}/kernels/{name}"


@router.get(ALL, summary="The session's kernels, its own first")
async def list_kernels(session_id: str, house: House) -> Response:
    return JSON({"kernels": [view_of(lane) for lane in house.get(session_id).lanes.values()]})


@router.put(ONE, status_code=201, summary="Get or make one, and start it")
async def put_kernel(
    session_id: str, name: str, house: House, body: Annotated[KernelBody | None, Body()] = None
) -> Response:
    """Without a language the name says it, and otherwise the session's is meant."""
    session = house.get(session_id)
    wanted = body.language if body is not None else None
    environment = session.plan.environment
    language = house.speaks(wanted, environment) if wanted is not None else house.languages(environment).find(name)
    known = name in session.lanes
    lane = session.lane_for(None if known and wanted is None else language, name)
    house.wake(lane)
    return JSON(view_of(lane), 200 if known else 201)


@router.get(ONE, summary="Look")
async def get_kernel(session_id: str, name: str, house: House) -> Response:
    return JSON(view_of(house.get(session_id).lane(name)))


@router.delete(ONE, status_code=204, summary="End it; the session, its files and its other kernels stay")
async def delete_kernel(session_id: str, name: str, house: House) -> Response:
    session = house.get(session_id)
    await session.close(session.lane(name))
    return Response(status_code=204)


@router.post(f"{ONE}/interrupt", status_code=202, summary="Stop what runs and waits there")
async def interrupt_kernel(session_id: str, name: str, house: House) -> Response:
    lane = house.get(session_id).lane(name)
    lane.interrupt()
    return JSON(view_of(lane), 202)


@router.post(f"{ONE}/restart", status_code=202, summary="Fresh kernel, same files; the others go on")
async def restart_kernel(session_id: str, name: str, house: House) -> Response:
    lane = house.get(session_id).lane(name)
    house.restart(lane)
    return JSON(view_of(lane), 202)
