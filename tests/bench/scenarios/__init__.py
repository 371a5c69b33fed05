"""The scenarios, in the order in which they run and are shown."""

from tests.bench.model import Scenario
from tests.bench.scenarios import cells, ends, memory, output, starts

ALL: tuple[Scenario, ...] = (
    cells.TRIVIAL_CELL,
    cells.THROUGHPUT_10,
    starts.NEW_SESSION_WARM,
    starts.NEW_SESSION_COLD,
    starts.FIRST_PICTURE,
    starts.BURST_20,
    output.PRINT_200K,
    output.STOPPED_READER_1GB,
    memory.IDLE_PSS,
    ends.KILL_REASON,
)
