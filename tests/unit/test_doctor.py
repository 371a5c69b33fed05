"""What the doctor says, and the tables that it says it from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kernelgw.doctor import host, probes
from kernelgw.doctor.probes import tools
from kernelgw.doctor.properties import GROUPS, PROPERTIES

COUNTS = {"FS": 16, "PR": 18, "NE": 16, "KS": 11, "RS": 11, "CS": 7, "GA": 12, "OU": 11}


def test_all_properties_are_there() -> None:
    counted = {group: sum(id_.startswith(group) for id_ in PROPERTIES) for group in GROUPS}
    assert counted == COUNTS
    assert len(PROPERTIES) == 102
    assert all(each.words and id_ == each.id for id_, each in PROPERTIES.items())


def test_results_are_weighed() -> None:
    line = probes.MARK + '[{"id": "FS01", "seen": "boot"}, {"id": "FS14", "seen": "kcore"}, {"id": "FS02", "seen": ""}]'
    assert [result.outcome for result in probes.parse(f"noise\n{line}\n")] == ["missing", "weaker", "enforced"]


@pytest.mark.parametrize("printed", ["", "KERNELGW-PROBES []", "something else"])
def test_no_results_are_not_good_results(printed: str) -> None:
    with pytest.raises(ValueError, match="the probes"):
        probes.parse(printed)


def test_numbers_of_system_calls() -> None:
    """On both kinds of processors, against libseccomp's tables."""
    code = f"""
import seccomp
for kind, numbers in {dict(tools.TABLES)!r}.items():
    arch = seccomp.Arch(getattr(seccomp.Arch, kind.upper()))
    for name, number in zip({tools.NAMES!r}, numbers):
        if seccomp.resolve_syscall(arch, name) != number:
            print(kind, name)
"""
    out = subprocess.run(["/usr/bin/python3", "-I", "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == ""
    assert all(len(numbers) == len(tools.NAMES) for numbers in tools.TABLES.values())


def settings(folder: Path, **values: str) -> Path:
    for name, value in values.items():
        path = folder / "sys" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
    return folder


def test_advice_on_the_host(tmp_path: Path) -> None:
    proc = settings(tmp_path, kernel__io_uring_disabled="0\n", kernel__kptr_restrict="1\n", kernel__odd="x")
    (tmp_path / "swaps").write_text("Filename Type Size\n/dev/sda2 partition 1\n")
    words = [words for _, words in host.advice(proc)]
    assert len(words) == 2
    assert words[0].startswith("sysctl kernel.io_uring_disabled=2")
    assert words[1].startswith("swap is on")


def test_no_advice_where_nothing_is_known(tmp_path: Path) -> None:
    assert host.advice(tmp_path) == []


def test_a_probe_without_anything_to_look_for_is_left_out() -> None:
    assert "'NE02'" not in probes.source({}).splitlines()[-3]
    assert probes.source({}) != probes.source({"ports": [("127.0.0.1", 1)]})
