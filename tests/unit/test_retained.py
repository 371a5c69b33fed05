"""What a kernel has said and nobody confirmed is kept, and comes again once and in order to whoever asks."""

from __future__ import annotations

import pytest

from kernels import retained as module
from kernels.retained import Retained

from .test_kernel_output import Socket


class Silent(Socket):
    """Nobody has subscribed yet."""

    def __init__(self) -> None:
        super().__init__()
        self.upstream.clear()
        self.numbers: list[int] = []

    def send_multipart(self, parts: list[bytes]) -> None:
        self.numbers.append(int(parts[0][1:]))
        self.sent.append(parts[1:])


@pytest.fixture
def socket() -> Silent:
    return Silent()


@pytest.fixture
def said(socket: Silent) -> Retained:
    return Retained(socket)


def hear(said: Retained, socket: Silent, *messages: bytes) -> bool:
    for message in messages:
        socket.say(message)
    return said.hear()


def test_nothing_is_sent_before_somebody_asks(said: Retained, socket: Silent) -> None:
    said.send([b"a"])
    hear(said, socket, b"\x01")
    said.send([b"b"])
    assert socket.sent == []
    hear(said, socket, b"\x030")
    said.send([b"c"])
    assert (socket.sent, socket.numbers) == ([[b"a"], [b"b"], [b"c"]], [1, 2, 3])


def test_what_is_confirmed_does_not_come_again(said: Retained, socket: Silent) -> None:
    hear(said, socket, b"\x01", b"\x030")
    for text in (b"a", b"b", b"c", b"d"):
        said.send([text])
    hear(said, socket, b"\x022")
    assert not said.confirmed
    # The gateway is gone, and another comes that has the third as well.
    hear(said, socket, b"\x00")
    said.send([b"e"])
    assert socket.numbers == [1, 2, 3, 4]
    hear(said, socket, b"\x01", b"\x033")
    assert socket.numbers[4:] == [4, 5]
    assert socket.sent[4:] == [[b"d"], [b"e"]]
    hear(said, socket, b"\x025")
    assert said.confirmed


def test_two_gateways_one_after_the_other_without_a_goodbye(said: Retained, socket: Silent) -> None:
    hear(said, socket, b"\x01", b"\x030")
    said.send([b"a"])
    hear(said, socket, b"\x01")
    said.send([b"b"])
    assert socket.numbers == [1]
    hear(said, socket, b"\x030")
    assert socket.numbers == [1, 1, 2]


@pytest.mark.parametrize("message", [b"", b"\x02", b"\x02x", b"\x03-1", b"\x04", b"\xff" * 100])
def test_what_makes_no_sense_changes_nothing(said: Retained, socket: Silent, message: bytes) -> None:
    hear(said, socket, b"\x01", b"\x030")
    said.send([b"a"])
    hear(said, socket, message)
    said.send([b"b"])
    assert socket.numbers == [1, 2]
    assert not said.confirmed


def test_it_is_full_until_it_is_heard(said: Retained, socket: Silent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ON_THEIR_WAY", 100)
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    said.send([bytes(60)])
    said.send([bytes(60)])
    assert not said.full
    hear(said, socket, b"\x01", b"\x030")
    assert bool(said.full)
    assert not hear(said, socket, b"\x020")
    assert hear(said, socket, b"\x021")
    assert not bool(said.full)


def test_what_can_change_is_kept_as_it_was(said: Retained, socket: Silent) -> None:
    data = bytearray(b"before")
    said.send([memoryview(data)])
    data[:] = b"after!"
    hear(said, socket, b"\x01", b"\x030")
    assert socket.sent == [[b"before"]]
