"""The filter of a container around the gateway: made from the sessions' own profile, and no wider than said."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "seccomp" / "container.py"
PROFILE: dict[str, Any] = json.loads((ROOT / "docker" / "seccomp.json").read_text())
SESSIONS = tomllib.loads((ROOT / "kernelgw" / "sandbox" / "filters" / "profile.toml").read_text())
ALLOW, ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
# What bubblewrap and the fork server take beyond a session.
BUILDING = {"clone", "keyctl", "mount", "pivot_root", "sethostname", "setns", "umount2", "unshare"}


def rules(call: str) -> list[dict[str, Any]]:
    return [rule for rule in PROFILE["syscalls"] if call in rule["names"]]


def answer(call: str, *arguments: int) -> int:
    """0 when it is let through, else the errno; the arguments that are not given are 0."""
    for rule in rules(call):
        if all(matches(arg, arguments) for arg in rule.get("args", [])):
            return 0 if rule["action"] == ALLOW else int(rule["errnoRet"])
    return int(PROFILE["defaultErrnoRet"])


def matches(arg: dict[str, Any], arguments: tuple[int, ...]) -> bool:
    assert arg["op"] == "SCMP_CMP_MASKED_EQ"
    given = arguments[arg["index"]] if arg["index"] < len(arguments) else 0
    return bool(given & arg["value"] == arg["valueTwo"])


def test_it_is_what_the_script_makes(tmp_path: Path) -> None:
    made = tmp_path / "seccomp.json"
    subprocess.run([sys.executable, "-I", SCRIPT, "--out", made], check=True)
    assert made.read_text() == (ROOT / "docker" / "seccomp.json").read_text(), f"run {SCRIPT.relative_to(ROOT)}"


def test_it_has_the_form_that_every_engine_reads() -> None:
    assert PROFILE["defaultAction"] == ERRNO
    assert PROFILE["defaultErrnoRet"] == errno.ENOSYS
    # One of the two, or Docker refuses it; and only this one is known to containerd.
    assert "archMap" not in PROFILE
    assert PROFILE["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]
    keys = {"names", "action", "errnoRet", "args"}
    assert all(rule.keys() <= keys and rule["action"] in (ALLOW, ERRNO) for rule in PROFILE["syscalls"])
    assert all((rule["action"] == ERRNO) == ("errnoRet" in rule) for rule in PROFILE["syscalls"])


def test_no_rule_contradicts_another() -> None:
    actions: dict[str, set[str]] = {}
    for rule in PROFILE["syscalls"]:
        for call in rule["names"]:
            actions.setdefault(call, set()).add(rule["action"])
    assert not [call for call, found in actions.items() if len(found) > 1]


def test_whatever_a_session_may_do_its_container_may() -> None:
    """Else the outer filter would take from sessions what the inner one was made to leave them."""
    calls = {call for group in SESSIONS["group"] if group["action"] == "allow" for call in group["calls"].split()}
    assert not [call for call in calls if answer(call) != 0]
    for rule in SESSIONS["conditional"]:
        for case in rule["cases"]:
            if case.get("then", "allow") == "allow":
                values = {int(n): v[0] if isinstance(v, list) else v for n, v in case.items() if n != "then"}
                arguments = [values.get(n, 0) for n in range(6)]
                assert not [call for call in rule["calls"].split() if answer(call, *arguments) != 0], case


def test_beyond_that_it_lets_through_what_builds_sandboxes_and_nothing_else() -> None:
    mine = {call for rule in PROFILE["syscalls"] if rule["action"] == ALLOW for call in rule["names"]}
    theirs = {call for group in SESSIONS["group"] if group["action"] == "allow" for call in group["calls"].split()}
    theirs |= {call for rule in SESSIONS["conditional"] for call in rule["calls"].split()}
    assert mine - theirs == BUILDING - {"clone"}
    assert answer("clone", 0x7E020000) == 0
    # Bubblewrap's, to take loopback up: sessions have no netlink.
    (sockets,) = [rule for rule in SESSIONS["conditional"] if rule["calls"] == "socket"]
    assert [case["then"] for case in sockets["cases"] if case["0"] == 16] == ["EOPNOTSUPP"]


@pytest.mark.parametrize(
    ("call", "arguments", "code"),
    [
        *[(call, (), errno.EPERM) for call in ("ptrace", "bpf", "perf_event_open", "init_module", "kexec_load")],
        *[(call, (), errno.EPERM) for call in ("process_vm_writev", "pidfd_getfd", "open_by_handle_at", "chroot")],
        *[(call, (), errno.EPERM) for call in ("open_tree", "move_mount", "fsmount", "add_key", "reboot", "swapon")],
        *[(call, (), errno.ENOSYS) for call in ("io_uring_setup", "clone3", "a_call_to_come")],
        ("keyctl", (1,), 0),
        ("keyctl", (0,), errno.ENOSYS),
        ("keyctl", (11,), errno.ENOSYS),
        ("socket", (1, 1, 0), 0),
        ("socket", (16, 3, 0), 0),
        ("socket", (16, 3, 12), errno.ENOSYS),
        ("socket", (38, 5, 0), errno.ENOSYS),
        ("socket", (40, 1, 0), errno.ENOSYS),
        ("mknodat", (0, 0, 0o020600), errno.ENOSYS),
        ("personality", (0x40000,), errno.ENOSYS),
    ],
)
def test_what_it_answers(call: str, arguments: tuple[int, ...], code: int) -> None:
    assert answer(call, *arguments) == code
