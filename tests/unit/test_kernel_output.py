"""A kernel's output: text, messages and C code in one order, merged, bounded, and nothing lost."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from jupyter_client.session import Session

from kernels import output as module
from kernels import retained
from kernels.output import Output
from kernels.packing import pack
from kernels.retained import Retained
from kernels.stream import Stream

SOON_S = 3.0
CLOSE: Any = object()


class Socket:
    """Notes what is sent, and can be held: a gateway that does not read. Its subscriber listens from the first."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.upstream: deque[bytes] = deque()
        self.say(b"\x01")
        self.say(b"\x030")
        self.sent: list[list[bytes]] = []
        self.free = threading.Event()
        self.free.set()
        self.arrived = threading.Condition()
        self.closed = False
        self.senders: set[str] = set()

    def send_multipart(self, parts: list[bytes]) -> None:
        assert not self.closed
        self.free.wait(SOON_S)
        self.senders.add(threading.current_thread().name)
        with self.arrived:
            number, *said = parts
            assert number == b"#%d" % (len(self.sent) + 1)
            self.sent.append(said)
            self.arrived.notify_all()

    def say(self, message: bytes) -> None:
        """As the gateway."""
        self.upstream.append(message)
        os.eventfd_write(self.fd, 1)

    def get(self, option: int) -> int:
        return self.fd if option == zmq.FD else zmq.POLLIN if self.upstream else 0

    def recv(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)
        return self.upstream.popleft()

    def close(self, linger: int) -> None:
        self.closed = True

    def until(self, condition: Callable[[], bool]) -> None:
        with self.arrived:
            assert self.arrived.wait_for(condition, SOON_S)


class House:
    """An Output on such a socket, with both of its streams."""

    def __init__(self) -> None:
        self.socket = Socket()
        self.session = Session(key=b"", pack=pack)
        self.output = Output(Retained(self.socket), self.session)
        self.stdout, self.stderr = Stream(self.output, "stdout", 1), Stream(self.output, "stderr", 2)
        self.parent = self.session.msg("execute_request", {})
        self.stdout.set_parent(self.parent)
        self.stderr.set_parent(self.parent)
        self.pipes: list[int] = []

    def take_over(self) -> None:
        """Descriptors 1 and 2 of this process become the kernel's, until pytest takes them back."""
        _put(self.pipes)

    def messages(self) -> list[tuple[str, str]]:
        """(stream's name, text) of text, ("", first frame) of others."""
        found = []
        for parts in list(self.socket.sent):
            if parts[0].startswith(b"stream."):
                content = self.read(parts)["content"]
                assert parts[0] == b"stream." + content["name"].encode()
                found.append((content["name"], content["text"]))
            else:
                found.append(("", parts[0].decode()))
        return found

    def read(self, parts: list[bytes]) -> dict[str, Any]:
        found: dict[str, Any] = self.session.deserialize(self.session.feed_identities(parts)[1])
        return found

    def text(self, name: str = "stdout") -> str:
        return "".join(text for of, text in self.messages() if of == name)

    def finish(self) -> list[tuple[str, str]]:
        self.output.finish(CLOSE)
        assert not self.output.thread.is_alive()
        assert self.socket.closed
        return self.messages()


@pytest.fixture
def house() -> Iterator[House]:
    saved = [os.dup(fd) for fd in (1, 2)]
    found = House()
    found.pipes = [os.dup(fd) for fd in (1, 2)]
    _put(saved)
    try:
        yield found
    finally:
        found.socket.free.set()
        if found.output.thread.is_alive():
            found.output.finish(CLOSE)
        _put(saved)
        for fd in (*saved, *found.pipes, *found.output._pipes, found.output._wake):
            os.close(fd)


def _put(fds: list[int]) -> None:
    for target, fd in enumerate(fds, 1):
        os.dup2(fd, target)


def test_text_and_messages_keep_their_order(house: House) -> None:
    house.output.start()
    house.stdout.write("a")
    house.stderr.write("b")
    house.output.send_multipart([b"display"])
    house.stdout.write("c")
    house.output.send(b"result")
    house.stdout.write("d")
    assert house.finish() == [
        *(("stdout", "a"), ("stderr", "b"), ("", "display"), ("stdout", "c"), ("", "result"), ("stdout", "d"))
    ]


def test_what_was_written_before_the_thread_started_is_sent(house: House) -> None:
    house.stdout.write("early")
    house.output.start()
    house.socket.until(lambda: house.text() == "early")


def test_pieces_of_one_stream_are_merged_and_never_those_of_two(house: House) -> None:
    for text in "abc":
        house.stdout.write(text)
    house.stderr.write("x")
    house.stdout.write("d")
    house.output.start()
    assert house.finish() == [("stdout", "abc"), ("stderr", "x"), ("stdout", "d")]


def test_text_of_two_cells_is_not_merged_and_each_says_whose_it_is(house: House) -> None:
    second = house.session.msg("execute_request", {})
    house.stdout.write("one")
    house.stdout.set_parent(second)
    house.stdout.write("two")
    house.output.start()
    assert house.finish() == [("stdout", "one"), ("stdout", "two")]
    parents = [house.read(parts)["parent_header"]["msg_id"] for parts in house.socket.sent]
    assert parents == [house.parent["header"]["msg_id"], second["header"]["msg_id"]]


