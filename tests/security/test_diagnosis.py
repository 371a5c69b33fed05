"""Machines on which no sandbox can be built, made for real in namespaces and under filters: the gateway says what is
missing. Each with the same machine without the obstacle, on which it can be built."""

from __future__ import annotations

import json
import os
import shlex
import struct
import subprocess
import sys
from collections.abc import Sequence

import pytest

MACHINE = ("x86_64", "aarch64").index(os.uname().machine)
# On both machines; acct is none that a sandbox needs.
CALLS = {
    "clone": (56, 220),
    "unshare": (272, 97),
    "setns": (308, 268),
    "sethostname": (170, 161),
    "mount": (165, 40),
    "pivot_root": (155, 41),
    "umount2": (166, 39),
    "acct": (163, 89),
}
CLONE_NEWUSER = 0x10000000
LOAD, JUMP_EQUAL, JUMP_SET, RETURN = 0x20, 0x15, 0x45, 0x06
EPERM, ALLOW = 0x00050001, 0x7FFF0000

PROBE = """
import json, sys
from kernelgw.errors import IsolationUnavailable
from kernelgw.sandbox import bubblewrap
try:
    print(json.dumps({"program": bubblewrap.probe()}))
except IsolationUnavailable as error:
    print(json.dumps({"error": error.message, "hint": error.hint}))
"""
UNDER_FILTER = """
import os, sys
from kernels import linux, seccomp
linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
seccomp.load(bytes.fromhex(sys.argv[1]))
os.execv(sys.argv[2], sys.argv[2:])
"""
ASK = (sys.executable, "-c", PROBE)


def ask(command: Sequence[str], engine: str = "podman") -> dict[str, str]:
    """What bubblewrap.probe says there, in a process whose environment says that it is that engine's."""
    environ = {"PATH": os.environ["PATH"], "container": engine}
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, result.stderr
    answer: dict[str, str] = json.loads(result.stdout)
    return answer


def as_root_of_a_namespace(line: str, command: Sequence[str]) -> list[str]:
    """`command` where that line of shell was run before, by the root of a user namespace with mounts of its own."""
    script = f'{line} && exec "$@"'
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *command]


def refusing(call: str) -> list[str]:
    """The command to ask by, where that call is refused with EPERM; of clone only what makes namespaces."""
    number = CALLS[call][MACHINE]
    only_namespaces = [(LOAD, 0, 0, 16), (JUMP_SET, 0, 1, CLONE_NEWUSER)] if call == "clone" else []
    program = [
        (LOAD, 0, 0, 0),
        (JUMP_EQUAL, 0, 1 + len(only_namespaces), number),
        *only_namespaces,
        (RETURN, 0, 0, EPERM),
        (RETURN, 0, 0, ALLOW),
    ]
    return [sys.executable, "-c", UNDER_FILTER, b"".join(struct.pack("=HBBI", *each) for each in program).hex(), *ASK]


@pytest.mark.parametrize("call", [name for name in CALLS if name != "acct"])
def test_a_filter_that_refuses_what_sandboxes_take_is_named(call: str) -> None:
    answer = ask(refusing(call))
    assert f"seccomp profile in force here refuses {call}." in answer["error"]
    assert "Podman: --security-opt seccomp=docker/seccomp.json" in answer["hint"]


def test_a_filter_that_refuses_something_else_is_no_obstacle() -> None:
    assert ask(refusing("acct")).keys() == {"program"}


@pytest.mark.parametrize(
    "cover",
    [
        "mount --bind /dev/null /proc/timer_list",
        "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys",
    ],
    ids=["masked", "read-only"],
)
def test_a_masked_proc_is_named(cover: str) -> None:
    answer = ask(as_root_of_a_namespace(cover, ASK))
    assert "mount proc" in answer["error"]
    assert "/proc is masked here" in answer["error"]
    assert "Podman: --security-opt unmask=ALL" in answer["hint"]


def test_user_namespaces_forbidden_by_sysctl_are_named() -> None:
    answer = ask(as_root_of_a_namespace("echo 0 >/proc/sys/user/max_user_namespaces", ASK))
    assert "user.max_user_namespaces=0 forbids" in answer["error"]
    assert "sysctl -w user.max_user_namespaces=65536" in answer["hint"]


def test_where_nothing_was_covered_and_forbidden_it_can_be_built() -> None:
    assert ask(as_root_of_a_namespace("mount -t tmpfs none /mnt", ASK)).keys() == {"program"}


@pytest.mark.parametrize("command", [["doctor"], ["doctor", "--json"], ["serve", "--port", "0"]], ids=shlex.join)
def test_both_commands_refuse_with_the_missing_option(command: list[str], tmp_path: os.PathLike[str]) -> None:
    kernelgw = [sys.executable, "-m", "kernelgw.cli", *command, "--data-dir", str(tmp_path)]
    environ = {"PATH": os.environ["PATH"], "container": "podman"}
    result = subprocess.run(
        as_root_of_a_namespace("mount --bind /dev/null /proc/timer_list", kernelgw),
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode != 0
    assert "--security-opt unmask=ALL" in result.stdout + result.stderr
    if "--json" in command:
        assert json.loads(result.stdout)["safe"] is False
