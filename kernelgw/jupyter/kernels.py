"""/api/kernels and /api/kernelspecs, and what a client asks of a server before it uses it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Response

from .. import __version__
from ..errors import BadRequest, EnvironmentNotBuilt, KernelSpecNotFound, UnknownEnvironment
from . import models
from .deps import JSON, Body, TheVisit
from .visit import Visit

router = APIRouter(tags=["jupyter"])
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MOST_VARIABLES, LONGEST_VALUE = 256, 32 << 10


@router.get("/api", summary="Version")
async def get_version() -> Response:
    return JSON({"version": __version__})


@router.get("/api/status", summary="Since when, how many")
async def get_status(visit: TheVisit) -> Response:
    sessions, hall = visit.sessions(), visit.hall
    last = max((models.active_at(each) for each in sessions), default=hall.started)
    return JSON(
        {
            "started": models.moment(hall.started),
            "last_activity": models.moment(max(last, hall.started)),
            "kernels": len(sessions),
            "connections": sum(map(hall.connections, sessions)),
        }
    )


@router.get("/api/me", summary="Who is calling, and what they may")
async def get_me(permissions: Annotated[str, Query(max_length=10_000)] = "{}") -> Response:
    name = "kernelgw"
    identity = {
        "username": name,
        "name": name,
        "display_name": name,
        "initials": "K",
        "avatar_url": None,
        "color": None,
    }
    return JSON({"identity": identity, "permissions": _asked_for(permissions)})


def _asked_for(text: str) -> dict[str, list[str]]:
    """All of it: what somebody may not do at a kernel is refused there, with the reason."""
    try:
        asked = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadRequest("permissions is JSON.") from None
    if not isinstance(asked, dict) or not all(isinstance(each, list) for each in asked.values()):
        raise BadRequest("permissions is an object of lists.")
    return {name: [str(each) for each in actions] for name, actions in asked.items()}


@router.get("/api/kernelspecs", summary="What kernels there can be")
async def get_specs(visit: TheVisit) -> Response:
    return JSON(visit.hall.specs.as_json())


@router.get("/api/kernelspecs/{name}", summary="One of them")
async def get_spec(name: str, visit: TheVisit) -> Response:
    found = visit.hall.specs.all().get(name)
    if found is None:
        raise KernelSpecNotFound(f"Kernel spec {name[:100]} not found")
    return JSON(found.as_json())


@router.get("/api/kernels", summary="The kernels of all sessions")
async def list_kernels(visit: TheVisit) -> Response:
    return JSON([visit.hall.kernel(each) for each in visit.sessions()])


@router.post("/api/kernels", status_code=201, summary="A new session, and its kernel")
async def post_kernel(body: Body, visit: TheVisit) -> Response:
    wanted = body.get("kernel_id")
    if isinstance(wanted, str):
        session = visit.find(wanted)
    else:
        session = await begin(visit, body.get("name"), body.get("env"), {})
    model = visit.hall.kernel(session)
    return JSON(model, 201, {"Location": f"/api/kernels/{model['id']}"})


async def begin(visit: Visit, name: Any, env: Any, document: Mapping[str, str]) -> Any:
    """The session. `name` and `env` as a client gave them. Raises GatewayError."""
    if name is not None and not isinstance(name, str):
        raise BadRequest("The name of a kernel is a text.")
    try:
        return await visit.begin(name, _variables(env), document)
    except (UnknownEnvironment, EnvironmentNotBuilt):
        raise KernelSpecNotFound(f"Kernel spec {str(name)[:100]} not found") from None


def _variables(env: Any) -> dict[str, str]:
    if env is None:
        return {}
    if not isinstance(env, dict) or len(env) > MOST_VARIABLES:
        raise BadRequest(f"env is an object of {MOST_VARIABLES} variables at most.")
    for name, value in env.items():
        if VARIABLE.fullmatch(name) is None or not isinstance(value, str) or "\0" in value:
            raise BadRequest(f"{name[:100]!r} cannot be an environment variable.")
        if len(value) > LONGEST_VALUE:
            raise BadRequest(f"{name[:100]!r} is too long.")
    return env


@router.get("/api/kernels/{kernel_id}", summary="One kernel")
async def get_kernel(kernel_id: str, visit: TheVisit) -> Response:
    return JSON(visit.hall.kernel(visit.find(kernel_id)))


@router.delete("/api/kernels/{kernel_id}", status_code=204, summary="End a session begun here; let go of a chat's")
async def delete_kernel(kernel_id: str, visit: TheVisit) -> Response:
    await visit.let_go(visit.find(kernel_id))
    return Response(status_code=204)


@router.post("/api/kernels/{kernel_id}/interrupt", status_code=204, summary="Stop what runs and what waits")
async def interrupt_kernel(kernel_id: str, visit: TheVisit) -> Response:
    visit.find(kernel_id).interrupt()
    return Response(status_code=204)


@router.post("/api/kernels/{kernel_id}/restart", summary="Fresh kernel, same files")
async def restart_kernel(kernel_id: str, visit: TheVisit) -> Response:
    session = visit.find(kernel_id)
    visit.restart(session)
    return JSON(visit.hall.kernel(session))
