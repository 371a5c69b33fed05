"""What isolation costs, beside the same gateway without any; what a hostile session costs its neighbours; what is left.

All in rows of what follows one another, since the machine's own mood changes more than what is measured: the samples
are differences and ratios within such rows.
"""

import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.bench.lab import Lab, say
from tests.bench.model import OURS, Record, Scenario, Target, summarize
from tests.bench.scenarios.cells import WARM_UP, timed_cell
from tests.bench.scenarios.starts import first_result, is_two
from tests.bench.scenarios.turns import in_turn, percent_more
from tests.bench.systems.base import KernelLost, OnText, Session, System, WrongResult, expect_result
from tests.bench.systems.gateway import Gateway
from tests.security.remains import Remains, remains, settled

MB = 1 << 20
WORKLOAD = """
import numpy as np, pandas as pd
random = np.random.default_rng(7)
matrix = random.random((300, 300))
for _ in range(5): matrix = matrix @ matrix / np.linalg.norm(matrix)
table = pd.DataFrame({'key': random.integers(0, 500, 100_000), 'value': random.random(100_000)})
table['mean'] = table.groupby('key')['value'].transform('mean')
wide = table.sort_values(['key', 'value']).merge(table.groupby('key').size().rename('count'), on='key')
wide.head(20_000).to_csv('/tmp/bench.csv' if __import__('os').access('/tmp', 2) else 'bench.csv')
len(wide)
"""


# Sandbox and sealing are what the first has more than the second; limits, what that has more than the third.
NAMES = ("kernelgw", "kernelgw_bare", "kernelgw_free")


def keep(record: Record, rows: list[tuple[float, ...]], sample: Callable[[float, float], float]) -> None:
    record.add(OURS, *(sample(ours, bare) for ours, bare, _ in rows))
    sealed, bare, free = (statistics.median(values) for values in zip(*rows, strict=True))
    all_of_it = statistics.median(sample(ours, free) for ours, _, free in rows)
    record.extras[OURS] = {"sealed_ms": sealed, "bare_ms": bare, "free_ms": free, "all": all_of_it}


def cold(lab: Lab, record: Record) -> None:
    def start(system: System) -> float:
        return first_result(system, "1+1", is_two)

    starts = [partial(start, lab.system(f"{name}_cold")) for name in NAMES]
    # The first of each finds cold files.
    for measure in starts:
        measure()
    keep(record, list(in_turn(lab.pick(60, 4), starts)), lambda ours, other: ours - other)


def cell(lab: Lab, record: Record) -> None:
    """Cell beside cell, since single ones vary by a third and the machine's mood by as much; in several sessions of
    each, since where a process's memory lies makes a few percent for as long as it lives."""
    rows: list[tuple[float, ...]] = []
    for _ in range(lab.pick(6, 1)):
        with lab.sessions(record, list(NAMES)) as sessions:
            for session in sessions.values():
                for number in range(WARM_UP):
                    timed_cell(session, number)
            rows += in_turn(lab.pick(300, 10), [partial(timed_cell, sessions[name], 1) for name in NAMES])
    keep(record, rows, percent_more)


def numpy(lab: Lab, record: Record) -> None:
    def work(session: Session) -> float:
        start = time.perf_counter()
        outcome = session.run(WORKLOAD)
        taken = time.perf_counter() - start
        expect_result(outcome, "100000")
        return taken * 1000

    with lab.sessions(record, list(NAMES)) as sessions:
        works = [partial(work, sessions[name]) for name in NAMES]
        for measure in works:
            measure()
        keep(record, list(in_turn(lab.pick(40, 3), works)), percent_more)


# A hostile session -----------------------------------------------------------------------------------------------

ATTACKS = {
    "forks": """
import os, signal, time
print('attacking', flush=True)
children = set()
while True:
    try:
        child = os.fork()
        if child == 0:
            while True:
                try:
                    if os.fork(): os._exit(0)
                except OSError: pass
        children.add(child)
    except OSError: pass
    try:
        while (pid := os.waitpid(-1, os.WNOHANG)[0]): children.discard(pid)
    except OSError: pass
""",
    "memory": f"""
import subprocess, sys
print('attacking', flush=True)
while True: subprocess.run([sys.executable, '-c', "blocks = []\\nwhile True: blocks.append(b'x' * {MB})"])
""",
    "disk": f"""
import os
print('attacking', flush=True)
while True:
    for number in range(1000):
        try:
            with open(f'/workspace/{{number}}', 'wb', buffering=0) as file:
                for _ in range(64): file.write(b'x' * {MB})
        except OSError: break
    for name in os.listdir('/workspace'): os.remove('/workspace/' + name)
""",
    "loops": """
import os
print('attacking', flush=True)
for _ in range(8):
    if os.fork() == 0:
        while True: pass
while True: pass
""",
}
LIMITS = {"memory_bytes": 512 * MB, "processes": 64, "workspace_bytes": 256 * MB}
LINES = 2000


