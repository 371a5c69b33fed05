"""What C code, subprocesses and forked children write to descriptors 1 and 2; sys.stdout as a file."""

from __future__ import annotations

import io
import os
import signal

import pytest

from .test_kernel_output import SOON_S, House, house

__all__ = ("house",)  # the fixture
# From Python 3.12 on a fork beside a thread warns; forked user code is what is tested here.
forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def written(house: House, text: str, name: str = "stdout") -> None:
    house.socket.until(lambda: house.text(name) == text)


def test_what_is_written_to_the_descriptors_comes_as_text(house: House) -> None:
    house.take_over()
    house.output.start()
    os.write(1, b"from C\n")
    written(house, "from C\n")
    os.write(2, b"a fault\n")
    written(house, "a fault\n", "stderr")


def test_it_belongs_to_the_cell_that_runs(house: House) -> None:
    house.take_over()
    house.output.start()
    os.write(1, b"x")
    written(house, "x")
    assert house.read(house.socket.sent[0])["parent_header"]["msg_id"] == house.parent["header"]["msg_id"]


def test_a_character_that_is_cut_in_two_is_put_together(house: House) -> None:
    house.take_over()
    house.output.start()
    for byte in "ä\U0001f600".encode():
        os.write(1, bytes((byte,)))
        house.output.drain_pipes()
    os.write(1, b"\n")
    written(house, "ä\U0001f600\n")


def test_bytes_that_are_no_text_are_replaced(house: House) -> None:
    house.take_over()
    house.output.start()
    os.write(1, b"a\xff\xfeb")
    written(house, "a\ufffd\ufffdb")


def test_more_than_a_pipe_holds_comes_whole(house: House) -> None:
    house.take_over()
    house.output.start()
    data = b"0123456789" * 100_000
    position = 0
    while position < len(data):
        position += os.write(1, data[position:])
    written(house, data.decode())


def test_draining_puts_it_before_what_is_printed_next(house: House) -> None:
    house.take_over()
    os.write(1, b"from C")
    house.output.drain_pipes()
    house.output.send_multipart([b"display"])
    house.output.start()
    assert house.finish() == [("stdout", "from C"), ("", "display")]


def test_the_end_takes_along_what_is_in_the_pipes(house: House) -> None:
    house.take_over()
    house.output.start()
    os.write(1, b"last words")
    assert house.finish() == [("stdout", "last words")]


def in_child(house: House, act: str) -> int:
    """Forks as user code does, and writes there. Returns the exit status."""
    house.take_over()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.alarm(int(SOON_S))
            house.output.become_child()
            if act == "write":
                house.stdout.write("from the child \udcff\n")
                house.stderr.write("fault\n")
                house.stdout.flush()
            elif act == "much":
                house.stdout.write("0123456789" * 50_000)
            else:
                house.output.send_multipart([b"display of the child"])
            status = len(house.output._queue)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@forks
def test_a_forked_child_s_prints_arrive_by_the_pipes(house: House) -> None:
    house.output.start()
    house.stdout.write("before\n")
    written(house, "before\n")
    assert in_child(house, "write") == 0
    written(house, "before\nfrom the child ?\n")
    written(house, "fault\n", "stderr")
    assert house.output.mine()


@forks
def test_a_forked_child_s_large_print_comes_whole(house: House) -> None:
    house.output.start()
    assert in_child(house, "much") == 0
    written(house, "0123456789" * 50_000)


@forks
def test_a_forked_child_does_not_use_the_kernel_s_socket(house: House) -> None:
    house.output.start()
    assert in_child(house, "display") == 0
    assert house.finish() == []


@forks
def test_what_the_parent_had_queued_is_not_sent_twice(house: House) -> None:
    house.stdout.write("queued\n")
    assert in_child(house, "write") == 1
    house.output.start()
    house.finish()
    assert house.text().count("queued") == 1


def test_a_stream_is_a_text_file(house: House) -> None:
    stream = house.stdout
    assert (stream.name, stream.encoding, stream.fileno(), stream.isatty()) == ("stdout", "utf-8", 1, False)
    assert stream.writable()
    assert not stream.readable()
    assert not stream.closed
    assert stream.write("äö") == 2
    assert stream.write("") == 0
    stream.writelines(["a", "b"])
    print("c", 1, file=stream, end="", flush=True)
    house.output.start()
    house.finish()
    assert house.text() == "äöabc 1"


@pytest.mark.parametrize("value", [b"bytes", None, 1])
def test_what_is_no_text_cannot_be_written(house: House, value: object) -> None:
    with pytest.raises(TypeError, match="must be str"):
        house.stdout.write(value)  # type: ignore[arg-type]


def test_reading_from_it_is_refused_as_files_do(house: House) -> None:
    with pytest.raises(io.UnsupportedOperation):
        house.stdout.readline()


def test_bytes_can_be_written_to_its_buffer(house: House) -> None:
    assert house.stdout.buffer.write(b"a\xffb") == 3
    house.stdout.buffer.write(bytearray(b"c"))
    house.stdout.buffer.flush()
    house.output.start()
    house.finish()
    assert house.text() == "a\ufffdbc"
