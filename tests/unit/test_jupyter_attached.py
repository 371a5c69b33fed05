"""One client: what waits for it is bounded, in order, and nothing is sent after it was let go."""

from __future__ import annotations

import asyncio

import pytest

from kernelgw.jupyter.attached import MOST_MESSAGES, MOST_NAMES, MOST_UNSENT, TOO_SLOW, Attached
from kernelgw.jupyter.framing import unpack_v1
from kernelgw.jupyter.messages import message
from kernelgw.jupyter.pace import Pace

pytestmark = pytest.mark.anyio


def stream(text: str) -> tuple[bytes, ...]:
    return tuple(message("stream", {"name": "stdout", "text": text}))


async def sent_by(client: Attached, count: int) -> list[str]:
    """The texts of the first `count` messages."""
    found: list[str] = []
    done = asyncio.Event()

    async def send(frame: bytes | str) -> None:
        found.append(unpack_v1(frame).content["text"])
        if len(found) == count:
            done.set()

    writer = asyncio.create_task(client.write(send))
    await done.wait()
    writer.cancel()
    return found


async def test_what_was_missed_comes_first_and_then_all_in_order() -> None:
    client = Attached("s", v1=True)
    client.missed = iter([("iopub", stream("missed"))])
    for n in range(3):
        client.tell("iopub", stream(str(n)))
    assert await sent_by(client, 4) == ["missed", "0", "1", "2"]


async def test_who_is_too_far_behind_is_let_go_and_holds_nothing() -> None:
    client = Attached("s", v1=True)
    large = stream("x" * (MOST_UNSENT + 1))
    for _ in range(2):
        client.tell("iopub", large)
    assert client.closing == TOO_SLOW
    await client.write(_never)
    many = Attached("s", v1=True)
    for _ in range(MOST_MESSAGES + 1):
        many.tell("iopub", (b"{}", b"{}", b"{}", b"{}"))
    assert many.closing == TOO_SLOW


async def _never(frame: bytes | str) -> None:
    raise AssertionError(frame)


async def test_the_first_reason_to_close_is_the_one() -> None:
    client = Attached("s", v1=True)
    client.close(1003, "first")
    client.close(1000, "second")
    assert client.closing == (1003, "first")


async def test_names_are_few_and_the_newest() -> None:
    client = Attached("s", v1=True)
    for n in range(1000):
        client.goes_by(str(n))
    assert len(client.names) == MOST_NAMES
    assert "999" in client.names


async def test_the_older_protocol_leaves_out_what_it_cannot_say() -> None:
    client = Attached("s", v1=False)
    client.tell("iopub", (b"{", b"{}", b"{}", b"{}"))
    client.tell("iopub", stream("said"))
    frames: list[bytes | str] = []
    done = asyncio.Event()

    async def send(frame: bytes | str) -> None:
        frames.append(frame)
        done.set()

    writer = asyncio.create_task(client.write(send))
    await done.wait()
    writer.cancel()
    assert len(frames) == 1
    assert "said" in str(frames[0])


def test_a_burst_is_free_and_then_the_pace_counts() -> None:
    now = 100.0
    pace = Pace(per_s=10, burst=5, clock=lambda: now)
    assert [pace.take() for _ in range(5)] == [0.0] * 5
    assert pace.take() == pytest.approx(0.1)
    assert pace.take() == pytest.approx(0.2)
    now += 10
    assert pace.take() == 0.0
