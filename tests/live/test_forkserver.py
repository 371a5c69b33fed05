"""The fork server's socket: whatever comes in, it answers and goes on forking."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernelgw.kernel.forkserver import VERSION

from . import proc
from .client import House

pytestmark = pytest.mark.live

LARGEST = 128 * 1024


class Wire:
    """A second gateway, as far as the fork server can tell."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * LARGEST)
        self.sock.settimeout(10)
        self.sock.connect(str(path))

    def ask(self, data: bytes, fds: list[int] | None = None) -> dict[str, Any]:
        """Its answer; what it tells of kernels meanwhile is passed over."""
        socket.send_fds(self.sock, [data], fds or [])
        while True:
            received = self.sock.recv(LARGEST)
            assert received, "the fork server hung up"
            answer: dict[str, Any] = json.loads(received)
            if "event" not in answer:
                return answer

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        return self.ask(json.dumps({"op": op, "seq": 77, **fields}).encode())


@pytest.fixture
def wire(house: House) -> Iterator[Wire]:
    """Afterwards the gateway must have noticed nothing."""
    forkserver = house.gateway.forkserver
    wire = Wire(house.gateway.data_dir / "run" / "default.sock")
    try:
        # Answered, so it is accepted and counts.
        wire.request("none")
        before = len(proc.open_fds(forkserver))
        yield wire
        assert wire.request("hello", version=VERSION)["ok"] is True
        proc.wait_until(lambda: len(proc.open_fds(forkserver)) <= before, 5, lambda: proc.open_fds(forkserver))
    finally:
        wire.sock.close()
    assert house.gateway.forkserver == forkserver
    assert house.session().value("print('on')") == "on\n"


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"nonsense",
        b"[]",
        b'"text"',
        b"5",
        b"null",
        b"\xff\xfe\x00",
        b"\0" * 100,
        b"[" * 100_000,
        b'{"op": "hello"' + b" " * (LARGEST - 20),
        b'{"op": "hello", "x": "' + b"y" * (LARGEST + 100) + b'"}',
        b'{"op": 1e999}',
        b'{"a":' * 20_000,
        b" ",
    ],
    ids=lambda data: ascii(data[:24]),
)
def test_malformed(wire: Wire, data: bytes) -> None:
    answer = wire.ask(data)
    assert answer["ok"] is False
    assert answer["error"] in ("malformed", "unknown_op")
    assert answer["message"]


@pytest.mark.parametrize("op", ["", "none", None, 5, [], {}, "HELLO", "__init__", "kill_all", "x" * 50_000])
def test_unknown_op(wire: Wire, op: Any) -> None:
    answer = wire.ask(json.dumps({"op": op, "seq": 9}).encode())
    assert answer["ok"] is False
    assert answer["error"] == "unknown_op"
    assert answer["seq"] == 9


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"seq": 1},
        {"op": "hello"},
        {"op": "hello", "version": 99},
        {"op": "hello", "version": "1"},
        {"op": "sandbox"},
        {"op": "sandbox", "id": "x"},
        {"op": "sandbox", "id": "x", "args": 5, "binds": [], "finish": [], "bwrap": "/usr/bin/bwrap"},
        {"op": "sandbox", "id": "x", "args": [], "binds": [["rw"]], "finish": [], "bwrap": "/usr/bin/bwrap"},
        {"op": "sandbox", "id": "x", "args": [], "binds": [], "finish": [], "bwrap": "/does/not/exist"},
        {"op": "sandbox", "id": "x", "args": [], "binds": [], "finish": [], "bwrap": 5},
        {"op": "spawn"},
        {"op": "spawn", "id": "x", "sandbox": "none"},
        {"op": "spawn", "id": "x", "sandbox": []},
        {"op": "spawn", "id": "x", "sandbox": None},
        {"op": "spawn", "id": "x", "sandbox": None, "seal": 5, "boot": {}},
        {"op": "spawn", "id": "x", "sandbox": None, "seal": {"limits": {"nothing": 1}}},
        {"op": "signal"},
        {"op": "signal", "id": "x"},
        {"op": "signal", "id": [], "signal": 9, "group": False},
        {"op": "signal", "id": "x", "signal": "nine", "group": False},
        {"op": "end"},
        {"op": "end", "id": {}},
    ],
    ids=lambda request_: json.dumps(request_)[:70],
)
def test_wrong_fields(wire: Wire, request_: dict[str, Any]) -> None:
    answer = wire.ask(json.dumps({"seq": 5, **request_}).encode())
    assert answer["ok"] is False, answer
    assert answer["seq"] == request_.get("seq", 5)
    assert answer["message"]


