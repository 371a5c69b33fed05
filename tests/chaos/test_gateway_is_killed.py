"""kill -9 to the gateway, again and again, while sessions work: nobody misses anything, nothing comes twice."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import proc
from tests.live.client import Event, Session, text
from tests.live.gateway import Gateway
from tests.live.stored import Place, wait_level, wholly

from .readers import Reader

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]

KILLS = 50
SESSIONS = 10
WORK = """
import os, random, time
from IPython.display import Image, display
PICTURE = bytes.fromhex('89504e470d0a1a0a')
n = shown = 0
while not os.path.exists('stop'):
    n += 1
    print('line', n)
    if n % 25 == 0:
        display(Image(PICTURE + random.randbytes(1000)))
        shown += 1
    if n % 100 == 0:
        time.sleep(0.5)
    time.sleep(random.random() * 0.1)
print('end', n, shown)
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path / "data", pool_size=1, max_sessions=SESSIONS + 2)
    with gateway:
        yield gateway


def lines(events: list[Event]) -> str:
    return "".join(event.data["text"] for event in events if event.type == "output.stream")


def completed(events: list[Event]) -> bool:
    return bool(events) and any(event.type == "execution.completed" for event in events)


def test_fifty_times_while_ten_sessions_work(gateway: Gateway) -> None:
    chance = random.Random(20_26)
    names = [f"chaos-{number}" for number in range(SESSIONS)]
    readers = [Reader(gateway, name) for name in names]
    with gateway.client() as client:
        for name in names:
            Session(client, name).create()
            with Session(client, name).stream(WORK) as stream:
                stream.until("execution.started")
    for reader in readers:
        reader.start()
        reader.wait(lambda events: "line 3\n" in lines(events), "output")
    everything: dict[int, str] = {}
    for _ in range(KILLS):
        everything |= gateway.kill()
        # Sometimes nobody is there for a while, in which the sessions go on.
        proc.wait_until(_in(chance.choice((0, 0, 0.3))), 5, "a moment")
        gateway.start()
        proc.wait_until(_in(chance.uniform(0, 0.6)), 5, "a moment")
    with gateway.client() as client:
        for name in names:
            Session(client, name).touch("stop")
        for reader in readers:
            reader.wait(completed, "end")
            reader.leave()
            _check(Session(client, reader.session), reader)
        wait_level(gateway)
        with Place(gateway.data_dir).stored() as stored:
            for name in names:
                assert stored.executions(name) == wholly(Session(client, name), 100)
        for name in names:
            Session(client, name).delete()
        gateway.wait_ready()
    everything |= proc.descendants(gateway.pid)
    gateway.stop()
    assert proc.still_there(everything) == {}


def _in(seconds: float) -> Waited:
    return Waited(seconds)


class Waited:
    """True from so many seconds on."""

    def __init__(self, seconds: float) -> None:

        self._now = time.monotonic
        self._at = self._now() + seconds

    def __call__(self) -> bool:
        return self._now() >= self._at


def _check(session: Session, reader: Reader) -> None:
    events = [event for event in reader.events if event.type != "stream.gap"]
    assert len(events) == len(reader.events), "a gap"
    assert [event.id for event in events] == list(range(1, len(events) + 1)), "something is missing, or came twice"
    assert reader.connections > KILLS // 4
    last = [event for event in events if event.type == "execution.completed"][-1]
    assert (last.data["status"], last.data["state_lost"]) == ("completed", False), last.data
    printed = lines(events)
    *numbered, end = printed.splitlines()
    _, n, shown = end.split()
    assert numbered == [f"line {number}" for number in range(1, int(n) + 1)]
    assert sum(event.type == "output.display" for event in events) == int(shown)
    # What is there to be asked for is what was told.
    execution = session.execution(last.data["id"])
    assert text(execution) == printed
    assert sum("data" in output for output in execution["outputs"]) == int(shown)
    with session.follow(after=0) as stream:
        again = [event for _, event in zip(events, stream, strict=False)]
    assert again == events
    assert session.value("print(n, shown)") == f"{n} {shown}\n"
