"""Counts what was shown: for each property whether every test of it passed, and whether one is left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from kernelgw.doctor.properties import PROPERTIES

ENFORCED, SKIPPED, FAILED = "enforced", "skipped", "failed"


@dataclass
class Count:
    """By property, the outcomes of its tests. `absent`: shown to have no subject, by a test that would notice one."""

    outcomes: dict[str, list[str]] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, ids: Iterable[str], outcome: str, reason: str = "") -> None:
        """`outcome`: passed, failed or skipped, as pytest says it."""
        for id_ in ids:
            self.outcomes.setdefault(id_, []).append(outcome)
            if outcome == "skipped":
                self.reasons[id_] = reason

    def state(self, id_: str) -> str:
        seen = self.outcomes.get(id_, [])
        if "failed" in seen:
            return FAILED
        return ENFORCED if "passed" in seen and not self._has_no_subject(id_) else SKIPPED

    def _has_no_subject(self, id_: str) -> bool:
        return bool(PROPERTIES[id_].subject)

    def reason(self, id_: str) -> str:
        if self._has_no_subject(id_):
            return f"no gateway has this yet: {PROPERTIES[id_].subject}"
        return self.reasons.get(id_, "no test was run")

    def missing(self) -> list[str]:
        """Mandatory ones that nothing shows, and ones without a subject that no test looks after."""
        return [
            id_
            for id_, each in PROPERTIES.items()
            if "passed" not in self.outcomes.get(id_, []) and (each.mandatory or each.subject)
        ]

    def lines(self) -> list[str]:
        states = {id_: self.state(id_) for id_ in PROPERTIES}
        found = [f"{id_} skipped: {self.reason(id_)}" for id_, state in states.items() if state == SKIPPED]
        found += [f"{id_} failed: {PROPERTIES[id_].words}" for id_, state in states.items() if state == FAILED]
        numbers = [list(states.values()).count(state) for state in (ENFORCED, SKIPPED, FAILED)]
        return [*found, "{} enforced / {} skipped / {} failed".format(*numbers)]
