"""New sessions: from wanting one to its first result."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.bench.lab import Lab
from tests.bench.model import Record, Scenario, Target
from tests.bench.systems.base import Outcome, Session, System, expect_picture, expect_result
from tests.bench.systems.gateway import Gateway
from tests.bench.wire.http import Timeout

Check = Callable[[Outcome], None]
PICTURE = """
import pandas as pd
import matplotlib.pyplot as plt

pd.DataFrame({"day": range(30), "sales": [d * d % 17 for d in range(30)]}).plot(x="day", y="sales", title="Sales")
plt.show()
"""


def is_two(outcome: Outcome) -> None:
    expect_result(outcome, "2")


def first_result(system: System, code: str, check: Check) -> float:
    """Milliseconds from nothing to the end of the first cell. The system is as ready as it gets before."""
    system.settle()
    start = time.perf_counter()
    session = system.open()
    try:
        outcome = session.run(code)
        taken = time.perf_counter() - start
        check(outcome)
    finally:
        session.close()
    return taken * 1000


def sample_starts(lab: Lab, record: Record, names: list[str], count: int, code: str, check: Check) -> None:
    for system in lab.rounds(record, names, count + 1):
        with record.attempt(system.name):
            taken = first_result(system, code, check)
            # The first one of each finds cold files; people meet that once a boot.
            if system.name in record.extras:
                record.add(system.name, taken)
            else:
                record.extras[system.name] = {"first_after_start_ms": taken}


def new_session_warm(lab: Lab, record: Record) -> None:
    names = ["kernelgw", "raw", "kernel_gateway", "jupyter_server", "jupyverse"]
    sample_starts(lab, record, names, lab.pick(20, 3), "1+1", is_two)


def new_session_cold(lab: Lab, record: Record) -> None:
    names = ["kernelgw_cold", "raw", "raw_handshake", "kernel_gateway", "jupyter_server", "jupyverse"]
    sample_starts(lab, record, names, lab.pick(20, 3), "1+1", is_two)


def provisioned(lab: Lab, record: Record) -> None:
    sample_starts(lab, record, ["kernelgw_provisioner", "raw_handshake"], lab.pick(20, 3), "1+1", is_two)


def first_picture(lab: Lab, record: Record) -> None:
    names = ["kernelgw", "raw", "kernel_gateway", "jupyter_server", "jupyverse"]
    sample_starts(lab, record, names, lab.pick(10, 2), PICTURE, expect_picture)


def burst_20(lab: Lab, record: Record) -> None:
    names = ["kernelgw", "raw", "kernel_gateway", "jupyter_server", "jupyverse"]
    stuck: Counter[str] = Counter()
    rounds = lab.pick(3, 1)
    for system in lab.rounds(record, names, rounds):
        with record.attempt(system.name):
            system.settle()
            try:
                record.add(system.name, slowest_of(system, 20))
            except Timeout:
                if system.name == "kernelgw":
                    raise
                # Seen now and then. Likely: ports are found by bind and release, and two kernels find the same.
                stuck[system.name] += 1
                record.notes[system.name] = f"{stuck[system.name]} of {rounds} bursts had a kernel that never came up"


def slowest_of(system: System, count: int) -> float:
    """Milliseconds until the last of so many sessions, all wanted at the same moment, has its first result."""
    gate = threading.Barrier(count + 1)
    opened: list[Session] = []

    def one() -> float:
        gate.wait()
        session = system.open()
        opened.append(session)
        outcome = session.run("1+1", timeout=120)
        ended = time.perf_counter()
        is_two(outcome)
        return ended

    with ThreadPoolExecutor(count) as threads:
        try:
            ends = [threads.submit(one) for _ in range(count)]
            gate.wait()
            start = time.perf_counter()
            return (max(end.result() for end in ends) - start) * 1000
        finally:
            list(threads.map(lambda session: session.close(), opened))


def one_shot(lab: Lab, record: Record) -> None:
    """From the request to the answer, over a connection that is there; its session is ended after that."""
    for system in lab.rounds(record, ["kernelgw"], lab.pick(40, 3) + 1):
        with record.attempt(system.name):
            assert isinstance(system, Gateway)
            system.settle()
            taken = system.one_shot("print(1 + 1)", "2\n") * 1000
            if system.name in record.extras:
                record.add(system.name, taken)
            else:
                record.extras[system.name] = {"first_after_start_ms": taken}


NEW_SESSION_WARM = Scenario(
    name="new_session_warm",
    title="New session to its first result, warm pool",
    unit="ms",
    better="lower",
    target=Target(limit=25.0),
    run=new_session_warm,
)

NEW_SESSION_COLD = Scenario(
    name="new_session_cold",
    title="New session to its first result, no pool",
    unit="ms",
    better="lower",
    target=Target(limit=90.0),
    run=new_session_cold,
    ours="kernelgw_cold",
)

ONE_SHOT = Scenario(
    name="one_shot",
    title="POST /api/execute without a session, warm pool, to its answer",
    unit="ms",
    better="lower",
    target=Target(limit=40.0),
    run=one_shot,
)

PROVISIONED = Scenario(
    name="provisioned",
    title="New kernel of a stock kernel manager to its first result, by our provisioner",
    unit="ms",
    better="lower",
    target=Target(limit=200.0, peer="raw_handshake", factor=2.0),
    run=provisioned,
    ours="kernelgw_provisioner",
)

FIRST_PICTURE = Scenario(
    name="first_picture",
    title="New session to its first pandas and matplotlib picture",
    unit="ms",
    better="lower",
    target=Target(limit=200.0),
    run=first_picture,
)

BURST_20 = Scenario(
    name="burst_20",
    title="20 new sessions at once, the slowest first result",
    unit="ms",
    better="lower",
    target=Target(limit=1000.0),
    run=burst_20,
)
