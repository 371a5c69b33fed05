"""The page at `/`, its files, and the two questions that a load balancer asks."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path
from types import MappingProxyType

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

from .deps import House
from .problems import JSON

router = APIRouter(include_in_schema=False)
FOLDER = Path(__file__).resolve().parents[1] / "web" / "page"
# What a name may be. Asking the disk about any other would be to ask it about somebody's choice of path.
NAME = re.compile(r"[a-z-]{1,40}\.[a-z]{2,4}")

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Outputs are shown in here: scripts may run, but in an origin of their own and with nowhere to go.
FRAME_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; media-src data: blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
COMMON = MappingProxyType(
    {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}
)
# A preconnect in an output would reach any host, and no content policy covers it.
FRAME_HEADERS = MappingProxyType(
    {
        "Content-Security-Policy": FRAME_POLICY,
        "Connection-Allowlist": "()",
        "X-DNS-Prefetch-Control": "off",
    }
)


@router.get("/")
async def index() -> Response:
    return _serve("index.html")


@router.get("/static/page/{name}")
async def static(name: str) -> Response:
    return _serve(name)


def _serve(name: str) -> Response:
    path = FOLDER / name
    if NAME.fullmatch(name) is None or not path.is_file():
        raise HTTPException(404, "Not found")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    kind = "text/javascript" if name.endswith(".js") else kind
    # Whoever opened the page in a window of theirs gets no hold of it.
    headers = {**COMMON, "Content-Security-Policy": PAGE_POLICY, "Cross-Origin-Opener-Policy": "same-origin"}
    if name == "frame.html":
        headers |= FRAME_HEADERS
    return Response(path.read_bytes(), headers=headers, media_type=kind)


@router.get("/healthz")
async def healthz() -> Response:
    return JSON({"status": "ok"})


@router.get("/readyz")
async def readyz(house: House) -> Response:
    ready, size = house.warm()
    # A full house, or a full disk, has no room for warm kernels and is ready all the same.
    status = "ready" if ready >= size or not house.has_room else "starting"
    store = house.store.view()["state"] if house.store is not None else None
    content = {"status": status, "pool": {"ready": ready, "size": size}, "store": store}
    return JSON(content, 200 if status == "ready" else 503)
