"""What is added to the words of programs that missed the network, and to those of others not."""

from __future__ import annotations

import pytest

from kernels.advice import LOOKED_AT, NO_NETWORK, NOT_ALLOWED, Advice

OFF, ON, NONE = {"KERNELGW_NETWORK": "off"}, {"KERNELGW_NETWORK": "on"}, {"PATH": "/bin"}
PIP = "ERROR: No matching distribution found for iniconfig\n"
PROXY = "Tunnel connection failed: 403 example.org:443 is not among the hosts that this session may reach\n"


@pytest.mark.parametrize(
    ("variables", "text", "wanted"),
    [
        (OFF, PIP, NO_NETWORK),
        (OFF, "npm error code EAI_AGAIN\n", NO_NETWORK),
        (OFF, "curl: (6) Could not resolve host: example.org", "\n" + NO_NETWORK),
        (OFF, "<urlopen error [Errno -3] Temporary failure in name resolution>\n", NO_NETWORK),
        (OFF, "all is well\n", ""),
        (OFF, PROXY, ""),
        (ON, PROXY, NOT_ALLOWED),
        (ON, "curl: (56) CONNECT tunnel failed, response 403\n", NOT_ALLOWED),
        (ON, PIP, ""),
        (NONE, PIP + PROXY, ""),
        (OFF, PIP + "x" * 3 * LOOKED_AT + "\n", NO_NETWORK),
        (OFF, "x" * 3 * LOOKED_AT + PIP, NO_NETWORK),
        (OFF, "x" * 2 * LOOKED_AT + PIP + "x" * 2 * LOOKED_AT + "\n", ""),
        (OFF, "x" * (LOOKED_AT - 10) + PIP + "x" * 3 * LOOKED_AT, ""),
    ],
)
def test_advice(variables: dict[str, str], text: str, wanted: str) -> None:
    assert Advice.of(variables).on(text, object()) == wanted


def test_it_is_given_once_for_each_cell() -> None:
    advice, first, second = Advice.of(OFF), object(), object()
    assert [bool(advice.on(PIP, cell)) for cell in (first, first, second, second)] == [True, False, True, False]
    assert not advice.on("nothing\n", first)
