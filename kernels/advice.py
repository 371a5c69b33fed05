"""What to do when a program of a cell, whichever it is and however it was started, says that it missed the network.

pip for one says that it found no matching distribution, and leaves it at that.
"""

from __future__ import annotations

from collections.abc import Mapping

NOWHERE = (
    "No matching distribution found",
    "name resolution",
    "Could not resolve host",
    "Could not resolve proxy",
    "Network is unreachable",
    "EAI_AGAIN",
    "ENOTFOUND",
    "ENETUNREACH",
)
NOT_THERE = (
    "is not among the hosts that this session may reach",
    "may not be reached: ",
    "CONNECT tunnel failed, response 403",
)
# Of each end of a text: in a flood there is nothing to find, and looking through it would take its time.
LOOKED_AT = 4096
NO_NETWORK = (
    'kernelgw: this session has no network. End it and create it with "network": "packages" to install with pip and '
    'npm, or with {"allow": ["example.org"]} to reach other hosts.\n'
)
NOT_ALLOWED = (
    'kernelgw: this session may not reach that host. Name it in "network": {"allow": [...]} when creating the session; '
    '"network": "packages" is for what pip and npm fetch; private addresses only the operator can allow.\n'
)


class Advice:
    """`signs`: what programs write then; `text`: a line that ends with a newline."""

    def __init__(self, signs: tuple[str, ...] = (), text: str = "") -> None:
        self._signs = signs
        self._text = text
        self._given: object = None

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Advice:
        network = variables.get("KERNELGW_NETWORK")
        if network is None:
            return cls()
        return cls(NOWHERE, NO_NETWORK) if network == "off" else cls(NOT_THERE, NOT_ALLOWED)

    def on(self, text: str, cell: object) -> str:
        """Once for each cell; "" for nothing to say."""
        if self._given is cell or not self._signs:
            return ""
        ends = text if len(text) <= 2 * LOOKED_AT else text[:LOOKED_AT] + "\n" + text[-LOOKED_AT:]
        if not any(sign in ends for sign in self._signs):
            return ""
        self._given = cell
        return self._text if text.endswith("\n") else "\n" + self._text
