"""Memory of a kernel that waits for its chat."""

import statistics
import time

from tests.bench.lab import Lab, many
from tests.bench.memory import read_pss, read_tree_pss
from tests.bench.model import Record, Scenario, Target
from tests.bench.systems.base import System, WrongResult
from tests.bench.systems.gateway import Gateway

IMPORTS = "import numpy, pandas, matplotlib.pyplot"
IDLE_S = 2.0
SESSIONS = 10


def idle_pss(lab: Lab, record: Record) -> None:
    """The peers' servers all run the same stock kernel as `raw` does, so that one stands for all."""
    for system in lab.rounds(record, ["kernelgw", "raw"], 1):
        with record.attempt(system.name):
            measure(system, record)


def measure(system: System, record: Record) -> None:
    system.settle()
    before = whole(system)
    with many(system, SESSIONS) as sessions:
        for session in sessions:
            if error := session.run(IMPORTS).error:
                raise WrongResult(error)
        system.settle()
        pids = [session.pid() for session in sessions]
        time.sleep(IDLE_S)  # idle is the absence of events: there is none to wait for
        found = [read_pss(pid) for pid in pids]
        grown = whole(system) - before
    record.add(system.name, *(pss.total for pss in found))
    record.extras[system.name] = {
        "private_mb": statistics.median(pss.private for pss in found),
        "shared_part_mb": statistics.median(pss.shared for pss in found),
    }
    if grown:
        record.extras[system.name]["whole_per_session_mb"] = grown / SESSIONS


def whole(system: System) -> float:
    """MB of the gateway, its fork server, sandboxes and kernels together: what a session really costs."""
    return read_tree_pss(system.pid) if isinstance(system, Gateway) else 0.0


IDLE_PSS = Scenario(
    name="idle_pss",
    title="PSS of an idle kernel with numpy, pandas, matplotlib imported",
    unit="MB",
    better="lower",
    target=Target(limit=20.0),
    run=idle_pss,
)
