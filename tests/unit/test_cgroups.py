"""Groups of sessions: v1 with this machine's own, as root; v2's logic against a directory that stands for its files.

Where v1 has the controllers, v2 has none, so nothing here shows that the kernel takes what is written for v2: only that
the right values go to the right files in the right order, and that what the kernel would refuse is lived with.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelgw.errors import IsolationUnavailable
from kernelgw.sandbox import cgroups
from kernelgw.sandbox.cgroups import Cgroups, Group
from kernelgw.sandbox.policy import Limits
from tests.live.proc import wait_until

MB = 1 << 20
needs_v1 = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/sys/fs/cgroup/memory").is_dir(), reason="needs root and cgroups v1"
)
LIMITS = Limits(memory_bytes=64 * MB, processes=20, cpus=0.5)


@pytest.fixture
def v1() -> Iterator[Cgroups]:
    found = Cgroups.detect(f"kernelgw-test-{uuid.uuid4().hex[:8]}", "v1")
    yield found
    found.sweep()
    assert not [folder for parent in found.parents.values() for folder in parent.glob(f"{found.prefix}*")]


@pytest.fixture
def group(v1: Cgroups) -> Iterator[Group]:
    group = v1.create("session", LIMITS)
    yield group
    group.kill()
    wait_until(group.remove, 5, lambda: group.processes())


def run_in(group: Group, code: str) -> subprocess.Popen[str]:
    """A Python process that has entered before it does anything else."""
    enter = f"for path in {group.doors!r}: open(path, 'w').write('0')\n"
    command = [sys.executable, "-c", enter + code]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


# v1, for real ----------------------------------------------------------------------------------------------------


@needs_v1
def test_detected_by_trying(v1: Cgroups) -> None:
    assert v1.kind == "v1"
    assert v1.controllers == {"memory", "pids", "cpu", "cpuacct"}
    assert v1.counts_memory
    assert all(parent.is_dir() for parent in v1.parents.values())


@needs_v1
def test_limits_are_in_force_before_anybody_enters(group: Group) -> None:
    assert group.processes() == []
    said = {name: (group.folders[of] / name).read_text().strip() for of, name in V1_FILES}
    assert said == {
        "memory.limit_in_bytes": str(64 * MB),
        "memory.memsw.limit_in_bytes": str(64 * MB),
        "memory.swappiness": "0",
        "memory.kmem.tcp.limit_in_bytes": str(4 * MB),
        "pids.max": "20",
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "50000",
    }


V1_FILES = (
    ("memory", "memory.limit_in_bytes"),
    ("memory", "memory.memsw.limit_in_bytes"),
    ("memory", "memory.swappiness"),
    ("memory", "memory.kmem.tcp.limit_in_bytes"),
    ("pids", "pids.max"),
    ("cpu", "cpu.cfs_period_us"),
    ("cpu", "cpu.cfs_quota_us"),
)


@needs_v1
def test_who_enters_is_counted_and_so_are_its_children(group: Group) -> None:
    code = """
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
print(child.pid, flush=True)
input(); child.communicate(b'\\n')
"""
    with run_in(group, code) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert set(group.processes()) == {process.pid, child}
        assert group.memory()[0] > 0
        assert not group.remove()
        process.communicate("\n")
    assert group.processes() == []
    now, most = group.memory()
    assert most >= now
    assert most > MB


@needs_v1
def test_out_of_memory_ends_who_took_it_and_is_counted(group: Group) -> None:
    assert group.oom_kills() == 0
    with run_in(group, f"block = bytearray(32 * {MB}); print(len(block))") as process:
        assert process.communicate()[0] == f"{32 * MB}\n"
    assert (process.returncode, group.oom_kills()) == (0, 0)
    with run_in(group, f"block = bytearray(128 * {MB})") as process:
        process.communicate()
    assert (process.returncode, group.oom_kills()) == (-9, 1)


@needs_v1
def test_limits_of_a_living_group_are_raised_and_lowered(group: Group) -> None:
    for size in (256, 32, 512):
        group.set(Limits(memory_bytes=size * MB, processes=30))
        for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
            assert (group.folders["memory"] / name).read_text() == f"{size * MB}\n"
    assert (group.folders["pids"] / "pids.max").read_text() == "30\n"
    # No wish for cores means as many as there are.
    assert (group.folders["cpu"] / "cpu.cfs_quota_us").read_text() == "-1\n"


@needs_v1
def test_less_than_is_in_use_is_an_error(group: Group) -> None:
    with run_in(group, f"block = bytearray(48 * {MB}); print('up', flush=True); input()") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        with pytest.raises(OSError):
            group.set(Limits(memory_bytes=16 * MB))
        process.communicate("\n")
    assert process.returncode == 0


@needs_v1
def test_kill_ends_those_who_keep_forking(group: Group) -> None:
    """Each of them starts two others and ends, for as long as it may."""
    code = """
