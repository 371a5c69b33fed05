"""Our half of ZMTP against the real libzmq, over ipc as with kernels."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import zmq
import zmq.asyncio

from kernelgw.kernel.zmtp import Peer

LIMIT_S = 10


class Connection:
    """A Peer that is connected for real, and the messages that it got."""

    def __init__(self, kind: str, identity: bytes = b"") -> None:
        self.messages: asyncio.Queue[list[bytes]] = asyncio.Queue()
        self.lost = asyncio.Event()
        self.peer = Peer(kind, self.messages.put_nowait, self.lost.set, identity)

    async def open(self, path: Path) -> None:
        await asyncio.get_running_loop().create_unix_connection(lambda: self.peer, str(path))

    async def get(self) -> list[bytes]:
        return await asyncio.wait_for(self.messages.get(), LIMIT_S)


Pair = tuple["zmq.asyncio.Socket", Connection]


@pytest.fixture
def context() -> Iterator[zmq.asyncio.Context]:
    found = zmq.asyncio.Context()
    yield found
    found.destroy(linger=0)


@pytest.fixture
async def router(context: zmq.asyncio.Context, tmp_path: Path) -> AsyncIterator[Pair]:
    socket = context.socket(zmq.ROUTER)
    socket.set_hwm(0)
    socket.bind(f"ipc://{tmp_path}/shell")
    connection = Connection("DEALER", b"gateway-1")
    await connection.open(tmp_path / "shell")
    yield socket, connection
    connection.peer.close()
    socket.close(linger=0)


@pytest.fixture
async def xpub(context: zmq.asyncio.Context, tmp_path: Path) -> AsyncIterator[Pair]:
    socket = context.socket(zmq.XPUB)
    socket.set_hwm(0)
    socket.setsockopt(zmq.XPUB_WELCOME_MSG, b"welcome")
    socket.bind(f"ipc://{tmp_path}/iopub")
    connection = Connection("SUB")
    connection.peer.send([b"\x01"])
    await connection.open(tmp_path / "iopub")
    yield socket, connection
    connection.peer.close()
    socket.close(linger=0)


async def received(socket: zmq.asyncio.Socket) -> list[bytes]:
    found: list[bytes] = await asyncio.wait_for(socket.recv_multipart(), LIMIT_S)
    return found


async def test_a_router_hears_us_under_our_identity(router: Pair) -> None:
    socket, connection = router
    connection.peer.send([b"<IDS|MSG>", b"", b"{}"])
    assert await received(socket) == [b"gateway-1", b"<IDS|MSG>", b"", b"{}"]


async def test_a_router_reaches_us_by_our_identity(router: Pair) -> None:
    socket, connection = router
    connection.peer.send([b"hello"])
    await received(socket)
    await socket.send_multipart([b"gateway-1", b"one", b"", b"three"])
    assert await connection.get() == [b"one", b"", b"three"]


async def test_two_of_us_are_told_apart(router: Pair, tmp_path: Path) -> None:
    socket, first = router
    second = Connection("DEALER", b"gateway-2")
    await second.open(tmp_path / "shell")
    first.peer.send([b"a"])
    second.peer.send([b"b"])
    assert sorted([await received(socket), await received(socket)]) == [[b"gateway-1", b"a"], [b"gateway-2", b"b"]]
    await socket.send_multipart([b"gateway-2", b"for b"])
    await socket.send_multipart([b"gateway-1", b"for a"])
    assert await first.get() == [b"for a"]
    assert await second.get() == [b"for b"]
    second.peer.close()


@pytest.mark.parametrize("size", [0, 255, 256, 70_000])
async def test_frames_of_every_form_go_both_ways(router: Pair, size: int) -> None:
    socket, connection = router
    frames = [os.urandom(size), b"", os.urandom(size)]
    connection.peer.send(frames)
    assert await received(socket) == [b"gateway-1", *frames]
    await socket.send_multipart([b"gateway-1", *frames])
    assert await connection.get() == frames


async def test_ten_megabytes_go_both_ways(router: Pair) -> None:
    socket, connection = router
    large = os.urandom(10 << 20)
    connection.peer.send([large])
    assert await received(socket) == [b"gateway-1", large]
    await socket.send_multipart([b"gateway-1", large])
    assert await connection.get() == [large]


async def test_ten_thousand_messages_come_in_order_both_ways(router: Pair) -> None:
    socket, connection = router
    expected = [b"%d" % number for number in range(10_000)]
    for item in expected:
        connection.peer.send([item, b"{}"])
    assert [(await received(socket))[1] for _ in expected] == expected
    for item in expected:
        socket.send_multipart([b"gateway-1", item], zmq.NOBLOCK)
    assert [(await connection.get())[0] for _ in expected] == expected


async def test_a_subscription_of_before_the_connection_stands_and_is_welcomed(xpub: Pair) -> None:
    socket, connection = xpub
    assert await received(socket) == [b"\x01"]
    assert await connection.get() == [b"welcome"]
    await socket.send_multipart([b"topic", b"<IDS|MSG>", b"x" * 300])
    assert await connection.get() == [b"topic", b"<IDS|MSG>", b"x" * 300]


async def test_ten_thousand_published_messages_come_in_order(xpub: Pair) -> None:
    socket, connection = xpub
    await received(socket)
    await connection.get()
    expected = [[b"stream", b"%d" % number] for number in range(10_000)]
    for frames in expected:
        socket.send_multipart(frames, zmq.NOBLOCK)
    assert [await connection.get() for _ in expected] == expected


@pytest.mark.parametrize("pair", ["router", "xpub"])
async def test_the_end_of_the_other_side_is_told(pair: str, router: Pair, xpub: Pair) -> None:
    socket, connection = {"router": router, "xpub": xpub}[pair]
    socket.close(linger=0)
    await asyncio.wait_for(connection.lost.wait(), LIMIT_S)
    assert not connection.peer.ready