def test_a_sandbox_that_cannot_be_built(wire: Wire) -> None:
    """Taken on, since that takes a while to find out; then told as an event, and forgotten."""
    odd = {"args": [1, None], "binds": [], "finish": ["--none-such"], "bwrap": "/usr/bin/bwrap"}
    wire.sock.send(json.dumps({"op": "sandbox", "seq": 5, "id": "odd", **odd}).encode())
    while (message := json.loads(wire.sock.recv(LARGEST))).get("event") != "sandbox_exit":
        assert message.get("ok", True) is True
    assert message["id"] == "odd"
    assert message["reason"]
    assert "odd" not in wire.request("hello", version=VERSION)["sandboxes"]


def test_a_failed_spawn_frees_its_id(wire: Wire) -> None:
    """What was refused must not stay in the books."""
    request = {"op": "spawn", "seq": 1, "id": "again", "sandbox": None, "seal": 5, "boot": {}}
    first = wire.ask(json.dumps(request).encode())
    second = wire.ask(json.dumps(request).encode())
    assert first == second
    assert "again" not in wire.request("hello", version=VERSION)["kernels"]


def test_unknown_ids(wire: Wire) -> None:
    assert wire.request("signal", id="none", signal=9, group=True) == {"seq": 77, "ok": True, "gone": True}
    assert wire.request("end", id="none") == {"seq": 77, "ok": True, "gone": True}


def test_spare_descriptors(wire: Wire) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        for count in (1, 5, 16, 17, 100):
            answer = wire.ask(b'{"op": "none"}', [null] * count)
            assert answer["ok"] is False
        assert wire.ask(b"{", [null] * 4)["error"] == "malformed"
        for _ in range(20):
            wire.ask(b'{"op": "spawn", "id": "x", "sandbox": "none"}', [null] * 5)
    finally:
        os.close(null)


def test_a_thousand_requests(wire: Wire) -> None:
    for _ in range(1000):
        assert wire.ask(b'{"op": "none"}')["error"] == "unknown_op"


def test_answers_wait_for_a_gateway_that_is_late(wire: Wire) -> None:
    """Asked until there is no room for more in either direction: all is answered once the answers are read."""
    asked = 0
    while select.select([], [wire.sock], [], 1)[1]:
        wire.sock.send(json.dumps({"op": "none", "seq": asked}).encode())
        asked += 1
    answered: list[int] = []
    while len(answered) < asked:
        answer = json.loads(wire.sock.recv(LARGEST))
        answered += [answer["seq"]] if "seq" in answer else []
    assert answered == list(range(asked))


def test_an_empty_datagram(house: House) -> None:
    """Looks like the end of the stream; closing this one connection is fine, more is not."""
    path = house.gateway.data_dir / "run" / "default.sock"
    wire = Wire(path)
    wire.sock.send(b"")
    wire.sock.close()
    assert house.session().value("print('on')") == "on\n"


def test_a_client_that_never_reads(house: House) -> None:
    wire = Wire(house.gateway.data_dir / "run" / "default.sock")
    wire.sock.settimeout(1)
    with contextlib.suppress(TimeoutError, ConnectionError):
        for _ in range(20_000):
            wire.sock.send(b'{"op": "none"}')
    assert house.session().value("print('on')") == "on\n"
    wire.sock.close()


def test_many_connections(house: House) -> None:
    path = house.gateway.data_dir / "run" / "default.sock"
    for _ in range(5):
        wires = [Wire(path) for _ in range(15)]
        assert house.session().value("print('on')") == "on\n"
        for wire in wires:
            wire.sock.close()
    assert house.session().value("print('on')") == "on\n"


def test_the_socket_is_private(house: House) -> None:
    run = house.gateway.data_dir / "run"
    assert run.stat().st_mode & 0o077 == 0