import os
print('up', flush=True)
while True:
    try:
        if os.fork(): os.fork()
        if os.getppid() == 1: continue
    except OSError:
        pass
"""
    with run_in(group, code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        wait_until(lambda: len(group.processes()) > 10, 5, "it does not fork")

        def over() -> bool:
            group.kill()
            return group.processes() == []

        wait_until(over, 5, lambda: group.processes())
        process.wait(5)


@needs_v1
def test_a_name_that_is_taken_is_an_error_and_leaves_the_owner_s_alone(v1: Cgroups, group: Group) -> None:
    with pytest.raises(FileExistsError):
        v1.create("session", LIMITS)
    assert all(folder.is_dir() for folder in group.folders.values())


@needs_v1
def test_a_sweep_ends_and_removes_what_an_earlier_gateway_left(v1: Cgroups) -> None:
    left = v1.create("left", LIMITS)
    with run_in(left, "print('up', flush=True); input()") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        again = Cgroups.detect(v1.prefix.rstrip("."), "v1")
        again.sweep()
        assert process.wait(5) == -9
    assert not [folder for folder in left.folders.values() if folder.exists()]


@needs_v1
def test_a_sweep_keeps_what_it_is_told_to_and_everybody_else_s(v1: Cgroups) -> None:
    kept = v1.create("kept", LIMITS)
    other = Cgroups.detect(f"{v1.prefix}other"[:-6] + "-other", "v1").create("theirs", LIMITS)
    try:
        v1.sweep(["kept"])
        assert all(folder.is_dir() for group in (kept, other) for folder in group.folders.values())
        assert v1.find("kept").folders == kept.folders
    finally:
        other.remove()


@needs_v1
def test_processor_time_is_counted_and_who_stands_back_comes_last(v1: Cgroups, group: Group) -> None:
    """On one core beside one that does not: how much each gets is the kernel's own doing."""
    forward = v1.create("forward", Limits())
    group.set(Limits())
    assert not group.stands_back()
    group.stand_back(True)
    assert (group.stands_back(), forward.stands_back()) == (True, False)
    loop = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print('up', flush=True)\nwhile True: pass"
    )
    with run_in(group, loop) as back, run_in(forward, loop) as first:
        for process in (back, first):
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
        before = group.cpu_seconds(), forward.cpu_seconds()
        assert None not in before
        wait_until(lambda: (forward.cpu_seconds() or 0) - (before[1] or 0) > 0.5, 30, "it gets no time")
        assert (group.cpu_seconds() or 0) - (before[0] or 0) < 0.1
        group.stand_back(False)
        assert not group.stands_back()
        wait_until(lambda: (group.cpu_seconds() or 0) - (before[0] or 0) > 0.5, 30, "it gets no time")
        for process in (back, first):
            process.kill()
    wait_until(forward.remove, 5, "it is in use")


