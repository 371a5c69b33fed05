"""What handlers need, and answers in the form that Jupyter's clients read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request, Response
from starlette.requests import HTTPConnection

from ..access.caller import CALLER, Caller
from ..errors import SAY_JSON, BadRequest
from .hall import Hall
from .visit import Visit


class JSON(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


async def _visit(connection: HTTPConnection) -> Visit:
    # async, because FastAPI sends a plain function to a thread, at every request.
    hall: Hall = connection.app.state.hall
    hall.house.check_open()
    caller: Caller = connection.scope[CALLER]
    return Visit(hall, caller)


async def _body(request: Request) -> Mapping[str, Any]:
    """A JSON object; clients send an empty body, or null, where there is nothing to say."""
    data = await request.body()
    if data and request.headers.get("content-type", "application/json").partition(";")[0] not in KINDS:
        raise BadRequest("A body is JSON here, and says so.", SAY_JSON)
    try:
        value = orjson.loads(data or b"null")
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: line {error.lineno}, column {error.colno}: {error.msg}.") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest("The body is not a JSON object.")
    return value


# What no form of another page can be sent as, except for none at all, which needs the token as well.
KINDS = ("application/json",)
TheVisit = Annotated[Visit, Depends(_visit)]
Body = Annotated[Mapping[str, Any], Depends(_body)]