@contextlib.contextmanager
def attacked(system: Gateway, code: str) -> Iterator[None]:
    """By a session that has begun; it is ended afterwards."""
    begun = threading.Event()
    session = system.open_with(limits=LIMITS)

    def hear(text: str) -> None:
        begun.set()

    def attack() -> None:
        while not over.is_set():
            try:
                session.run(code, hear, timeout=120)
            except (KernelLost, OSError, WrongResult, RuntimeError):
                # Ended at a limit, and it begins again; or deleted, which ends it all.
                continue

    over = threading.Event()
    thread = threading.Thread(target=attack, daemon=True)
    thread.start()
    try:
        if not begun.wait(60):
            raise WrongResult("the attack did not begin")
        yield
    finally:
        over.set()
        session.close()
        thread.join(60)
        # Running code makes a session that is not there, and the last attempt may have come after its end.
        session.close()


def p95_of(session: Session, count: int) -> float:
    return summarize([timed_cell(session, number) for number in range(count)]).p95


def expect_all_lines(session: Session) -> None:
    heard: OnText = lambda _: None  # noqa: E731
    outcome = session.run(f"for number in range({LINES}): print(f'{{number:06d}} ' + 'x' * 90)", heard)
    if outcome.text != "".join(f"{number:06d} {'x' * 90}\n" for number in range(LINES)):
        raise WrongResult("a neighbour lost output")


def noisy_neighbour(lab: Lab, record: Record) -> None:
    """The worst of the attacks counts, by the p95 of a neighbour's cells during it, and in the moments around it."""
    system = lab.system("kernelgw")
    assert isinstance(system, Gateway)
    times: dict[str, list[float]] = {name: [] for name in ATTACKS}
    quiet_p95 = []
    with lab.sessions(record, ["kernelgw"]) as sessions:
        neighbour = sessions["kernelgw"]
        neighbour.run("kept = 41")
        for _ in range(lab.pick(5, 1)):
            for name, code in ATTACKS.items():
                system.settle()
                p95_of(neighbour, WARM_UP)
                before = p95_of(neighbour, lab.pick(200, 20))
                with attacked(system, code):
                    # From its first moment on, and long enough for what it does to the disk to be felt.
                    during = p95_of(neighbour, lab.pick(1000, 20))
                    expect_all_lines(neighbour)
                expect_result(neighbour.run("kept + 1"), "42")
                system.settle()
                # The quieter of the two, since the machine itself is not always quiet.
                quiet = min(before, p95_of(neighbour, lab.pick(200, 20)))
                ratio = during / quiet
                say(f"  {name}: {ratio:.2f} times {quiet:.2f} ms")
                times[name].append(ratio)
                quiet_p95.append(quiet)
    record.add(OURS, *(max(found) for found in zip(*times.values(), strict=True)))
    medians = {f"{name}_times": statistics.median(found) for name, found in times.items()}
    record.extras[OURS] = {"quiet_p95_ms": statistics.median(quiet_p95), **medians}


# Coming and going ------------------------------------------------------------------------------------------------

LIVELY = """
import subprocess
for folder in ('/workspace', '/tmp', '/dev/shm'): open(folder + '/file', 'w').write('x' * 10000)
left = subprocess.Popen(['sleep', '1000'], start_new_session=True)
1+1
"""


def churn_200(lab: Lab, record: Record) -> None:
    """Things of any kind that are there afterwards and were not before."""
    system = lab.system("kernelgw")
    assert isinstance(system, Gateway)

    def come_and_go(_: int) -> None:
        session = system.open()
        try:
            expect_result(session.run(LIVELY), "2")
        finally:
            session.close()

    come_and_go(0)
    system.settle()
    before = settled(system.pid, system.data_dir)
    start = time.perf_counter()
    count = lab.pick(200, 10)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(come_and_go, range(count)))
    taken = time.perf_counter() - start
    left = left_after(system, before)
    record.add(OURS, float(sum(left.values())))
    record.extras[OURS] = {"session_ms": 1000 * taken / count}
    if left:
        record.notes[OURS] = ", ".join(f"{number} {name}" for name, number in left.items())


def left_after(system: Gateway, before: Remains) -> dict[str, int]:
    """The ends of processes and mounts take their moments; what is there after these stays."""
    system.settle()
    deadline = time.monotonic() + 20
    while (left := remains(system.pid, system.data_dir).more_than(before)) and time.monotonic() < deadline:
        time.sleep(0.1)  # counts in /proc tell nobody that they have changed
    return left


COLD = Scenario(
    name="isolation_cold",
    title="What sandbox and sealing add to a cold start",
    unit="ms",
    better="lower",
    target=Target(limit=15.0),
    run=cold,
)

CELL = Scenario(
    name="isolation_cell",
    title="What sandbox and sealing add to a trivial cell",
    unit="%",
    better="lower",
    target=Target(limit=5.0),
    run=cell,
)

NUMPY = Scenario(
    name="isolation_numpy",
    title="What sandbox and sealing add to work with numpy and pandas",
    unit="%",
    better="lower",
    target=Target(limit=5.0),
    run=numpy,
)

NOISY_NEIGHBOUR = Scenario(
    name="noisy_neighbour",
    title="A neighbour's trivial cell (p95) under the worst of four attacks",
    unit="times its quiet value",
    better="lower",
    target=Target(limit=3.0),
    run=noisy_neighbour,
)

CHURN_200 = Scenario(
    name="churn_200",
    title="Left by 200 sessions that came and went",
    unit="things",
    better="lower",
    target=Target(limit=0.0),
    run=churn_200,
)
