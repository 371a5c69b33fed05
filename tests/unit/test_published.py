"""What a kernel says in plain Jupyter, over the real libzmq."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client.session import Session

from kernels.packing import pack
from kernels.published import Published

WAIT_MS = 5_000


class Bench:
    """A publisher, and subscribers by name."""

    def __init__(self, folder: Path) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.socket = self.context.socket(zmq.XPUB)
        self.socket.setsockopt(zmq.XPUB_NODROP, 1)
        self.socket.sndhwm = 10
        self.address = f"ipc://{folder}/iopub"
        self.socket.bind(self.address)
        self.session = Session(key=b"the key", pack=pack)
        self.said = Published(self.socket, self.session)
        self.readers: list[zmq.Socket[Any]] = []

    def subscriber(self, topic: bytes = b"") -> zmq.Socket[Any]:
        socket: zmq.Socket[Any] = self.context.socket(zmq.SUB)
        self.readers.append(socket)
        socket.rcvhwm = 10
        socket.linger = 0
        socket.connect(self.address)
        socket.subscribe(topic)
        assert self.socket.poll(WAIT_MS)
        assert self.said.hear() is False
        return socket

    def close(self) -> None:
        self.said.close()
        self.context.destroy(linger=0)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def received(socket: zmq.Socket[Any]) -> list[bytes]:
    assert socket.poll(WAIT_MS)
    return list(socket.recv_multipart())


def numbered(number: int) -> bytes:
    """Large, so that no buffer of Linux holds many."""
    return b"%d " % number + bytes(20_000)


@pytest.mark.parametrize("topic", [b"", b"stream", b"\xff"])
def test_each_who_subscribes_is_welcomed(bench: Bench, topic: bytes) -> None:
    for _ in range(2):
        _, delimiter, *rest = received(bench.subscriber(topic))
        assert delimiter == b"<IDS|MSG>"
        message = Session(key=b"the key").deserialize(rest)
        assert message["msg_type"] == "iopub_welcome"
        assert message["parent_header"] == {}
        assert message["content"] == {"subscription": topic.decode(errors="replace")}


def test_what_is_said_comes_to_all(bench: Bench) -> None:
    first, second = bench.subscriber(), bench.subscriber()
    received(first)
    bench.said.send([b"stream", b"text"])
    # The first was there when the second was welcomed.
    received(first)
    received(second)
    assert received(first) == received(second) == [b"stream", b"text"]


def test_nobody_there_is_no_matter(bench: Bench) -> None:
    for _ in range(100):
        bench.said.send([b"x"])
    assert (bench.said.full, bench.said.confirmed, bench.said.listening) == (False, True, True)


def test_who_is_behind_holds_up_and_misses_nothing(bench: Bench) -> None:
    reader = bench.subscriber()
    received(reader)
    got: list[bytes] = []

    def read_later() -> None:
        while len(got) < 200:
            got.extend(received(reader))

    # There is room for some twenty.
    thread = threading.Timer(0.3, read_later)
    thread.start()
    for number in range(200):
        bench.said.send([numbered(number)])
    thread.join(10)
    assert got == [numbered(number) for number in range(200)]


def test_who_does_not_read_misses_something_and_others_nothing(bench: Bench) -> None:
    bench.socket.setsockopt(zmq.SNDTIMEO, 100)
    idle, reader = bench.subscriber(), bench.subscriber()
    received(reader)
    for number in range(200):
        bench.said.send([numbered(number)])
        assert received(reader) == [numbered(number)]
    received(idle)
    received(idle)
    kept = []
    while idle.poll(100):
        kept.append(idle.recv())
    assert kept == [numbered(number) for number in range(len(kept))]
    assert len(kept) < 200
    # Once it reads again it is told all again.
    bench.said.send([b"after"])
    assert received(idle) == received(reader) == [b"after"]
