"""What a session may use up: held against what is allowed, and as rlimits."""

from __future__ import annotations

import dataclasses
import resource
from pathlib import Path

import pytest

from kernelgw.kernel import recipe
from kernelgw.sandbox.cgroups import Group
from kernelgw.sandbox.policy import Limits

GB = 1 << 30
HALF = {name: value / 2 for name, value in dataclasses.asdict(Limits(cpus=2.0)).items()}


def test_no_wish_changes_nothing() -> None:
    assert Limits().but({}) == Limits()


def test_each_limit_may_be_lowered_by_itself() -> None:
    for name, value in HALF.items():
        changed = dataclasses.asdict(Limits(cpus=2.0).but({name: value}))
        assert changed.pop(name) == value
        assert changed.items() <= dataclasses.asdict(Limits(cpus=2.0)).items()


@pytest.mark.parametrize("name", HALF)
def test_none_may_be_raised_and_it_is_said_which(name: str) -> None:
    most = getattr(Limits(cpus=2.0), name)
    assert Limits(cpus=2.0).but({name: most}) == Limits(cpus=2.0)
    with pytest.raises(ValueError, match=f"{name} may be {most} at most here"):
        Limits(cpus=2.0).but({name: most + 1})


def test_cores_may_be_chosen_freely_where_there_is_no_limit_on_them() -> None:
    assert Limits(cpus=0.0).but({"cpus": 1000.0}).cpus == 1000.0


def test_every_rlimit_is_one_that_the_kernel_has() -> None:
    for name in Limits().as_rlimits(False) | {"nproc": 0}:
        assert hasattr(resource, f"RLIMIT_{name.upper()}"), name


def test_memory_is_an_rlimit_only_where_no_cgroup_counts_it() -> None:
    limits = Limits(memory_bytes=3 * GB)
    assert limits.as_rlimits(memory_is_bounded=False)["data"] == 3 * GB
    # Address space is never limited: V8 and torch reserve much of it.
    for bounded in (True, False):
        assert "as" not in limits.as_rlimits(bounded)
    assert "data" not in limits.as_rlimits(memory_is_bounded=True)


def test_rlimits_that_no_session_may_do_without() -> None:
    found = Limits(open_files=100, file_bytes=5 * GB).as_rlimits(True)
    wanted = {"nofile": 100, "fsize": 5 * GB, "core": 1, "memlock": 64 << 10, "msgqueue": 0, "rtprio": 0, "nice": 0}
    assert wanted.items() <= found.items()


def test_processes_are_an_rlimit_only_in_a_sandbox_of_its_own() -> None:
    none = Group("none")
    counted = Group("v1", {"memory": Path("/nowhere")})
    assert recipe.rlimits(Limits(processes=50), none, sandboxed=True)["nproc"] == 50
    assert "nproc" not in recipe.rlimits(Limits(processes=50), none, sandboxed=False)
    assert "data" in recipe.rlimits(Limits(), none, True)
    assert "data" not in recipe.rlimits(Limits(), counted, True)
