"""Errors as answers: one shape, whoever raised it."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..errors import SAY_JSON, BadRequest, GatewayError

OBJECT = re.compile(r"a valid dictionary(?: or (?:object to extract fields from|instance of \w+))?")
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
    return problem(invalid(error, request.headers.get("content-type", "")), request.url.path)


def invalid(error: RequestValidationError, kind: str) -> BadRequest:
    """What is wrong with a request, by the names that its caller knows. `kind`: the content type it came with."""
    found = error.errors()
    first = found[0] if found else {"loc": ("body",), "msg": "is not valid", "type": ""}
    if tuple(first["loc"]) == ("body",) and isinstance(error.body, bytes):
        said = f"its Content-Type is {kind[:100]!r}" if kind else "it has no Content-Type"
        return BadRequest(f"The body is not read as JSON, because {said}.", SAY_JSON)
    if first["type"] == "json_invalid":
        return BadRequest(
            _broken(first, str(error.body)), "Write it with a library for JSON.", faults=_faults([first], None)
        )
    faults = _faults(found, error.body)
    return BadRequest(f"{faults[0]['where']}: {faults[0]['what']}." if faults else "body: is not valid.", faults=faults)


def _broken(fault: Mapping[str, Any], text: str) -> str:
    place = int(fault["loc"][-1])
    line, column = text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)
    why = str(fault.get("ctx", {}).get("error", "")).strip() or "it cannot be read"
    return f"The body is not JSON: line {line}, column {column}: {why}."


def _faults(found: Iterable[Mapping[str, Any]], body: Any) -> list[dict[str, str]]:
    """Of several at one place, which are ways in which it could have been right, one is made."""
    places: dict[str, list[str]] = {}
    for fault in found:
        what = OBJECT.sub("an object", str(fault["msg"]).removeprefix("Value error, "))
        whats = places.setdefault(_where(fault, body), [])
        if what not in whats:
            whats.append(what)
    return [{"where": where, "what": ", or: ".join(whats)} for where, whats in places.items()]


def _where(fault: Mapping[str, Any], body: Any) -> str:
    """Without what is between names of fields: the types that a value was tried as."""
    place, value = list(fault["loc"]), body
    if place[:1] != ["body"] or fault["type"] == "json_invalid":
        return ".".join(map(str, place[:1] if fault["type"] == "json_invalid" else place))
    names = ["body"]
    for number, part in enumerate(place[1:], 2):
        if (isinstance(value, dict) and part in value) or (isinstance(value, list) and part in range(len(value))):
            value = value[part]
        elif not (fault["type"] == "missing" and number == len(place)):
            continue
        names.append(str(part))
    return ".".join(names)


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
