"""/v1/keys: for less than everything, and for as long as they are needed. Who may make them has the whole token."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from ..access.caller import Scope
from ..access.keys import Keys, as_json
from .models import KeyBody
from .problems import JSON

router = APIRouter(tags=["keys"])


async def _keys(request: Request) -> Keys:
    keys: Keys = request.app.state.keys
    return keys


TheKeys = Annotated[Keys, Depends(_keys)]


@router.post("/v1/keys", status_code=201, summary="Make one; what to present is told only now")
async def post_key(body: KeyBody, keys: TheKeys) -> Response:
    key, secret = keys.make(Scope(body.scope), body.name, body.session_id, body.expires_s)
    return JSON({**as_json(key), "key": secret}, 201)


@router.get("/v1/keys", summary="List, without what they are")
async def list_keys(keys: TheKeys) -> Response:
    return JSON({"keys": [as_json(key) for key in keys.all()]})


@router.delete("/v1/keys/{key_id}", status_code=204, summary="Revoke; who is connected by it is let go")
async def delete_key(key_id: str, keys: TheKeys) -> Response:
    keys.revoke(key_id)
    return Response(status_code=204)
