"""Bash cells in a session that is there already."""

import time

from tests.bench.lab import Lab
from tests.bench.model import Record, Scenario, Target
from tests.bench.systems.base import Session, WrongResult
from tests.bench.systems.gateway import Gateway

WARM_UP = 10


def timed_bash(session: Session, number: int) -> float:
    """Milliseconds from sending the request to having everything."""
    start = time.perf_counter()
    outcome = session.run(f"echo $(({number}+1))")
    taken = time.perf_counter() - start
    if outcome.text != f"{number + 1}\n" or outcome.error:
        raise WrongResult(f"wanted {number + 1}, got {outcome.text!r} {outcome.error}")
    return taken * 1000


def bash_cell(lab: Lab, record: Record) -> None:
    with record.attempt("kernelgw"):
        system = lab.system("kernelgw")
        assert isinstance(system, Gateway)
        session = system.open_with(language="bash")
        try:
            for number in range(WARM_UP):
                timed_bash(session, number)
            record.add("kernelgw", *(timed_bash(session, number) for number in range(lab.pick(500, 20))))
        finally:
            session.close()


BASH_CELL = Scenario(
    name="bash_cell",
    title="Trivial Bash cell in a live session",
    unit="ms",
    better="lower",
    target=Target(limit=5.0),
    run=bash_cell,
)
