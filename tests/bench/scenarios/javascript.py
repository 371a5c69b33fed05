"""Cells of JavaScript: how long one takes, how soon the first is there, what an idle kernel costs."""

import time

from tests.bench.lab import Lab
from tests.bench.memory import read_pss, read_tree_pss
from tests.bench.model import Record, Scenario, Target
from tests.bench.scenarios.cells import WARM_UP, timed_cell
from tests.bench.systems.base import WrongResult, expect_result
from tests.bench.systems.gateway import Gateway, GatewaySession

IDLE_S = 2.0
USED = "const rows = [1, 2, 3].map(n => ({n})); import fs from 'fs'; rows.length"


def gateway(lab: Lab, name: str) -> Gateway:
    system = lab.system(name)
    assert isinstance(system, Gateway)
    return system


def opened(system: Gateway) -> GatewaySession:
    return system.open_with(language="javascript")


def js_cell(lab: Lab, record: Record) -> None:
    session = opened(gateway(lab, "kernelgw"))
    try:
        for number in range(WARM_UP):
            timed_cell(session, number)
        record.add("kernelgw", *(timed_cell(session, number) for number in range(lab.pick(500, 40))))
    finally:
        session.close()


def js_first(lab: Lab, record: Record) -> None:
    """From the request that creates the session. Where the pool has no kernel of the language, that is without one."""
    for name in ("kernelgw", "kernelgw_cold"):
        system = gateway(lab, name)
        for _ in range(lab.pick(20, 3)):
            system.settle()
            start = time.perf_counter()
            session = opened(system)
            outcome = session.run("1+1")
            taken = (time.perf_counter() - start) * 1000
            session.close()
            expect_result(outcome, "2")
            record.add(name, taken)


def js_idle_pss(lab: Lab, record: Record) -> None:
    """The kernel's process and its Node.js together, by themselves and among ten."""
    system = gateway(lab, "kernelgw")
    sessions = [opened(system) for _ in range(lab.pick(10, 2))]
    try:
        for session in sessions:
            if error := session.run(USED).error:
                raise WrongResult(error)
        system.settle()
        time.sleep(IDLE_S)  # idle is the absence of events: there is none to wait for
        whole = [read_tree_pss(session.pid()) for session in sessions]
        own = [read_pss(session.pid()).total for session in sessions]
    finally:
        for session in sessions:
            session.close()
    record.add("kernelgw", *whole)
    record.extras["kernelgw"] = {"python_part_mb": sum(own) / len(own)}


JS_CELL = Scenario(
    name="js_cell",
    title="Trivial cell of JavaScript in a live session",
    unit="ms",
    better="lower",
    target=Target(limit=5.0),
    run=js_cell,
)

JS_FIRST = Scenario(
    name="js_first",
    title="New session of JavaScript to its first result",
    unit="ms",
    better="lower",
    target=Target(limit=60.0),
    run=js_first,
)

JS_IDLE_PSS = Scenario(
    name="js_idle_pss",
    title="PSS of an idle JavaScript kernel, its Node.js included",
    unit="MB",
    better="lower",
    target=Target(limit=60.0),
    run=js_idle_pss,
)
