"""Events back into the Jupyter messages that they were made of, for a client that was not there to see them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ..events.event import GAP, Event
from .framing import Parts
from .messages import failed, message, status

Data = Mapping[str, Any]
Told = tuple[str, Parts]


def _stream(data: Data) -> dict[str, Any]:
    return {"name": data["name"], "text": data["text"]}


def _bundle(data: Data) -> dict[str, Any]:
    transient = {"display_id": data["display_id"]} if "display_id" in data else {}
    return {"data": data["data"], "metadata": data["metadata"], "transient": transient}


def _result(data: Data) -> dict[str, Any]:
    return {**_bundle(data), "execution_count": data.get("execution_count")}


def _clear(data: Data) -> dict[str, Any]:
    return {"wait": data["wait"]}


def _error(data: Data) -> dict[str, Any]:
    return {"ename": data["name"], "evalue": data["value"], "traceback": data["traceback"]}


def _gap(data: Data) -> dict[str, Any]:
    return {"name": "stderr", "text": f"[events {data['from']} to {data['to']} are missing: {data['reason']}]\n"}


def _comm(data: Data) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in ("action", "execution_id")}


COMMS = MappingProxyType({"open": "comm_open", "message": "comm_msg", "close": "comm_close"})
# By the type of the event: that of the message, and how its content comes about.
TABLE: Mapping[str, tuple[str, Callable[[Data], dict[str, Any]]]] = MappingProxyType(
    {
        "output.stream": ("stream", _stream),
        "output.display": ("display_data", _bundle),
        "output.update": ("update_display_data", _bundle),
        "output.result": ("execute_result", _result),
        "output.clear": ("clear_output", _clear),
        "output.error": ("error", _error),
        GAP: ("stream", _gap),
    }
)


def told(event: Event, parent: Data, count: int | None) -> Iterator[Told]:
    """What one event of an execution was, by channel. `parent`: the header of the request for it; `count`: its
    execution count, which the event of its start does not know yet."""
    data, id_ = event.data, f"kernelgw-{event.seq}"
    if event.type in TABLE:
        msg_type, content = TABLE[event.type]
        yield "iopub", message(msg_type, content(data), parent, id_)
    elif event.type == "comm":
        yield "iopub", message(COMMS[data["action"]], _comm(data), parent, id_)
    elif event.type == "execution.started":
        yield "iopub", status("busy", parent, id_)
        yield "iopub", message("execute_input", {"code": data["code"], "execution_count": count}, parent, f"{id_}i")
        # What a client has of it already would stand there twice.
        yield "iopub", message("clear_output", {"wait": False}, parent, f"{id_}c")
    elif event.type == "execution.completed":
        yield "shell", message("execute_reply", reply(data), parent, id_)
        yield "iopub", status("idle", parent, f"{id_}s")


def reply(execution: Data) -> dict[str, Any]:
    """The content of an execute_reply, from an execution object."""
    count = execution["execution_count"]
    error = execution["error"]
    if execution["status"] == "completed":
        return {"status": "ok", "execution_count": count, "user_expressions": {}, "payload": []}
    if error is not None and error["name"] == "NotRun":
        return {**failed(error["name"], error["value"]), "status": "aborted", "execution_count": count}
    name, value, traceback = (
        (error["name"], error["value"], error["traceback"]) if error else ("Stopped", execution["status"], [])
    )
    return {**failed(name, value, traceback), "execution_count": count, "user_expressions": {}, "payload": []}
