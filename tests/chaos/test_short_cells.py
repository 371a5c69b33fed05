"""kill -9 to the gateway between and within short cells: none runs twice, and none that ran is forgotten."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import httpx
import pytest

from tests.live.client import Session, text
from tests.live.gateway import Gateway

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

KILLS = 20
SESSIONS = 3
CELL = "k += 1; print(k)"
FIRST = "k = 0"


class Driver(threading.Thread):
    """A caller that asks for one cell after the other, and does not mind who answers."""

    def __init__(self, gateway: Gateway, session: str) -> None:
        super().__init__(name=f"driver of {session}", daemon=True)
        self.gateway = gateway
        self.session = session
        self.answers: list[int] = []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                with self.gateway.client(timeout=10) as client:
                    self._ask(Session(client, self.session))
            except httpx.HTTPError:
                self.stop.wait(0.05)

    def _ask(self, session: Session) -> None:
        while not self.stop.wait(0.01):
            execution = session.run(CELL)
            assert execution["status"] == "completed", execution
            self.answers.append(int(text(execution)))


def test_cells_run_once(tmp_path: Path) -> None:
    chance = random.Random(7)
    gateway = Gateway(tmp_path / "data", pool_size=1, history_length=20_000)
    with gateway:
        drivers = [Driver(gateway, f"driven-{number}") for number in range(SESSIONS)]
        with gateway.client() as client:
            for driver in drivers:
                Session(client, driver.session).run(FIRST)
        for driver in drivers:
            driver.start()
        for _ in range(KILLS):
            threading.Event().wait(chance.uniform(0.02, 0.5))
            gateway.kill()
            gateway.start()
        threading.Event().wait(0.3)
        for driver in drivers:
            driver.stop.set()
            driver.join(20)
        with gateway.client() as client:
            for driver in drivers:
                _check(Session(client, driver.session), driver)


def _check(session: Session, driver: Driver) -> None:
    last = int(session.value("print(k)"))
    executions = session.client.get(f"{session.path}/history?limit=1000").json()
    ran = [each for each in executions["executions"] if each["code"] == CELL]
    assert {each["status"] for each in ran} == {"completed"}
    printed = [int(text(each)) for each in ran]
    # Every one of them, once, in order; also those whose caller never had an answer.
    assert printed == list(range(last - len(ran) + 1, last + 1))
    assert executions["more"] or printed[0] == 1
    assert driver.answers == sorted(set(driver.answers))
    assert len(driver.answers) > KILLS
    assert set(driver.answers) <= set(range(1, last + 1))
    session.delete()
