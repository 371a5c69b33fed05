"""Cells in sessions that are there already: how long one takes, how many go through."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.bench.lab import Lab, many
from tests.bench.model import Record, Scenario, Target
from tests.bench.scenarios.turns import in_turn
from tests.bench.systems.base import Session, expect_result

WARM_UP = 10


def timed_cell(session: Session, number: int) -> float:
    """Milliseconds from sending the request to having everything, the end of the execution included."""
    start = time.perf_counter()
    outcome = session.run(f"{number}+1")
    taken = time.perf_counter() - start
    expect_result(outcome, str(number + 1))
    return taken * 1000


def trivial_cell(lab: Lab, record: Record) -> None:
    compare(
        lab, record, ["kernelgw", "raw", "kernel_gateway", "jupyter_server", "jupyter_server_quickack", "jupyverse"]
    )


def jupyter_cell(lab: Lab, record: Record) -> None:
    compare(
        lab,
        record,
        ["kernelgw_jupyter", "kernelgw_provisioner", "raw", "jupyter_server", "kernel_gateway", "jupyverse"],
    )


def jupyter_added(lab: Lab, record: Record) -> None:
    """The provisioner's is the same kernel, asked without anything in between."""
    names = ("kernelgw_jupyter", "kernelgw_provisioner")
    with lab.sessions(record, names) as sessions:
        for session in sessions.values():
            for number in range(WARM_UP):
                timed_cell(session, number)
        works = [partial(timed_cell, sessions[name], 7) for name in names]
        record.add(names[0], *(ours / bare for ours, bare in in_turn(lab.pick(500, 20), works)))


def compare(lab: Lab, record: Record, names: list[str]) -> None:
    cells = lab.pick(50, 20)
    with lab.sessions(record, names) as sessions:
        for name, session in sessions.items():
            with record.attempt(name):
                for number in range(WARM_UP):
                    timed_cell(session, number)
        for system in lab.rounds(record, sessions, lab.pick(10, 2)):
            session = sessions[system.name]
            with record.attempt(system.name):
                # While the others had their turn the server may have closed a quiet connection.
                timed_cell(session, 0)
                record.add(system.name, *(timed_cell(session, number) for number in range(cells)))


def throughput_10(lab: Lab, record: Record) -> None:
    seconds = lab.pick(5, 1)
    names = ["kernelgw", "raw", "kernel_gateway", "jupyter_server", "jupyverse"]
    for system in lab.rounds(record, names, lab.pick(3, 1)):
        with record.attempt(system.name), many(system, 10) as sessions:
            for session in sessions:
                timed_cell(session, 0)
            record.add(system.name, cells_per_second(sessions, seconds))
        system.settle()


def cells_per_second(sessions: list[Session], seconds: float) -> float:
    """Every session has one cell under way all the time, each in a thread of its own."""
    gate = threading.Barrier(len(sessions) + 1)

    def loop(session: Session) -> int:
        gate.wait()
        end = time.perf_counter() + seconds
        done = 0
        while time.perf_counter() < end:
            timed_cell(session, done)
            done += 1
        return done

    with ThreadPoolExecutor(len(sessions)) as threads:
        counts = [threads.submit(loop, session) for session in sessions]
        gate.wait()
        start = time.perf_counter()
        total = sum(count.result() for count in counts)
        return total / (time.perf_counter() - start)


TRIVIAL_CELL = Scenario(
    name="trivial_cell",
    title="Trivial cell in a live session",
    unit="ms",
    better="lower",
    target=Target(limit=5.0, peer="kernel_gateway", factor=8.0),
    run=trivial_cell,
)

JUPYTER_CELL = Scenario(
    name="jupyter_cell",
    title="Trivial cell over a kernel's WebSocket",
    unit="ms",
    better="lower",
    target=Target(limit=5.0, peer="jupyter_server", factor=6.0),
    run=jupyter_cell,
    ours="kernelgw_jupyter",
)

JUPYTER_ADDED = Scenario(
    name="jupyter_added",
    title="Trivial cell over the WebSocket, beside raw ZeroMQ to the same kernel",
    unit="times",
    better="lower",
    target=Target(limit=1.3),
    run=jupyter_added,
    ours="kernelgw_jupyter",
)

THROUGHPUT_10 = Scenario(
    name="throughput_10",
    title="Trivial cells in 10 sessions at once",
    unit="cells/s",
    better="higher",
    target=Target(limit=300.0),
    run=throughput_10,
)
