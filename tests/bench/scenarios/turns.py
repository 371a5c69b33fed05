"""Rows of what follows one another, since the machine's own mood changes more than what is measured."""

from collections.abc import Callable, Iterator, Sequence


def in_turn(count: int, measures: Sequence[Callable[[], float]]) -> Iterator[tuple[float, ...]]:
    """Each of them once in every row, another first each time."""
    many = len(measures)
    for number in range(count):
        order = [(number + place) % many for place in range(many)]
        found = {which: measures[which]() for which in order}
        yield tuple(found[which] for which in range(many))


def percent_more(ours: float, bare: float) -> float:
    return 100 * (ours / bare - 1)
