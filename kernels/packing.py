"""Messages as JSON, whatever user code put into them."""

from __future__ import annotations

from typing import Any

import orjson
from jupyter_client.jsonutil import json_default
from jupyter_client.session import json_packer

LONGEST_LIST = 1_000_000
LOOKED_AT = 1000
OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


def pack(value: Any) -> bytes:
    """Raises what json raises for values that are no JSON at all."""
    if _has_long_list(value):
        return json_packer(_encodable(value))
    try:
        return orjson.dumps(value, default=json_default, option=OPTIONS)
    except TypeError:
        # A lone surrogate is a legal str and no legal UTF-8; a large integer is legal JSON that orjson has not.
        # Only then is the whole message gone through.
        return json_packer(_encodable(value))


def _has_long_list(value: Any) -> bool:
    """orjson reserves hundreds of bytes for each element at once and crashes when it does not get them, as it
    may not under a memory limit. Long lists are alike throughout: a look at their first elements tells."""
    if isinstance(value, dict):
        return any(_has_long_list(item) for item in value.values() if isinstance(item, (dict, list, tuple)))
    if isinstance(value, (list, tuple)):
        return len(value) > LONGEST_LIST or any(map(_has_long_list, value[:LOOKED_AT]))
    return False


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encodable(item) for item in value]
    return value
