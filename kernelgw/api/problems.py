"""Errors as answers: one shape, whoever raised it."""

from __future__ import annotations

import logging
import math
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..errors import BadRequest, GatewayError

log = logging.getLogger("kernelgw.api")


class JSON(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS)


def problem(error: GatewayError, path: str = "") -> Response:
    """`path`: what was called, which has Jupyter's own form of errors below /api."""
    headers = {}
    if (after := error.details.get("retry_after_s")) is not None:
        headers["Retry-After"] = str(math.ceil(after))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = error.as_jupyter() if is_jupyter(path) else _for_execute(path, error.as_json())
    return JSON(body, error.status, headers)


def _for_execute(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """There callers look whether it was a success, and for a text to show."""
    if not is_execute(path):
        return body
    return {"success": False, "output": "", "message": f"{body['error']['message']} {body['error']['hint']}", **body}


def is_execute(path: str) -> bool:
    return path == "/api/execute" or path.startswith("/api/execute/")


def is_jupyter(path: str) -> bool:
    return (path == "/api" or path.startswith("/api/")) and not is_execute(path)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    return problem(error, request.url.path)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [{"where": ".".join(str(part) for part in fault["loc"]), "what": fault["msg"]} for fault in error.errors()]
    first = faults[0] if faults else {"where": "body", "what": "is not valid"}
    return problem(BadRequest(f"{first['where']}: {first['what']}.", faults=faults), request.url.path)


async def _plain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
    body = {
        "code": code,
        "message": f"{error.detail}.",
        "hint": "The calls that there are stand at /docs.",
        "details": {},
    }
    path = request.url.path
    jupyter = {"message": body["message"], "reason": code} if is_jupyter(path) else {}
    return JSON({**jupyter, **_for_execute(path, {"error": body})}, error.status_code, dict(error.headers or {}))


async def _unforeseen(request: Request, error: Exception) -> Response:
    log.error("unforeseen error", exc_info=error)
    return problem(GatewayError("The gateway failed to answer this request."), request.url.path)


def install(app: FastAPI) -> None:
    app.add_exception_handler(GatewayError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(Exception, _unforeseen)
