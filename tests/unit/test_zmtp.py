"""Our half of ZMTP, byte by byte: no libzmq here, the other side is played by the test."""

from __future__ import annotations

import asyncio
import os
import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from kernelgw.kernel import zmtp
from kernelgw.kernel.zmtp import COMMAND, GREETING, LONG, MORE, Peer, encode

READY = bytes((COMMAND, 6)) + b"\x05READY"
HELLO = GREETING + READY


class Wire(asyncio.Transport):
    """Notes what is written; an abort closes at once."""

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self.written = bytearray()
        self.aborted = False
        self._peer = peer

    def write(self, data: Any) -> None:
        assert not self.aborted
        self.written += data

    def abort(self) -> None:
        if not self.aborted:
            self.aborted = True
            self._peer.connection_lost(None)


class Side:
    """A Peer with its wire, and what it told."""

    def __init__(self, kind: str = "DEALER", identity: bytes = b"me", connected: bool = True) -> None:
        self.messages: list[list[bytes]] = []
        self.lost = 0
        self.peer = Peer(kind, self.messages.append, self._lost, identity)
        self.wire = Wire(self.peer)
        if connected:
            self.peer.connection_made(self.wire)

    def _lost(self) -> None:
        self.lost += 1

    def feed(self, data: bytes, piece: int | None = None) -> None:
        step = piece or max(1, len(data))
        for start in range(0, len(data), step):
            if not self.wire.aborted:
                self.peer.data_received(data[start : start + step])


def commands_and_messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """An independent reading of RFC 23."""
    position = 0
    while position < len(data):
        flags = data[position]
        if flags & LONG:
            (size,) = struct.unpack_from(">Q", data, position + 1)
            position += 9
        else:
            size = data[position + 1]
            position += 2
        yield flags, data[position : position + size]
        position += size


