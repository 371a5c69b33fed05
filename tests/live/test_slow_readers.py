"""Readers that stop reading, and output without end: bounded, marked, and nobody else waits."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from . import proc
from .client import Event, House, Session, text, types
from .gateway import TOKEN

pytestmark = pytest.mark.live

MIB = 1 << 20
FLOOD = "n = 0\nwhile True:\n    print('x' * 200, n); n += 1"


def stalled_reader(house: House, session: Session, code: str, **body: object) -> socket.socket:
    """Sends a request for a stream and never reads the answer."""
    parts = urlsplit(house.gateway.url)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((parts.hostname, parts.port))
    content = json.dumps({"code": code, **body}).encode()
    head = (
        f"POST {session.path}/executions HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Accept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    sock.sendall(head.encode() + content)
    return sock


@pytest.fixture
def small_house(make_house: Callable[..., House]) -> House:
    """Keeps little, so that floods meet its limits soon."""
    return make_house(log_bytes=4 * MIB, output_bytes=2 * MIB, grace_s=2)


@pytest.mark.prop("OU04")
def test_a_stalled_reader_slows_nobody(small_house: House) -> None:
    flooded, other = small_house.session(), small_house.session()
    flooded.create()
    other.value("1")
    before = proc.resident_bytes(small_house.gateway.pid)
    with flooded.follow() as events, stalled_reader(small_house, flooded, FLOOD, timeout_s=6):
        started = events.until("execution.started")
        id_ = started.data["execution_id"]
        began = time.monotonic()
        for n in range(50):
            assert other.value(f"print({n})") == f"{n}\n"
        assert time.monotonic() - began < 5
        assert flooded.execution(id_)["status"] == "running"

        def left_behind() -> bool:
            with flooded.follow(id_, started.id) as again:
                return next(iter(again)).type == "stream.gap"

        proc.wait_until(left_behind, 5, "the log to forget its oldest events")
        with flooded.follow(id_, started.id) as again:
            seen: list[Event] = list(again)
    grown = proc.resident_bytes(small_house.gateway.pid) - before
    assert grown < 120 * MIB, f"{grown / MIB:.0f} MiB"
    assert seen[0].type == "stream.gap"
    assert seen[0].data["from"] == started.id + 1
    assert seen[0].data["to"] > started.id
    assert seen[1].id > seen[0].data["to"] or seen[1].type == "stream.gap"
    assert seen[-1].type == "execution.completed"
    assert seen[-1].data["status"] == "timed_out"
    assert types(seen).count("execution.completed") == 1
    # The newest are there, and the next cell runs.
    assert flooded.value("print(n > 10000)", timeout_s=20) == "True\n"


@pytest.mark.prop("OU03")
def test_what_is_left_out_is_marked(small_house: House) -> None:
    session = small_house.session()
    execution = session.run("for n in range(100_000): print(f'{n:06}', 'x' * 93)", timeout_s=40)
    assert execution["status"] == "completed"
    whole = "".join(output["text"] for output in execution["outputs"])
    assert len(whole) < 3 * MIB
    assert whole.startswith("000000 ")
    assert whole.endswith("099999 " + "x" * 93 + "\n")
    assert whole.count("left out here") == 1
    with session.follow(execution["id"], 0) as stream:
        events = list(stream)
    assert events[0].type == "stream.gap"
    assert events[-1].type == "execution.completed"


@pytest.mark.prop("OU03")
def test_one_huge_print_is_bounded_too(small_house: House) -> None:
    session = small_house.session()
    execution = session.run(f"print('a' + 'x' * {20 * MIB} + 'z')", timeout_s=40)
    whole = "".join(output["text"] for output in execution["outputs"])
    assert whole.startswith("ax")
    assert whole.endswith("z\n")
    assert "left out" in whole
    assert len(whole) < 4 * MIB


@pytest.mark.prop("OU03")
def test_flood_of_displays_is_bounded(small_house: House) -> None:
    session = small_house.session()
    execution = session.run(
        "for n in range(300): display({'text/plain': str(n), 'text/html': 'x' * 100_000}, raw=True)"
    )
    shown = [output for output in execution["outputs"] if output["output_type"] == "display_data"]
    assert 5 < len(shown) < 40
    assert shown[0]["data"]["text/plain"] == "0"
    assert shown[-1]["data"]["text/plain"] == "299"
    assert "left out" in text(execution, "stderr")


@pytest.mark.prop("OU03")
def test_flood_of_display_updates_is_bounded(small_house: House) -> None:
    session = small_house.session()
    before = proc.resident_bytes(small_house.gateway.pid)
    code = """
handle = display('0', display_id=True)
for n in range(1, 301): handle.update({'text/plain': str(n), 'text/html': 'x' * 200_000}, raw=True)
"""
    execution = session.run(code, timeout_s=40)
    assert execution["status"] == "completed"
    (output,) = (output for output in execution["outputs"] if output["output_type"] == "display_data")
    assert output["data"]["text/plain"] == "300"
    assert proc.resident_bytes(small_house.gateway.pid) - before < 120 * MIB


@pytest.mark.prop("OU04")
def test_a_stalled_reader_gets_the_rest_when_it_reads_on(small_house: House) -> None:
    session = small_house.session()
    session.create()
    with (
        session.follow() as events,
        stalled_reader(small_house, session, "for n in range(3000): print('y' * 100, n)") as sock,
    ):
        assert events.until("execution.completed").data["status"] == "completed"
        sock.settimeout(20)
        received = b""
        while b"event: execution.completed" not in received:
            piece = sock.recv(65536)
            assert piece, "the gateway hung up"
            received += piece
    assert b"y 2999\\n" in received
    assert b"y 0\\n" in received
