"""What is asked of a machine before sessions run in gVisor there."""

from __future__ import annotations

import os

import pytest

from kernelgw.errors import IsolationUnavailable
from kernelgw.sandbox.cgroups import Cgroups
from kernelgw.sandbox.gvisor import Gvisor, choose
from kernelgw.sandbox.policy import Limits

NOBODY = 65534
NO_CGROUPS = Cgroups("none", "off, as the settings say")


@pytest.mark.skipif(os.geteuid() != 0, reason="shows what only root is told")
def test_limits_that_cannot_be_held_are_no_limits() -> None:
    with pytest.raises(IsolationUnavailable, match="cgroups hold the limits") as caught:
        choose(10, NO_CGROUPS)
    assert "auto" in caught.value.hint


def test_a_plain_user_is_told() -> None:
    before = os.geteuid()
    os.seteuid(before or NOBODY)
    try:
        with pytest.raises(IsolationUnavailable, match="runs as root"):
            choose(10, NO_CGROUPS)
    finally:
        os.seteuid(before)


def test_no_uid_has_two_uses() -> None:
    gvisor = Gvisor("runsc", "1", span=10)
    sessions = range(100, 110)
    used = [uid for user in sessions for uid in gvisor.uids(user)]
    # The first after the sessions' own is the proxy's.
    assert len({*used, sessions.stop}) == len(used) + 1


def test_the_group_has_room_for_threads_that_no_session_sees() -> None:
    limits = Limits(processes=32)
    around = Gvisor.around(limits)
    assert around.processes > 8 * limits.processes
    assert around.memory_bytes == limits.memory_bytes
