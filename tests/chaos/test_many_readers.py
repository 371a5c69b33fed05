"""One session with readers of all kinds: very slow ones, and a thousand who only wait."""

from __future__ import annotations

import resource
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.live import proc
from tests.live.client import House, Session, events_in, text
from tests.live.gateway import TOKEN, Gateway

from .readers import Reader

pytestmark = [pytest.mark.live, pytest.mark.timeout(200)]

IDLE = 1000
LINES = 20_000
SLOW_S, SLOW_BYTES = 3.0, 1000
MIB = 1 << 20
# What a reader that waits may cost the gateway: two tasks, a connection, buffers.
MOST_EACH = 64 << 10


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with Gateway(tmp_path / "data", pool_size=1, max_connections=IDLE + 50, log_bytes=32 * MIB) as gateway:
        house = House(gateway, "readers")
        yield house
        house.close()


@contextmanager
def follower(gateway: Gateway, session: Session) -> Iterator[socket.socket]:
    """A stream of the session's events from its beginning, of which nothing is read yet."""
    parts = urlsplit(gateway.url)
    with socket.socket() as sock:
        # So that what is not read stays with the gateway, and not in buffers on the way.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((parts.hostname, parts.port))
        sock.sendall(
            f"GET {session.path}/events?after=0 HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
        yield sock


def unchunked(received: bytes) -> bytes:
    """The body of an answer that is sent in chunks, as far as it is there."""
    _, _, rest = received.partition(b"\r\n\r\n")
    body = b""
    while (line := rest.partition(b"\r\n"))[1]:
        size = int(line[0], 16)
        body, rest = body + line[2][:size], line[2][size + 2 :]
    return body


def test_a_reader_at_one_kilobyte_a_second_beside_fast_ones(house: House) -> None:
    session = house.session()
    session.create()
    before = proc.resident_bytes(house.gateway.pid)
    readers = [Reader(house.gateway, session.id) for _ in range(3)]
    for reader in readers:
        reader.start()
    with follower(house.gateway, session) as slow:
        received = b""
        id_ = ""
        with session.stream(f"for n in range({LINES}): print(f'{{n:06}}', 'x' * 93)") as stream:
            id_ = stream.until("execution.started").data["execution_id"]
            began = time.monotonic()
            while time.monotonic() - began < SLOW_S:
                received += slow.recv(SLOW_BYTES)
                time.sleep(1.0)  # its pace is what is tried
            stream.until("execution.completed", status="completed")
        for reader in readers:
            reader.wait(lambda events: any(event.type == "execution.completed" for event in events), "end")
            reader.leave()
        assert len(received) <= SLOW_BYTES * (SLOW_S + 1)
        assert proc.resident_bytes(house.gateway.pid) - before < 100 * MIB
        # It missed nothing, and has it all as soon as it can.
        slow.settimeout(30)
        while b"event: execution.completed" not in received[-20_000:]:
            piece = slow.recv(1 << 20)
            assert piece, "the gateway hung up"
            received += piece
    everything = events_in(unchunked(received))
    assert everything == readers[0].events[: len(everything)]
    printed = "".join(event.data["text"] for event in everything if event.type == "output.stream")
    assert printed.splitlines() == [f"{number:06} {'x' * 93}" for number in range(LINES)]
    assert text(session.execution(id_)) == printed


def test_a_thousand_readers_who_wait(house: House) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    watched, other = house.session(), house.session()
    watched.value("x = 1")
    other.value("y = 2")
    before = proc.resident_bytes(house.gateway.pid)
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        received: dict[socket.socket, bytes] = {}
        for _ in range(IDLE):
            sock = stack.enter_context(follower(house.gateway, watched))
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ)
            received[sock] = b""

        def hear(until: bytes) -> None:
            deadline = time.monotonic() + 60
            waiting = {sock for sock, data in received.items() if until not in data}
            while waiting:
                assert time.monotonic() < deadline, f"{len(waiting)} readers have not heard {until!r}"
                for key, _ in selector.select(1):
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    piece = sock.recv(1 << 16)
                    assert piece, "the gateway hung up"
                    received[sock] += piece
                    if until in received[sock]:
                        waiting.discard(sock)

        hear(b"event: execution.completed")
        assert (proc.resident_bytes(house.gateway.pid) - before) / IDLE < MOST_EACH
        # They cost the others nothing, and hear what happens.
        assert other.value("print(y)") == "2\n"
        assert watched.value("print('heard by all')") == "heard by all\n"
        hear(b"heard by all")
        bodies = {unchunked(data).partition(b"heard by all")[0] for data in received.values()}
        assert len(bodies) == 1
    held = house.gateway.pid
    proc.wait_until(lambda: len(proc.open_fds(held)) < IDLE, 20, "the connections to be given back")
    assert other.value("print(y)") == "2\n"