# Either, against a directory -------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """v2 as systemd delegates it: the gateway alone in a group of its own, with all controllers offered."""
    here = tmp_path / "system.slice" / "kernelgw.service"
    here.mkdir(parents=True)
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (here / "cgroup.controllers").write_text("cpu memory pids\n")
    (here / "cgroup.procs").write_text("41\n42\n")
    return tmp_path


OWN = "0::/system.slice/kernelgw.service\n"


def here(tree: Path) -> Path:
    return tree / "system.slice" / "kernelgw.service"


def test_v2_is_taken_when_its_controllers_are_delegated(tree: Path) -> None:
    found = Cgroups.detect("ours", root=tree, own=OWN)
    assert (found.kind, found.controllers) == ("v2", frozenset({"memory", "pids", "cpu"}))
    assert found.why == "memory, processes and processor time"
    assert (here(tree) / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    # Beside the leaf in which the gateway may be, so that whoever stands back does so behind it too.
    assert found.create("one", LIMITS).doors == (str(here(tree) / "ours.one" / "cgroup.procs"),)


def test_v2_moves_the_gateway_into_a_leaf_when_it_must(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the kernel says that a group with processes gives its own no controllers."""
    write = Path.write_text
    moved: list[str] = []

    def kernel(path: Path, text: str) -> int:
        if path == here(tree) / "cgroup.subtree_control" and len(moved) < 2:
            raise OSError(16, "Device or resource busy")
        if path == here(tree) / "gateway" / "cgroup.procs":
            moved.append(text)
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", kernel)
    found = Cgroups.detect("ours", root=tree, own=OWN)
    assert found.kind == "v2"
    assert moved == ["41", "42"]
    assert (here(tree) / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    assert set(found.parents.values()) == {here(tree)}


def test_v2_knows_the_leaf_that_it_once_moved_into(tree: Path) -> None:
    (here(tree) / "gateway").mkdir()
    found = Cgroups.detect("ours", root=tree, own=OWN.strip() + "/gateway\n")
    assert set(found.parents.values()) == {here(tree)}


@pytest.mark.parametrize(
    ("cpus", "quota"), [(0.0, "max 100000"), (0.25, "25000 100000"), (1.5, "150000 100000"), (64, "6400000 100000")]
)
def test_v2_limits_as_written(tree: Path, cpus: float, quota: str) -> None:
    found = Cgroups.detect("ours", root=tree, own=OWN)
    folder = here(tree) / "ours.one"
    group = Group("v2", dict.fromkeys(found.parents, folder))
    folder.mkdir()
    for name in ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max"):
        (folder / name).touch()
    group.set(Limits(memory_bytes=300 * MB, processes=77, cpus=cpus))
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "memory.max": str(300 * MB),
        "memory.swap.max": "0",
        "memory.oom.group": "0",
        "pids.max": "77",
        "cpu.max": quota,
    }


def test_v2_without_swap_accounting_is_no_error(tree: Path) -> None:
    found = Cgroups.detect("ours", root=tree, own=OWN)
    group = found.create("one", LIMITS)
    # A plain directory has none of the files, as a kernel without these features has not.
    assert list((here(tree) / "ours.one").iterdir()) == []
    assert group.remove()


def test_v2_counts(tree: Path) -> None:
    folder = here(tree) / "one"
    folder.mkdir()
    group = Group("v2", {"memory": folder, "pids": folder})
    assert group.counts_memory
    assert group.doors == (str(folder / "cgroup.procs"),)
    assert (group.memory(), group.oom_kills(), group.processes()) == ((0, 0), 0, [])
    (folder / "memory.current").write_text("1000\n")
    (folder / "memory.peak").write_text("5000\n")
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n")
    (folder / "cgroup.procs").write_text("7\n8\n")
    assert (group.memory(), group.oom_kills(), group.processes()) == ((1000, 5000), 2, [7, 8])


def test_v2_counts_processor_time_and_stands_back(tree: Path) -> None:
    folder = here(tree) / "one"
    folder.mkdir()
    (folder / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n")
    (folder / "cpu.idle").write_text("0\n")
    group = Group("v2", {"cpu": folder})
    assert (group.cpu_seconds(), group.stands_back()) == (1.5, False)
    group.stand_back(True)
    assert (folder / "cpu.idle").read_text()[0] == "1"
    nothing = Group("v2", {"pids": folder})
    assert (nothing.cpu_seconds(), nothing.shares_cpu, nothing.stands_back()) == (None, False, False)


def test_v2_kills_by_one_word(tree: Path) -> None:
    folder = here(tree) / "one"
    folder.mkdir()
    (folder / "cgroup.procs").write_text(f"{os.getpid()}\n")
    Group("v2", {"pids": folder}).kill()
    assert (folder / "cgroup.kill").read_text() == "1"


def test_v2_with_some_controllers_says_which_are_missing(tree: Path) -> None:
    (here(tree) / "cgroup.controllers").write_text("pids\n")
    found = Cgroups.detect("ours", root=tree, own=OWN)
    assert (found.kind, found.controllers, found.why) == ("v2", frozenset({"pids"}), "without memory, cpu")
    assert not found.counts_memory
    assert not found.create("one", LIMITS).counts_memory


def test_v2_without_any_gives_way_to_v1(tmp_path: Path) -> None:
    """As on machines that have both: v2 is mounted beside v1, and v1 has the controllers."""
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified" / "cgroup.controllers").write_text("hugetlb\n")
    for name in ("memory", "cpu,cpuacct"):
        (tmp_path / name).mkdir()
    own = "4:memory:/\n3:pids:/a/b\n1:cpu,cpuacct:/\n0::/\n"
    found = Cgroups.detect("ours", root=tmp_path, own=own)
    assert (found.kind, found.why) == ("v1", "without pids")
    both = tmp_path / "cpu,cpuacct"
    assert dict(found.parents) == {"memory": tmp_path / "memory", "cpu": both, "cpuacct": both}


def test_v1_in_a_container_uses_what_is_mounted(tmp_path: Path) -> None:
    """The path is told as the host sees it, and leads nowhere inside."""
    (tmp_path / "memory").mkdir()
    found = Cgroups.detect("ours", root=tmp_path, own="4:memory:/docker/0123456789ab\n")
    assert dict(found.parents) == {"memory": tmp_path / "memory"}


def test_none_when_there_is_nothing_and_it_says_why_and_what_to_do(tmp_path: Path) -> None:
    found = Cgroups.detect("ours", root=tmp_path, own="0::/\n")
    assert (found.kind, found.controllers) == ("none", frozenset())
    assert "v2: not mounted; v1: not mounted" in found.why
    assert "Delegate=yes" in found.why
    group = found.create("one", LIMITS)
    assert (group.doors, group.counts_memory, group.processes(), group.remove()) == ((), False, [], True)


def test_none_when_told_so() -> None:
    assert Cgroups.detect("ours", "none").kind == "none"


@pytest.mark.parametrize("wanted", ["v1", "v2"])
def test_a_kind_that_is_asked_for_and_not_there_is_an_error(tmp_path: Path, wanted: str) -> None:
    with pytest.raises(IsolationUnavailable, match=f"{wanted}: not mounted"):
        Cgroups.detect("ours", wanted, tmp_path, "0::/\n")


def test_a_kind_that_is_none_is_an_error() -> None:
    with pytest.raises(IsolationUnavailable, match="no kind of cgroups called 'v3'"):
        Cgroups.detect("ours", "v3")


def test_a_group_that_cannot_have_its_limits_is_not_left_behind(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Cgroups.detect("ours", root=tree, own=OWN)

    def refuse(self: Group, limits: Limits) -> None:
        raise OSError("no")

    monkeypatch.setattr(cgroups.Group, "set", refuse)
    with pytest.raises(OSError, match="no"):
        found.create("one", LIMITS)
    assert not (here(tree) / "ours.one").exists()
