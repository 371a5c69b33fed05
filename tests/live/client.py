"""The API as tests speak it: sessions by name, executions as objects, events one by one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from . import proc
from .gateway import Gateway

JSON = dict[str, Any]
STREAM = {"Accept": "text/event-stream"}


@dataclass(frozen=True)
class Event:
    id: int
    type: str
    data: JSON


class EventStream:
    """Server-sent events as they come. Each read has the client's timeout as its deadline."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._events = self._parse()

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def _parse(self) -> Iterator[Event]:
        buffer = b""
        for chunk in self.response.iter_raw():
            buffer += chunk
            *frames, buffer = buffer.split(b"\n\n")
            for frame in frames:
                if (event := _event(frame)) is not None:
                    yield event
        assert not buffer, f"cut off in the middle of an event: {buffer[:200]!r}"

    def until(self, type_: str, **data: Any) -> Event:
        """Reads up to the first event of this type whose data has these values."""
        for event in self._events:
            if event.type == type_ and data.items() <= event.data.items():
                return event
        raise AssertionError(f"the stream ended without {type_} {data}")

    def until_text(self, text: str) -> Event:
        """Reads until this was printed; text may come in any number of pieces."""
        seen = ""
        for event in self._events:
            if event.type == "output.stream":
                seen += event.data["text"]
                if text in seen:
                    return event
        raise AssertionError(f"the stream ended without {text!r}, but with {seen[-1000:]!r}")


def events_in(body: bytes) -> list[Event]:
    """Of a stream that was cut off somewhere, those that are whole."""
    found = (_event(frame) for frame in body.split(b"\n\n")[:-1])
    return [event for event in found if event is not None]


def _event(frame: bytes) -> Event | None:
    fields: dict[str, str] = {}
    # Only \n ends a line here: str.splitlines would also cut at what JSON leaves as it is.
    for line in frame.decode().split("\n"):
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
    if not fields:
        return None
    assert fields.keys() == {"id", "event", "data"}, frame
    return Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))


class Session:
    """One session, by its id; nothing is asked of the gateway until a method is called."""

    def __init__(self, client: httpx.Client, id_: str) -> None:
        self.client = client
        self.id = id_
        self.path = f"/v1/sessions/{id_}"

    def create(self, **body: Any) -> JSON:
        response = self.client.put(self.path, json=body)
        assert response.status_code == 201, response.text
        return _json(response)

    def look(self) -> JSON:
        return _json(self.client.get(self.path).raise_for_status())

    def post(self, code: str, **body: Any) -> httpx.Response:
        return self.client.post(f"{self.path}/executions", json={"code": code, **body})

    def run(self, code: str, **body: Any) -> JSON:
        """The execution object, however it ended."""
        response = self.post(code, **body)
        assert response.status_code == 200, response.text
        return _json(response)

    def value(self, code: str, **body: Any) -> str:
        """What a cell that must succeed printed to stdout."""
        execution = self.run(code, **body)
        assert execution["status"] == "completed", execution
        return text(execution)

    @contextlib.contextmanager
    def stream(self, code: str, **body: Any) -> Iterator[EventStream]:
        json_ = {"code": code, **body}
        with self.client.stream("POST", f"{self.path}/executions", json=json_, headers=STREAM) as response:
            assert response.status_code == 200, response.read()
            yield EventStream(response)

    def events(self, code: str, **body: Any) -> list[Event]:
        """All events of an execution, checked for what every stream has to keep."""
        with self.stream(code, **body) as stream:
            events = list(stream)
        assert events[-1].type == "execution.completed"
        assert [event.type for event in events].count("execution.completed") == 1
        ids = [event.id for event in events]
        assert ids == sorted(set(ids))
        return events

    @contextlib.contextmanager
    def follow(self, execution: str | None = None, after: int | None = None) -> Iterator[EventStream]:
        """The session's events, or one execution's, from `after` on."""
        path = f"{self.path}/events" if execution is None else f"{self.path}/executions/{execution}/events"
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        with self.client.stream("GET", path, headers=headers) as response:
            assert response.status_code == 200, response.read()
            yield EventStream(response)

    def execution(self, id_: str) -> JSON:
        return _json(self.client.get(f"{self.path}/executions/{id_}").raise_for_status())

    def interrupt(self) -> None:
        assert self.client.post(f"{self.path}/interrupt").status_code == 202

    def restart(self) -> None:
        assert self.client.post(f"{self.path}/restart").status_code == 202

    def answer(self, execution: str, value: str) -> httpx.Response:
        return self.client.post(f"{self.path}/executions/{execution}/input", json={"value": value})

    def touch(self, name: str) -> None:
        """Makes a file in the workspace from outside: a sign to code that runs in there."""
        # The kernel hides from all but root; what holds its sandbox does not.
        roots = (proc.PROC / str(pid) / "root" for pid in proc.neighbours(self.look()["kernel"]["pid"]))
        next(root for root in roots if os.access(root / "workspace", os.W_OK)).joinpath("workspace", name).touch()

    def delete(self) -> None:
        assert self.client.delete(self.path).status_code == 204


