"""The scenarios, in the order in which they run and are shown."""

from tests.bench.model import Scenario
from tests.bench.scenarios import cells, durability, ends, isolation, javascript, memory, output, starts

ALL: tuple[Scenario, ...] = (
    cells.TRIVIAL_CELL,
    cells.JUPYTER_CELL,
    cells.JUPYTER_ADDED,
    cells.THROUGHPUT_10,
    starts.NEW_SESSION_WARM,
    starts.NEW_SESSION_COLD,
    starts.ONE_SHOT,
    starts.PROVISIONED,
    starts.FIRST_PICTURE,
    starts.BURST_20,
    output.PRINT_200K,
    output.JUPYTER_PRINT_200K,
    output.PRINT_WIDE_LINES,
    output.STOPPED_READER_1GB,
    memory.IDLE_PSS,
    javascript.JS_CELL,
    javascript.JS_FIRST,
    javascript.JS_IDLE_PSS,
    ends.KILL_REASON,
    durability.JOURNAL_CELL,
    durability.STORE_CELL,
    durability.RESUME_100K,
    isolation.COLD,
    isolation.CELL,
    isolation.NUMPY,
    isolation.NOISY_NEIGHBOUR,
    isolation.CHURN_200,
)
