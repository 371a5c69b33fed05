"""A kernel that is killed: how soon is its chat told, and is it told why."""

import os
import signal
import time
from collections.abc import Callable
from functools import partial

from tests.bench.lab import Lab
from tests.bench.model import OURS, Record, Scenario, Target
from tests.bench.systems.base import KernelLost, System, WrongResult
from tests.bench.systems.gateway import Gateway
from tests.bench.wire.http import Timeout
from tests.live import proc

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
    parts(lab, record)


def parts(lab: Lab, record: Record) -> None:
    """Of ours, what the other parts take whose end is a kernel's: the first process of its sandbox, its fork server."""
    system = lab.system("kernelgw")
    assert isinstance(system, Gateway)
    server = partial(_fork_server, system.pid)
    finders: dict[str, Callable[[int], int]] = {"sandbox": _holder, "fork_server": server}
    for name, find in finders.items():
        told = [told_after(system, find)[0] for _ in range(lab.pick(10, 2))]
        record.extras[OURS] = record.extras.get(OURS, {}) | {
            f"{name}_ms": 1000 * max(each or PATIENCE_S for each in told)
        }


def _holder(kernel: int) -> int:
    return next(pid for pid in proc.neighbours(kernel) if proc.pid_inside(pid) == 1)


def _fork_server(gateway: int, _: int) -> int:
    children = [pid for pid in proc.descendants(gateway) if proc.parent(pid) == gateway]
    return next(pid for pid in children if proc.command(pid).rstrip().endswith("/kernels"))


def told_after(system: System, whom: Callable[[int], int] = int) -> tuple[float | None, str]:
    """Seconds from SIGKILL to the news, and the reason that was given. None: there was no news. `whom`: the pid to
    kill, given the kernel's."""
    system.settle()
    session = system.open()
    killed = 0.0
    try:
        session.run("1")
        pid = whom(session.pid())

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
