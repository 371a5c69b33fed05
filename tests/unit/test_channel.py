"""The fork server's wire: whole messages with their descriptors, or none and nothing left open."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernels import channel
from kernels.channel import Malformed, close_all, receive, send

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        yield here, there


def open_fds() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def received(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    found = receive(sock)
    assert found is not None
    return found


@pytest.fixture
def three_fds() -> Iterator[list[int]]:
    fds = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) for _ in range(3)]
    yield fds
    close_all(fds)


def test_messages_come_whole_and_one_by_one(pair: Pair) -> None:
    messages = [{"op": "hello", "n": number, "text": "ä\n\u2028"} for number in range(10)]
    for message in messages:
        send(pair[0], message)
    assert [received(pair[1]) for _ in messages] == [(message, []) for message in messages]


def test_descriptors_come_in_order_as_copies(pair: Pair, tmp_path: Path) -> None:
    files = [(tmp_path / name).open("w+") for name in "abc"]
    send(pair[0], {"op": "spawn"}, [file.fileno() for file in files])
    message, fds = received(pair[1])
    assert message == {"op": "spawn"}
    assert [Path(f"/proc/self/fd/{fd}").readlink().name for fd in fds] == ["a", "b", "c"]
    assert not set(fds) & {file.fileno() for file in files}
    close_all(fds)
    for file in files:
        file.close()


def test_a_message_close_to_the_limit_passes(pair: Pair) -> None:
    text = "x" * (channel.LARGEST_MESSAGE - 100)
    send(pair[0], {"text": text})
    assert received(pair[1]) == ({"text": text}, [])


def test_as_many_descriptors_as_are_allowed_pass(pair: Pair, three_fds: list[int]) -> None:
    send(pair[0], {}, three_fds[:1] * channel.MOST_FDS)
    fds = received(pair[1])[1]
    assert len(fds) == channel.MOST_FDS
    close_all(fds)


@pytest.mark.parametrize(
    "data",
    [
        *(b"{", b"nonsense", b"\xff\xfe\x00", b"[1]", b"null", b'"text"', b"1", b"\0"),
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b'{"text": "' + b"x" * channel.LARGEST_MESSAGE + b'"}',
    ],
    ids=range(11),
)
def test_what_is_no_message_is_refused_and_its_descriptors_are_closed(
    pair: Pair, three_fds: list[int], data: bytes
) -> None:
    before = open_fds()
    socket.send_fds(pair[0], [data], three_fds)
    with pytest.raises(Malformed):
        receive(pair[1])
    assert open_fds() == before


def test_too_many_descriptors_are_refused_and_closed(pair: Pair, three_fds: list[int]) -> None:
    before = open_fds()
    send(pair[0], {}, three_fds * (channel.MOST_FDS // 3 + 1))
    with pytest.raises(Malformed):
        receive(pair[1])
    assert open_fds() == before


def test_after_a_refusal_the_next_message_is_read(pair: Pair) -> None:
    pair[0].send(b"nonsense")
    send(pair[0], {"op": "hello"})
    with pytest.raises(Malformed):
        receive(pair[1])
    assert received(pair[1]) == ({"op": "hello"}, [])


def test_the_end_is_none(pair: Pair) -> None:
    send(pair[0], {"op": "last"})
    pair[0].close()
    assert received(pair[1]) == ({"op": "last"}, [])
    assert receive(pair[1]) is None


def test_nothing_there_is_no_end(pair: Pair) -> None:
    pair[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        receive(pair[1])


def test_a_message_is_one_json_object(pair: Pair) -> None:
    send(pair[0], {"a": [1, None, "x"]})
    assert json.loads(pair[1].recv(1000)) == {"a": [1, None, "x"]}
