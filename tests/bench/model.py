"""What a scenario is, what it records, and what comes of it. Pure."""

import contextlib
import math
import statistics
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tests.bench.lab import Lab

OURS = "kernelgw"


@dataclass(frozen=True, slots=True)
class Summary:
    n: int
    p50: float
    p95: float
    p99: float
    lowest: float
    highest: float
    mean: float


def summarize(samples: list[float]) -> Summary:
    ordered = sorted(samples)

    def percentile(share: float) -> float:
        # Nearest rank: always a value that was measured.
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    return Summary(
        n=len(ordered),
        p50=statistics.median(ordered),
        p95=percentile(0.95),
        p99=percentile(0.99),
        lowest=ordered[0],
        highest=ordered[-1],
        mean=statistics.fmean(ordered),
    )


@dataclass(frozen=True, slots=True)
class Target:
    """What kernelgw's median must reach, and optionally how many times better than a peer it must be."""

    limit: float
    peer: str | None = None
    factor: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    title: str
    unit: str
    better: Literal["lower", "higher"]
    target: Target
    run: "Callable[[Lab, Record], None]"
    ours: str = OURS
    """The kernelgw instance that it measures: some want one with settings of its own."""


@dataclass(slots=True)
class Record:
    """What one run of a scenario found, by system."""

    samples: dict[str, list[float]] = field(default_factory=dict)
    extras: dict[str, dict[str, float]] = field(default_factory=dict)
    """Further numbers, by name with the unit at the end."""
    notes: dict[str, str] = field(default_factory=dict)
    incomparable: set[str] = field(default_factory=set)
    """Systems that did less than was asked, so that a ratio would flatter them."""
    errors: dict[str, str] = field(default_factory=dict)

    def add(self, system: str, *values: float) -> None:
        self.samples.setdefault(system, []).extend(values)

    @contextlib.contextmanager
    def attempt(self, system: str) -> Iterator[None]:
        """A failure of one system is kept for the end, where it fails the run; the others go on."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            self.errors[system] = f"{type(error).__name__}: {error}".splitlines()[0][:300]


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    title: str
    unit: str
    better: str
    target: Target
    ours: Summary | None
    peers: dict[str, Summary]
    ratios: dict[str, float]
    """How many times better than each peer kernelgw is, by medians."""
    met: bool
    extras: dict[str, dict[str, float]]
    notes: dict[str, str]
    errors: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        whole: dict[str, Any] = _rounded(asdict(self))
        return whole


def conclude(scenario: Scenario, record: Record) -> Result:
    summaries = {name: summarize(values) for name, values in record.samples.items() if values}
    ours = summaries.pop(scenario.ours, None)
    lower = scenario.better == "lower"
    ratios = {}
    for name, peer in summaries.items():
        if ours is not None and name not in record.incomparable:
            ratios[name] = peer.p50 / ours.p50 if lower else ours.p50 / peer.p50
    target = scenario.target
    met = ours is not None and scenario.ours not in record.errors
    if ours is not None:
        met = met and (ours.p50 <= target.limit if lower else ours.p50 >= target.limit)
    if target.peer in ratios:
        met = met and ratios[target.peer] >= target.factor

    def renamed(table: dict[str, Any]) -> dict[str, Any]:
        return {OURS if name == scenario.ours else name: value for name, value in table.items()}

    return Result(
        scenario.name,
        scenario.title,
        scenario.unit,
        scenario.better,
        target,
        ours,
        summaries,
        ratios,
        met,
        renamed(record.extras),
        renamed(record.notes),
        renamed(record.errors),
    )


def _rounded(value: Any) -> Any:
    """Four digits are more than the noise leaves true."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value
