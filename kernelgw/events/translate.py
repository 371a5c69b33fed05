"""Jupyter messages to events: one table, one entry for every message type that a kernel may send. Pure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from . import frames, plain

Content = Mapping[str, Any]
# What a value takes in memory beside its text: an object and a place in its container.
VALUE_BYTES = 64
# Of an error, in characters; of the traceback all lines together, each counted with VALUE_BYTES.
LONGEST_NAME, LONGEST_VALUE, LONGEST_LINE = 1 << 10, 64 << 10, 64 << 10
LONGEST_TRACEBACK = 256 << 10
TOO_DEEP = "[a value was left out: it is nested too deeply]"


class Happening(NamedTuple):
    """An event before it has a number. `size`: bytes of payload, roughly."""

    type: str
    data: dict[str, Any]
    size: int


def weight(text: str) -> int:
    """Bytes of memory that it takes, roughly: up to four for a character, and once it was sent its UTF-8 besides."""
    return len(text) if text.isascii() else 2 * sys.getsizeof(text)


def _stream(content: Content) -> Happening:
    text = _text(content.get("text"))
    name = "stderr" if content.get("name") == "stderr" else "stdout"
    return Happening("output.stream", {"name": name, "text": text}, weight(text))


def _bundle(type_: str, content: Content) -> Happening:
    bundle, size = _encodable(_dict(content.get("data")))
    metadata, more = _encodable(_dict(content.get("metadata")))
    data: dict[str, Any] = {"data": bundle, "metadata": metadata}
    display_id = _dict(content.get("transient")).get("display_id")
    if display_id is not None:
        data["display_id"] = str(display_id)
        more += weight(data["display_id"])
    return Happening(type_, data, size + more)


def _display(content: Content) -> Happening:
    return _bundle("output.display", content)


def _update(content: Content) -> Happening:
    return _bundle("output.update", content)


def _result(content: Content) -> Happening:
    happening = _bundle("output.result", content)
    happening.data["execution_count"] = count(content)
    return happening


def _clear(content: Content) -> Happening:
    return Happening("output.clear", {"wait": bool(content.get("wait"))}, 0)


def error(content: Content) -> dict[str, Any]:
    """`{name, value, traceback, frames, text}`, and `causes`, `similar`, `module` where there are any, from an error
    message or an error reply; each with its middle left out if long."""
    lines = content.get("traceback")
    found: dict[str, Any] = {
        "name": _shortened(_text(content.get("ename")), LONGEST_NAME),
        "value": _shortened(_text(content.get("evalue")), LONGEST_VALUE),
        "traceback": _short_traceback(lines) if isinstance(lines, list) else [],
        "frames": frames.frames(content.get("frames")),
    }
    further = {name: read(content.get(name)) for name, read in FURTHER.items()}
    found |= {name: value for name, value in further.items() if value}
    return {**found, "text": plain.text(found)}


def error_size(data: Mapping[str, Any]) -> int:
    """Bytes that an error takes, roughly."""
    texts = [data["name"], data["value"], *data["traceback"]]
    texts += [data[name] for name in ("text", "hint") if name in data]
    texts += [*frames.texts(data.get("frames", ())), *data.get("similar", ())]
    texts += [text for text in data.get("module", {}).values() if isinstance(text, str)]
    for cause in data.get("causes", ()):
        texts += [cause["relation"], cause["name"], cause["value"], *frames.texts(cause["frames"])]
    return sum(map(weight, texts)) + VALUE_BYTES * len(texts)


FURTHER: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {"causes": frames.causes, "similar": frames.similar, "module": frames.module}
)


def _shortened(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[{len(text) - 2 * half:,} characters left out here]\n{text[-half:]}"


def _short_traceback(lines: list[Any]) -> list[str]:
    head = _fitting(iter(lines))
    tail = _fitting(islice(reversed(lines), len(lines) - len(head)))
    left_out = len(lines) - len(head) - len(tail)
    return [*head, *([f"[{left_out:,} lines left out here]"] if left_out else []), *reversed(tail)]


def _fitting(lines: Iterator[Any]) -> list[str]:
    """As many as half a traceback may hold."""
    found: list[str] = []
    room = LONGEST_TRACEBACK // 2
    for line in lines:
        text = _shortened(_text(line), LONGEST_LINE)
        room -= len(text) + VALUE_BYTES
        if room < 0:
            break
        found.append(text)
    return found


def _error(content: Content) -> Happening:
    data = error(content)
    return Happening("output.error", data, error_size(data))


def _input(content: Content) -> Happening:
    prompt = _text(content.get("prompt"))
    data = {"prompt": prompt, "password": bool(content.get("password"))}
    return Happening("input.requested", data, weight(prompt))


def _comm(action: str) -> Callable[[Content], Happening]:
    def translate(content: Content) -> Happening:
        data, size = _encodable(dict(content))
        data.pop("execution_id", None)
        return Happening("comm", {**data, "action": action}, size)

    return translate


def _nothing(_: Content) -> None:
    return None


# None as a result: the message steers the execution itself (status, execute_input) or concerns other doors.
TABLE: Mapping[str, Callable[[Content], Happening | None]] = MappingProxyType(
    {
        "stream": _stream,
        "display_data": _display,
        "update_display_data": _update,
        "execute_result": _result,
        "clear_output": _clear,
        "error": _error,
        "input_request": _input,
        "comm_open": _comm("open"),
        "comm_msg": _comm("message"),
        "comm_close": _comm("close"),
        "status": _nothing,
        "execute_input": _nothing,
        "iopub_welcome": _nothing,
        "debug_event": _nothing,
        "shutdown_reply": _nothing,
    }
)


def translate(msg_type: str, content: Content) -> Happening | None:
    """The event for one iopub or stdin message; None when it makes none or its type is not Jupyter's."""
    entry = TABLE.get(msg_type)
    return entry(content) if entry is not None else None


def payload(content: Content) -> list[Happening]:
    """What an execute_reply carries besides: the pager's text (`obj?`) is shown where a notebook opens a pager."""
    pages = [item for item in _payload(content) if item.get("source") == "page" and isinstance(item.get("data"), dict)]
    return [_bundle("output.display", page) for page in pages]


def leaves(content: Content) -> bool:
    """Whether an execute_reply says that the kernel is about to end, as `exit()` makes it."""
    return any(item.get("source") == "ask_exit" and not item.get("keepkernel") for item in _payload(content))


def _payload(content: Content) -> list[dict[str, Any]]:
    given = content.get("payload")
    return [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def count(content: Content) -> int | None:
    value = content.get("execution_count")
    return value if isinstance(value, int) else None


def _encodable(values: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The same without what could be read but not be written again, and its size in bytes, roughly."""
    size = 0
    kept = {}
    for name, value in values.items():
        if not isinstance(value, str):
            try:
                # Wrapped as deep as it will stand in an answer: the encoder's depth is limited.
                text = orjson.dumps([[[[[[[[value]]]]]]]])
                # One character makes all of its text four bytes wide; once sent, its UTF-8 stays beside it.
                size += (len(text) - 16) * (1 if text.isascii() else 5)
                size += VALUE_BYTES * (text.count(b",") + text.count(b"[") + text.count(b"{") - 8)
            except orjson.JSONEncodeError:
                value = TOO_DEEP
        kept[name] = value
        size += weight(name) + (weight(value) if isinstance(value, str) else 0)
    return kept, size
