"""A kernel that is killed: how soon is its chat told, and is it told why."""

import os
import signal
import time

from tests.bench.lab import Lab
from tests.bench.model import Record, Scenario, Target
from tests.bench.systems.base import KernelLost, System, WrongResult
from tests.bench.wire.http import Timeout

PATIENCE_S = 10.0
CODE = 'import time\nprint("running", flush=True)\ntime.sleep(60)'


def kill_reason(lab: Lab, record: Record) -> None:
    for system in lab.rounds(record, ["kernelgw", "kernel_gateway", "jupyter_server", "jupyverse"], lab.pick(10, 2)):
        if system.name in record.incomparable:
            continue
        with record.attempt(system.name):
            taken, reason = told_after(system)
            if taken is None:
                record.notes[system.name] = f"said nothing within {PATIENCE_S:.0f} s"
                record.incomparable.add(system.name)
                continue
            record.add(system.name, taken * 1000)
            if system.name != "kernelgw":
                record.notes[system.name] = "no reason given"
            elif not reason:
                raise WrongResult("the kernel's end was told without a reason")
            else:
                record.notes[system.name] = f"“{reason}”"


def told_after(system: System) -> tuple[float | None, str]:
    """Seconds from SIGKILL to the news, and the reason that was given. None: there was no news."""
    system.settle()
    session = system.open()
    killed = 0.0
    try:
        session.run("1")
        pid = session.pid()

        def kill(_: str) -> None:
            nonlocal killed
            if not killed:
                os.kill(pid, signal.SIGKILL)
                killed = time.perf_counter()

        session.run(CODE, on_text=kill, timeout=PATIENCE_S)
        raise WrongResult("a killed cell was told to have completed")
    except KernelLost as lost:
        return time.perf_counter() - killed, str(lost)
    except Timeout:
        return None, ""
    finally:
        session.close()


KILL_REASON = Scenario(
    name="kill_reason",
    title="Kernel killed in a cell, to the client being told",
    unit="ms",
    better="lower",
    target=Target(limit=200.0),
    run=kill_reason,
)
