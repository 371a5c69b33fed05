"""Much output: does all of it come, how fast, and what does a reader cost that stops reading."""

import statistics
import time
from collections.abc import Iterator

from tests.bench.lab import Lab, say
from tests.bench.memory import MB, PeakRss
from tests.bench.model import Record, Scenario, Target
from tests.bench.systems.base import Outcome, System, WrongResult, expect_result
from tests.bench.systems.gateway import Gateway
from tests.bench.wire.sse import Event

LINES = 200_000
PRINT = f'for i in range({LINES}): print(f"{{i:06d}} " + "x" * 92)'
WIDE, WIDTH = 40, 1_000_000
PRINT_WIDE = f'for i in range({WIDE}): print(f"{{i:06d}} " + "x" * {WIDTH})'
KILOBYTES = 1_000_000
PRINT_1GB = f'for i in range({KILOBYTES}): print(f"{{i:07d}} " + "x" * 991)'


PEERS = ("raw", "kernel_gateway", "jupyter_server", "jupyverse")


def print_200k(lab: Lab, record: Record) -> None:
    compare(lab, record, ["kernelgw", *PEERS], PRINT, lines(LINES, 92))


def jupyter_print_200k(lab: Lab, record: Record) -> None:
    compare(lab, record, ["kernelgw_jupyter", *PEERS], PRINT, lines(LINES, 92))


def print_wide(lab: Lab, record: Record) -> None:
    compare(lab, record, ["kernelgw", *PEERS], PRINT_WIDE, lines(WIDE, WIDTH))


def lines(count: int, width: int) -> str:
    return "".join(f"{number:06d} {'x' * width}\n" for number in range(count))


def compare(lab: Lab, record: Record, names: list[str], code: str, wanted: str) -> None:
    shares: dict[str, list[float]] = {}
    for system in lab.rounds(record, names, lab.pick(5, 1)):
        with record.attempt(system.name):
            outcome, taken = timed_print(system, code)
            shares.setdefault(system.name, []).append(100 * len(outcome.text) / len(wanted))
            if outcome.text != wanted:
                if system.name.startswith("kernelgw"):
                    raise WrongResult(f"{shares[system.name][-1]:.3f} % of the output arrived, or not in order")
                record.incomparable.add(system.name)
            record.add(system.name, len(outcome.text) / MB / taken)
    for name, arrived in shares.items():
        record.extras[name] = {"arrived_percent": statistics.median(arrived)}
        if name in record.incomparable:
            low, high = f"{min(arrived):.1f}", f"{max(arrived):.1f}"
            record.notes[name] = f"{low if low == high else f'{low} to {high}'} % of the output arrived"


def timed_print(system: System, code: str) -> tuple[Outcome, float]:
    """What came, and the seconds to the last of it."""
    session = system.open()
    last = 0.0

    def on_text(_: str) -> None:
        nonlocal last
        last = time.perf_counter()

    try:
        expect_result(session.run("1+1"), "2")
        start = time.perf_counter()
        outcome = session.run(code, on_text)
        # Where the end of the execution was dropped too, waiting for it in vain is not the system's time.
        end = time.perf_counter() if outcome.finished or not last else last
    finally:
        session.close()
    return outcome, end - start


def stopped_reader_1gb(lab: Lab, record: Record) -> None:
    for system in lab.rounds(record, ["kernelgw_reader"], 1):
        assert isinstance(system, Gateway)
        with record.attempt(system.name):
            measure_stopped_reader(system, record)


def measure_stopped_reader(system: Gateway, record: Record) -> None:
    session, name = system.open(), system.name
    try:
        expect_result(session.run("1+1"), "2")
        with PeakRss(system.pid) as memory:
            start = time.perf_counter()
            stream = session.stream(PRINT_1GB)
            first = next(stream)
            if first.type != "execution.started":
                raise WrongResult(f"the stream begins with {first.type}")
            # Nobody reads from here on. Cells run one after another, so this one's result says that the other ended.
            say("  the reader has stopped; waiting for the cell to end")
            with session.beside() as other:
                expect_result(other.run("1+2", timeout=300), "3")
            printed = time.perf_counter() - start
            seen = read_rest(stream)
    finally:
        session.close()
    record.add(name, memory.growth_mb)
    record.extras[name] = {"cell_ended_s": printed, "read_after_mb": seen.size / MB}
    record.notes[name] = f"the reader then got {seen.size / MB:,.0f} MB, {seen.gaps} gap marker(s) and the completion"


class Seen:
    """Checks what a reader is given against what was printed: in order, whole but where a gap is told."""

    def __init__(self) -> None:
        self.size = 0
        self.gaps = 0
        self._next: int | None = 0
        self._rest = ""

    def gap(self) -> None:
        self.gaps += 1
        self._next = None
        self._rest = ""

    def text(self, text: str) -> None:
        self.size += len(text)
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        for line in lines:
            if self._next is None:
                # The first line after a gap may be the end of one; the next must be whole.
                self._next = int(line[:7]) + 1 if len(line) == 999 else None
            elif line != f"{self._next:07d} {'x' * 991}":
                raise WrongResult(f"line {self._next} is {line[:40]!r}, and no gap was told")
            else:
                self._next += 1

    def finish(self) -> None:
        if self._next != KILOBYTES or self._rest:
            raise WrongResult(f"the last line that came was {self._next}, and no gap was told")


def read_rest(stream: Iterator[Event]) -> Seen:
    seen = Seen()
    for event in stream:
        if event.type == "output.stream":
            seen.text(event.data["text"])
        elif event.type == "stream.gap":
            seen.gap()
        elif event.type == "execution.completed":
            if event.data["status"] != "completed":
                raise WrongResult(f"the cell ended as {event.data['status']}: {event.data['error']}")
            seen.finish()
            return seen
    raise WrongResult("the stream ended without execution.completed")


PRINT_200K = Scenario(
    name="print_200k",
    title="200,000 printed lines, 20 MB, live",
    unit="MB/s",
    better="higher",
    target=Target(limit=12.0),
    run=print_200k,
)

JUPYTER_PRINT_200K = Scenario(
    name="jupyter_print_200k",
    title="The same over a kernel's WebSocket",
    unit="MB/s",
    better="higher",
    target=Target(limit=12.0),
    run=jupyter_print_200k,
    ours="kernelgw_jupyter",
)

PRINT_WIDE_LINES = Scenario(
    name="print_wide",
    title=f"{WIDE} printed lines of 1 MB each, live",
    unit="MB/s",
    better="higher",
    target=Target(limit=12.0),
    run=print_wide,
)

STOPPED_READER_1GB = Scenario(
    name="stopped_reader_1gb",
    title="Growth of the gateway while 1 GB is printed to a reader that has stopped",
    unit="MB",
    better="lower",
    target=Target(limit=250.0),
    run=stopped_reader_1gb,
    ours="kernelgw_reader",
)