SIZES = (0, 1, 254, 255, 256, 257, 70_000)
MESSAGES = [
    *([os.urandom(size)] for size in SIZES),
    [os.urandom(size) for size in SIZES],
    [b"", b"", b""],
    [b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"],
]


@pytest.mark.parametrize("frames", MESSAGES, ids=lambda frames: "+".join(str(len(frame)) for frame in frames))
def test_a_message_is_encoded_as_the_rfc_says(frames: list[bytes]) -> None:
    read = list(commands_and_messages(encode(frames)))
    assert [body for _, body in read] == frames
    assert [bool(flags & MORE) for flags, _ in read] == [True] * (len(frames) - 1) + [False]
    # A short frame must be sent in the short form.
    assert [bool(flags & LONG) for flags, _ in read] == [len(frame) > 255 for frame in frames]


@pytest.mark.parametrize("piece", [1, 2, 63, 64, 65, 4096, None])
def test_what_was_encoded_is_read_however_it_arrives(piece: int | None) -> None:
    side = Side()
    data = HELLO + b"".join(map(encode, MESSAGES))
    if piece == 1:
        data = HELLO + b"".join(map(encode, (frames for frames in MESSAGES if sum(map(len, frames)) < 2000)))
    side.feed(data, piece)
    expected = [frames for frames in MESSAGES if piece != 1 or sum(map(len, frames)) < 2000]
    assert side.messages == expected
    assert not side.wire.aborted


@pytest.mark.parametrize("seed", range(10))
def test_any_cut_between_pieces_is_no_cut_in_messages(seed: int) -> None:
    random_ = random.Random(seed)
    messages = [
        [random_.randbytes(random_.choice((0, 3, 255, 256, 3000))) for _ in range(random_.randint(1, 5))]
        for _ in range(50)
    ]
    data, side = HELLO + b"".join(map(encode, messages)), Side()
    while data:
        size = random_.choice((1, 2, 8, 9, 10, 500, 5000))
        side.feed(data[:size])
        data = data[size:]
    assert side.messages == messages


@pytest.mark.parametrize("kind", ["DEALER", "SUB"])
def test_it_greets_and_says_what_it_is_before_it_is_asked(kind: str) -> None:
    side = Side(kind, b"me")
    written = bytes(side.wire.written)
    assert written[:11] == b"\xff" + bytes(8) + b"\x7f\x03"
    assert written[12:32] == b"NULL".ljust(20, b"\0")
    ((flags, body),) = commands_and_messages(written[64:])
    assert flags == COMMAND
    assert body.startswith(b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind.encode())
    assert (b"\x08Identity\x00\x00\x00\x02me" in body) == (kind == "DEALER")


def greeting(revision: int = 3, signature: bytes = b"\xff" + bytes(8) + b"\x7f") -> bytes:
    return signature + bytes((revision, 0)) + GREETING[12:]


@pytest.mark.parametrize(
    "data",
    [
        greeting(revision=0),
        greeting(revision=1),
        greeting(revision=2),
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"\x01\x00" * 40,
    ],
)
def test_a_greeting_of_another_protocol_ends_the_connection(data: bytes) -> None:
    side = Side()
    side.feed(data)
    assert side.wire.aborted
    assert (side.lost, side.peer.ready) == (1, False)


@pytest.mark.parametrize("revision", [3, 4])
def test_later_revisions_speak_ours_too(revision: int) -> None:
    side = Side()
    side.feed(greeting(revision) + READY + encode([b"x"]))
    assert side.peer.ready
    assert side.messages == [[b"x"]]


def test_a_frame_that_is_too_large_ends_the_connection_before_it_is_read() -> None:
    side = Side()
    side.feed(HELLO + struct.pack(">BQ", LONG, zmtp.LARGEST_MESSAGE + 1))
    assert side.wire.aborted
    assert side.lost == 1


def test_a_message_of_the_largest_size_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmtp, "LARGEST_MESSAGE", 1000)
    side = Side()
    for frames in ([b"x" * 1000], [b"x" * 400, b"y" * 600], [b"x" * 1000]):
        side.feed((HELLO if not side.messages else b"") + encode(frames))
    assert len(side.messages) == 3
    side.feed(encode([b"x" * 1001]))
    assert side.wire.aborted


@pytest.mark.parametrize("size", [0, 250])
def test_a_message_of_endlessly_many_frames_ends_the_connection(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(zmtp, "LARGEST_MESSAGE", 1000)
    side = Side()
    side.feed(HELLO)
    for _ in range(10_000):
        side.feed(bytes((MORE, size)) + b"x" * size)
    assert side.wire.aborted
    assert side.messages == []


def test_messages_of_before_the_handshake_are_sent_after_it_in_order() -> None:
    side = Side(connected=False)
    side.peer.send([b"one"])
    side.peer.connection_made(side.wire)
    side.peer.send([b"two"])
    sent = len(side.wire.written)
    side.feed(GREETING)
    assert len(side.wire.written) == sent
    side.feed(READY)
    side.peer.send([b"three"])
    assert bytes(side.wire.written[sent:]) == encode([b"one"]) + encode([b"two"]) + encode([b"three"])


def test_other_commands_are_no_messages() -> None:
    side = Side()
    side.feed(HELLO + bytes((COMMAND, 5)) + b"\x04PING" + encode([b"x"]))
    assert side.messages == [[b"x"]]


def test_a_command_between_the_frames_of_a_message_does_not_tear_it() -> None:
    side = Side()
    side.feed(HELLO + bytes((MORE, 1)) + b"a" + bytes((COMMAND, 5)) + b"\x04PING" + bytes((0, 1)) + b"b")
    assert side.messages == [[b"a", b"b"]]


def test_after_the_end_nothing_is_written_and_the_end_is_told_once() -> None:
    side = Side()
    side.feed(HELLO)
    side.peer.close()
    side.peer.close()
    side.peer.send([b"x"])
    assert side.lost == 1
    assert not side.peer.ready
