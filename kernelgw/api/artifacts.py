"""/v1/sessions/{id}/artifacts: what sessions made, to be shown where that is safe and saved otherwise."""

from __future__ import annotations

from types import MappingProxyType

from fastapi import APIRouter, Request, Response
from starlette.responses import FileResponse

from ..artifacts import kinds
from .deps import House
from .problems import JSON

router = APIRouter(tags=["artifacts"])
PREFIX = "/v1/sessions/{session_id}/artifacts"
# The content of an address never changes, and it is its caller's alone. Whatever a browser makes of it, it may reach
# nothing and run nothing.
HEADERS = MappingProxyType(
    {
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    }
)


@router.get(PREFIX, summary="List")
async def list_artifacts(session_id: str, house: House) -> Response:
    return JSON(house.get(session_id).artifacts.listing())


@router.head(f"{PREFIX}/{{artifact_id}}", include_in_schema=False)
@router.get(f"{PREFIX}/{{artifact_id}}", summary="Its content; ranges are served")
async def get_artifact(session_id: str, artifact_id: str, request: Request, house: House) -> Response:
    entry, path = house.get(session_id).artifacts.find(artifact_id)
    headers = {**HEADERS, "ETag": f'"{entry["id"]}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    type_, shown = kinds.served(entry["type"])
    return FileResponse(
        path,
        headers=headers,
        media_type=type_,
        filename=entry["name"],
        content_disposition_type="inline" if shown else "attachment",
    )


@router.delete(f"{PREFIX}/{{artifact_id}}", status_code=204, summary="Delete it, which makes room for others")
async def delete_artifact(session_id: str, artifact_id: str, house: House) -> Response:
    house.get(session_id).artifacts.delete(artifact_id, "deleted by its caller")
    return Response(status_code=204)