class House:
    """A gateway and a client of it; makes sessions with names of their own and removes all at the end."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self.gateway = gateway
        self.client = gateway.client()
        self._name = name
        self._count = 0

    def session(self, **wishes: Any) -> Session:
        """A new session; with wishes it is created now, else by its first execution."""
        self._count += 1
        session = Session(self.client, f"{self._name}.{self._count}")
        if wishes:
            session.create(**wishes)
        return session

    def delete_sessions(self) -> None:
        for session in _json(self.client.get("/v1/sessions").raise_for_status())["sessions"]:
            Session(self.client, session["id"]).delete()

    def close(self) -> None:
        self.client.close()


@contextlib.contextmanager
def visiting(gateway: Gateway, test: str, timeout: float = 30) -> Iterator[House]:
    """For one test, by its name; afterwards the proof that nothing is left of its sessions."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", test)[:70]
    house = House(gateway, f"{name}.{uuid.uuid4().hex[:8]}")
    house.client.timeout = timeout
    try:
        yield house
        house.delete_sessions()
    finally:
        house.close()
    gateway.assert_nothing_leaked()


def _json(response: httpx.Response) -> JSON:
    value: JSON = response.json()
    return value


def problem(response: httpx.Response, status: int, code: str) -> JSON:
    """The error of an answer, checked for its shape."""
    assert response.status_code == status, response.text
    error: JSON = response.json()["error"]
    assert error.keys() == {"code", "message", "hint", "details"}
    assert error["code"] == code
    assert error["message"]
    assert error["hint"]
    return error


def text(execution: JSON, name: str = "stdout") -> str:
    """All that an execution wrote to one stream."""
    pieces = (output["text"] for output in execution["outputs"] if output.get("name") == name)
    return "".join(pieces)


def displays(execution: JSON) -> list[JSON]:
    """The bundles of displays and results, in order."""
    return [output["data"] for output in execution["outputs"] if "data" in output]


def streamed(events: list[Event], name: str = "stdout") -> str:
    pieces = (event.data["text"] for event in events if event.type == "output.stream" and event.data["name"] == name)
    return "".join(pieces)


def types(events: list[Event]) -> list[str]:
    """Without the states, which are the session's business; text in several pieces counts as one."""
    return [event.type for event in merged(events) if event.type != "session.state"]


def merged(events: list[Event]) -> list[Event]:
    """Consecutive pieces of one stream as their first event, as an execution object shows them."""
    found: list[Event] = []
    last: Event | None = None
    for event in events:
        text_goes_on = last is not None and last.type == event.type == "output.stream"
        if not (text_goes_on and last is not None and last.data["name"] == event.data["name"]):
            found.append(event)
        last = event
    return found
