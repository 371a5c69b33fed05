"""Three lines to a first result: `Client().session("chat-1").run("1 + 1")`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpx


class GatewayProblem(Exception):
    """The gateway said no. `code`, `message`, `hint` as it gave them; `status` is HTTP's, 0 when unreachable."""

    def __init__(self, status: int, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.hint = status, code, message, hint


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `seq` is what `after` resumes from."""

    seq: int
    type: str
    data: dict[str, Any]


class Client:
    """`url` and `token` default to KERNELGW_URL and KERNELGW_TOKEN."""

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        url = url or os.environ.get("KERNELGW_URL", "http://127.0.0.1:8000")
        token = token or os.environ.get("KERNELGW_TOKEN", "")
        headers = {"Authorization": f"Bearer {token}"}
        # A cell may be silent for as long as it likes: only connecting has a limit.
        self._http = httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(None, connect=10))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def session(self, id_: str) -> Session:
        return Session(self, id_)

    def sessions(self) -> list[dict[str, Any]]:
        """All there are, as their callers see them."""
        found: list[dict[str, Any]] = self.request("GET", "/v1/sessions")["sessions"]
        return found

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer's JSON, None when it has none. Raises GatewayProblem."""
        try:
            answer = self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise _unreachable(error) from None
        _raise_for(answer)
        return answer.json() if answer.content else None

    def stream(self, method: str, path: str, body: dict[str, Any] | None = None) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream"}
        try:
            with self._http.stream(method, path, json=body, headers=headers) as answer:
                if answer.is_error:
                    answer.read()
                _raise_for(answer)
                yield from parse(_lines(answer.iter_bytes()))
        except httpx.TransportError as error:
            raise _unreachable(error) from None


class Session:
    """A chat's session; made on first use."""

    def __init__(self, client: Client, id_: str) -> None:
        self.id = id_
        self._client = client
        self._path = f"/v1/sessions/{quote(id_, safe='')}"

    def run(self, code: str, **options: Any) -> dict[str, Any]:
        """The execution, when it is done. Code that raises is data: look at `status` and `error`."""
        found: dict[str, Any] = self._client.request("POST", f"{self._path}/executions", {"code": code, **options})
        return found

    def stream(self, code: str, **options: Any) -> Iterator[Event]:
        """Its events as they happen, the last being `execution.completed`."""
        return self._client.stream("POST", f"{self._path}/executions", {"code": code, **options})

    def answer(self, execution_id: str, value: str) -> None:
        """Answers `input()`, after an `input.requested` event."""
        self._client.request("POST", f"{self._path}/executions/{execution_id}/input", {"value": value})

    def interrupt(self) -> None:
        self._client.request("POST", f"{self._path}/interrupt")

    def restart(self) -> None:
        self._client.request("POST", f"{self._path}/restart")

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = self._client.request("GET", self._path)
        return found

    def history(self, **query: Any) -> list[dict[str, Any]]:
        """Executions, oldest first. `limit`, `before` (an execution's id), `search` (text)."""
        found: list[dict[str, Any]] = self._client.request("GET", f"{self._path}/history?{urlencode(query)}")[
            "executions"
        ]
        return found

    def notebook(self) -> dict[str, Any]:
        """As nbformat 4.5."""
        found: dict[str, Any] = self._client.request("GET", f"{self._path}/notebook")
        return found

    def end(self) -> None:
        self._client.request("DELETE", self._path)


def parse(lines: Iterable[str]) -> Iterator[Event]:
    """Server-sent events from lines."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields:
                yield Event(int(fields.get("id", 0)), fields.get("event", ""), json.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines as server-sent events have them; httpx also splits at Unicode's separators, which are data here."""
    pieces: list[bytes] = []
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        pieces.append(first)
        for other in others:
            yield b"".join(pieces).removesuffix(b"\r").decode()
            pieces = [other]


def _raise_for(answer: httpx.Response) -> None:
    if not answer.is_error:
        return
    try:
        error = answer.json()["error"]
        problem = GatewayProblem(answer.status_code, error["code"], error["message"], error.get("hint", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        problem = GatewayProblem(answer.status_code, "http", f"HTTP {answer.status_code}")
    raise problem


def _unreachable(error: httpx.TransportError) -> GatewayProblem:
    return GatewayProblem(0, "unreachable", f"The gateway does not answer: {error}", "Is `kernelgw serve` running?")
