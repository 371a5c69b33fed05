"""What it costs that nothing is lost; and how fast what was told before is told again."""

import time
from functools import partial

from tests.bench.lab import Lab
from tests.bench.model import OURS, Record, Scenario, Target
from tests.bench.scenarios.cells import WARM_UP, timed_cell
from tests.bench.scenarios.turns import in_turn, percent_more
from tests.bench.systems.base import WrongResult
from tests.bench.systems.gateway import GatewaySession

WITHOUT_JOURNAL = ("kernelgw", "kernelgw_memory")
WITHOUT_STORE = ("kernelgw", "kernelgw_storeless")
EVENTS = 100_000
TELL = """
kernel = get_ipython().kernel
for number in range({count}):
    kernel.session.send(kernel.iopub_socket, 'display_data',
        {{'data': {{'text/plain': str(number)}}, 'metadata': {{}}}}, parent=kernel.get_parent())
"""


def cell_beside_cell(names: tuple[str, str], lab: Lab, record: Record) -> None:
    """How much more the first system takes for a trivial cell than the second."""
    for _ in range(lab.pick(6, 1)):
        with lab.sessions(record, list(names)) as sessions:
            for session in sessions.values():
                for number in range(WARM_UP):
                    timed_cell(session, number)
            rows = in_turn(lab.pick(300, 10), [partial(timed_cell, sessions[name], 1) for name in names])
            record.add(OURS, *(percent_more(ours, without) for ours, without in rows))


def resume_100k(lab: Lab, record: Record) -> None:
    count = lab.pick(EVENTS, 2000)
    with lab.sessions(record, ["kernelgw"]) as sessions:
        session = sessions["kernelgw"]
        assert isinstance(session, GatewaySession)
        session.run(TELL.format(count=count), timeout=300)
        for _ in range(lab.pick(10, 2)):
            record.add(OURS, resume(session, count))


def resume(session: GatewaySession, count: int) -> float:
    """From the beginning of the session to the end of its only execution, in events per second."""
    start = time.perf_counter()
    seen = 0
    with session.beside() as other:
        for piece in other.told("/events?after=0"):
            seen += piece.count(b"event: output.display")
            if b"event: execution.completed" in piece:
                break
    taken = time.perf_counter() - start
    if seen != count:
        raise WrongResult(f"{seen} of {count} events")
    return seen / taken


JOURNAL_CELL = Scenario(
    name="journal_cell",
    title="What writing everything down adds to a trivial cell",
    unit="%",
    better="lower",
    target=Target(limit=5.0),
    run=partial(cell_beside_cell, WITHOUT_JOURNAL),
)

STORE_CELL = Scenario(
    name="store_cell",
    title="What storing history adds to a trivial cell",
    unit="%",
    better="lower",
    target=Target(limit=5.0),
    run=partial(cell_beside_cell, WITHOUT_STORE),
)

RESUME_100K = Scenario(
    name="resume_100k",
    title="100,000 events told again from the first",
    unit="events/s",
    better="higher",
    target=Target(limit=50_000.0),
    run=resume_100k,
)
