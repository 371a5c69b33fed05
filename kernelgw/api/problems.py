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


def problem(error: GatewayError) -> Response:
    headers = {}
    if (after := error.details.get("retry_after_s")) is not None:
        headers["Retry-After"] = str(math.ceil(after))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSON(error.as_json(), error.status, headers)


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    return problem(error)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [{"where": ".".join(str(part) for part in fault["loc"]), "what": fault["msg"]} for fault in error.errors()]
    first = faults[0] if faults else {"where": "body", "what": "is not valid"}
    return problem(BadRequest(f"{first['where']}: {first['what']}.", faults=faults))


async def _plain(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
    body = {
        "code": code,
        "message": f"{error.detail}.",
        "hint": "The calls that there are stand at /docs.",
        "details": {},
    }
    return JSON({"error": body}, error.status_code, dict(error.headers or {}))


async def _unforeseen(_: Request, error: Exception) -> Response:
    log.error("unforeseen error", exc_info=error)
    return problem(GatewayError("The gateway failed to answer this request."))


def install(app: FastAPI) -> None:
    app.add_exception_handler(GatewayError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(Exception, _unforeseen)
