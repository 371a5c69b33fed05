"""What a session was asked to be, by its caller and by the gateway's settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ..kernel.launcher import Terms
from ..sandbox.policy import Limits
from .artifacts import Allowance


@dataclass(frozen=True, slots=True)
class Plan:
    """What a session was asked to be."""

    language: str
    environment: str
    terms: Terms = field(default_factory=lambda: Terms(Limits()))
    network: Any = "off"
    walls: bool = True
    variables: dict[str, str] = field(default_factory=dict)
    cwd: str = ""
    idle_timeout_s: float = 0.0
    timeout_s: float = 0.0
    grace_s: float = 5.0
    pause_s: float = 1800.0
    debugger_grace_s: float = 10.0
    output_bytes: int = 64 << 20
    log_bytes: int = 64 << 20
    artifacts: Allowance = field(default_factory=Allowance)
    history_length: int = 1000
    max_queued: int = 100
    max_kernels: int = 8
    # What was asked for, as it was asked for.
    wishes: dict[str, Any] = field(default_factory=dict)

    @property
    def reach(self) -> Any:
        """Its network, or "open": without walls a session has the machine's own."""
        return self.network if self.walls else "open"

    @property
    def once(self) -> bool:
        """Whether it is for one execution, and over with it."""
        return bool(self.wishes.get("once"))

    def allowed(self) -> dict[str, Any]:
        """What the session may use, as its caller sees it."""
        return {"limits": {**asdict(self.terms.limits), "output_bytes": self.output_bytes}, "network": self.network}