def test_much_text_is_sent_in_bounded_messages(house: House) -> None:
    for number in range(1000):
        house.stdout.write(f"{number:0999}\n")
    house.output.start()
    messages = house.finish()
    assert max(len(text) for _, text in messages) <= module.LARGEST_TEXT
    assert len(messages) < 10
    assert house.text() == "".join(f"{number:0999}\n" for number in range(1000))


def test_one_large_text_is_sent_in_pieces(house: House) -> None:
    house.output.start()
    text = "0123456789" * 100_000
    house.stdout.write(text)
    assert max(len(piece) for _, piece in house.finish()) <= module.LARGEST_TEXT
    assert house.text() == text


def test_a_message_that_the_gateway_would_not_take_is_replaced_by_a_word(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_MESSAGE", 1000)
    house.output.start()
    house.output.send_multipart([b"display", b"x" * 993])
    house.output.send_multipart([b"display", b"x" * 994])
    # Buffers of widgets come as they are: their length is in elements, what counts are bytes.
    house.output.send_multipart([b"comm", memoryview(bytes(4000)).cast("d")])
    house.output.send_multipart([b"last"])
    messages = house.finish()
    assert [text for name, text in messages if not name] == ["display", "last"]
    assert house.text("stderr") == module.TOO_LARGE * 2


def test_many_small_writes_make_few_messages_and_the_first_does_not_wait(house: House) -> None:
    house.output.start()
    house.stdout.write("first\n")
    house.socket.until(lambda: house.text() == "first\n")
    for _ in range(200):
        house.stdout.write("x")
        time.sleep(0.0002)
    house.finish()
    assert house.text() == "first\n" + "x" * 200
    assert len(house.messages()) < 50


def test_text_that_nobody_flushes_comes_soon(house: House) -> None:
    house.output.start()
    for _ in range(3):
        house.stdout.write("x")
        time.sleep(0.002)
    house.socket.until(lambda: house.text() == "xxx")


def test_a_line_that_is_being_printed_comes_whole(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE_S", 60.0)
    house.output.start()
    house.stdout.write("line")
    with house.socket.arrived:
        assert not house.socket.arrived.wait_for(house.messages, 0.1)
    house.stdout.write("\n")
    house.socket.until(lambda: house.messages() == [("stdout", "line\n")])


def test_a_message_does_not_wait_for_more_text(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", 60.0)
    house.output.start()
    house.stdout.write("a")
    house.socket.until(lambda: house.text() == "a")
    house.stdout.write("b")
    house.output.send_multipart([b"display"])
    house.socket.until(lambda: house.messages()[-1] == ("", "display"))
    house.stdout.write("c")
    house.stdout.flush()
    house.socket.until(lambda: house.text() == "abc")


def test_a_writer_far_ahead_is_held_back_and_nothing_is_lost(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_QUEUED", 100)
    house.socket.free.clear()
    house.output.start()
    written = 0

    def write() -> None:
        nonlocal written
        for number in range(1000):
            house.stdout.write(f"{number}\n")
            written = number + 1

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(0.05)
    assert writer.is_alive()
    # A quarter of that is sent at once, and waits with the thread.
    assert written <= 100 + 25 + 10
    house.socket.free.set()
    writer.join(SOON_S)
    assert not writer.is_alive()
    house.finish()
    assert house.text() == "".join(f"{number}\n" for number in range(1000))


def test_one_text_larger_than_may_be_unheard_waits_for_the_gateway(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retained, "MOST_ON_THEIR_WAY", 4 * module.LARGEST_TEXT)
    house.output.start()
    writer = threading.Thread(target=house.stdout.write, args=("x" * (40 * module.LARGEST_TEXT),))
    writer.start()

    def more_than(count: int) -> Callable[[], bool]:
        return lambda: len(house.socket.sent) > count

    heard = 0
    while heard < 40:
        house.socket.until(more_than(heard))
        assert len(house.socket.sent) - heard <= 6
        heard = len(house.socket.sent)
        house.socket.say(b"\x02%d" % heard)
    writer.join(SOON_S)
    assert not writer.is_alive()
    assert len(house.text()) == 40 * module.LARGEST_TEXT


def test_threads_lose_nothing_and_each_keeps_its_order(house: House) -> None:
    house.output.start()

    def write(name: str) -> None:
        for number in range(300):
            house.stdout.write(f"{name}{number};")
            if number % 50 == 0:
                house.output.send_multipart([f"{name}{number}".encode()])

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    messages = house.finish()
    pieces = house.text().split(";")
    for name in "abcd":
        assert [piece for piece in pieces if piece.startswith(name)] == [f"{name}{number}" for number in range(300)]
        assert [text for of, text in messages if not of and text.startswith(name)] == [
            f"{name}{number}" for number in range(0, 300, 50)
        ]
    assert house.socket.senders == {"Output"}


def test_surrogates_do_not_cost_the_message(house: House) -> None:
    house.output.start()
    house.stdout.write("a\udcffb\ud800c\n")
    house.finish()
    assert house.text() == "a?b?c\n"
