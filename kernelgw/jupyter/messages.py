"""Jupyter messages that the gateway writes itself, in place of a kernel. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from ..kernel.wire import PROTOCOL
from .framing import Parts

# Who all of them are from.
OURS = "kernelgw"


def message(msg_type: str, content: Mapping[str, Any], parent: Mapping[str, Any] | None = None, id_: str = "") -> Parts:
    """`parent`: the header of the message that it answers."""
    header = {
        "msg_id": id_ or uuid.uuid4().hex,
        "msg_type": msg_type,
        "session": OURS,
        "username": OURS,
        "date": datetime.now(UTC).isoformat(),
        "version": PROTOCOL,
    }
    return (
        orjson.dumps(header),
        orjson.dumps(parent or {}),
        b"{}",
        orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS),
    )


def status(state: str, parent: Mapping[str, Any] | None = None, id_: str = "") -> Parts:
    """starting, busy, idle, restarting or dead: clients know no other."""
    return message("status", {"execution_state": state}, parent, id_)


def failed(name: str, value: str, traceback: list[str] | None = None) -> dict[str, Any]:
    """The content of a reply to a request that went wrong."""
    return {"status": "error", "ename": name, "evalue": value, "traceback": traceback or []}
