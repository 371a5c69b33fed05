"""kill -9 to gateway and indexer, again and again: after each of them the store has what clients saw."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from pathlib import Path

import httpx
import pytest

from kernelgw.store.engine import Unavailable
from tests.live import proc
from tests.live.client import JSON, Session
from tests.live.gateway import Gateway
from tests.live.stored import Place, Stored, indexer, wait_level, wholly

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(600)]

KILLS = 20
SESSIONS = 4
FIRST = "from IPython.display import Image, display; k = 0"
CELL = """
k += 1
print(k)
if k % 3 == 0: display(Image(bytes.fromhex('89504e470d0a1a0a') + bytes(1000)))
if k % 5 == 0: display('old', display_id=True).update(k)
if k % 7 == 0: raise ValueError(k)
"""


class Driver(threading.Thread):
    """A caller that asks for one cell after the other, and keeps every answer."""

    def __init__(self, gateway: Gateway, session: str) -> None:
        super().__init__(name=f"driver of {session}", daemon=True)
        self.gateway = gateway
        self.session = session
        self.answers: list[JSON] = []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                with self.gateway.client(timeout=10) as client:
                    while not self.stop.wait(0.01):
                        self.answers.append(Session(client, self.session).run(CELL))
            except (httpx.HTTPError, AssertionError):
                # Cut off, or told that the gateway is stopping.
                self.stop.wait(0.05)


def test_after_each_kill_the_store_has_what_clients_saw(tmp_path: Path) -> None:
    chance = random.Random(4)
    place = Place(tmp_path / "data")
    gateway = place.gateway(history_length=5, max_sessions=SESSIONS + 2)
    with gateway:
        drivers = [Driver(gateway, f"driven-{number}") for number in range(SESSIONS)]
        with gateway.client() as client:
            for driver in drivers:
                driver.answers.append(Session(client, driver.session).run(FIRST))
        for driver in drivers:
            driver.start()
        for number in range(KILLS):
            threading.Event().wait(chance.uniform(0.02, 0.5))
            if number % 5 == 4:
                # It may be between two lives itself.
                with contextlib.suppress(ProcessLookupError, AssertionError):
                    os.kill(indexer(gateway), signal.SIGKILL)
            gateway.kill()
            gateway.start()
            with place.stored() as stored:
                for driver in drivers:
                    _check_meanwhile(stored, driver)
        for driver in drivers:
            driver.stop.set()
            driver.join(20)
        wait_level(gateway)
        with gateway.client() as client, place.stored() as stored:
            for driver in drivers:
                told = wholly(Session(client, driver.session), 100)
                assert stored.executions(driver.session) == told
                _check(told, driver)
                Session(client, driver.session).delete()
            assert stored.count() == 0


def _check_meanwhile(stored: Stored, driver: Driver) -> None:
    """It may take a moment, in which the driver goes on."""
    told = driver.answers[:]

    def rows() -> list[JSON | None]:
        try:
            found = {row["id"]: row for row in stored.executions(driver.session)}
        except Unavailable:
            # Nobody has come to making it yet.
            return []
        return [found.get(answer["id"]) for answer in told]

    proc.wait_until(lambda: rows() == told, 20, lambda: f"{len(told)} answers of {driver.session} in the store")


def _check(told: list[JSON], driver: Driver) -> None:
    answers = {answer["id"]: answer for answer in driver.answers}
    assert len(answers) > KILLS
    found = {execution["id"]: execution for execution in told}
    assert {id_: found.get(id_) for id_ in answers} == answers
    counts = [int(execution["outputs"][0]["text"]) for execution in told[1:]]
    assert counts == list(range(1, len(counts) + 1)), "a cell is missing, or ran twice"
