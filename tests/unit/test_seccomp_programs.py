"""The compiled system call filters, evaluated instruction by instruction: those of other machines too."""

from __future__ import annotations

import ctypes
import errno
import functools
import itertools
import json
import re
import struct
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kernelgw.errors import IsolationUnavailable
from kernelgw.sandbox import seccomp

ROOT = Path(__file__).parents[2]
BUILDER = str(ROOT / "scripts" / "seccomp" / "build.py")
# libseccomp's own binding is the distribution's and exists for its interpreter alone.
SYSTEM_PYTHON = "/usr/bin/python3"
BUILT_WITH = (2, 5, 4)
RULES = tomllib.loads((seccomp.FILTERS / "profile.toml").read_text())
PROFILES = ("default", "strict", "uncounted")
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
FOREIGN = {"x86_64": (0x40000003, 0xC00000B7), "aarch64": (0x40000028, 0xC000003E)}
HIGHEST = 1023
X32 = 0x40000000

ALLOW, LOG, KILL = 0x7FFF0000, 0x7FFC0000, 0x80000000

# Families; types, of which one with flags; protocols, SCTP and MPTCP among them.
SOCKETS = (set(range(46)), {*range(11), 0x80801}, {132, 262}, *[set[int]()] * 3)

# Written down once more, apart from the profile, so that a slip there is seen.
MUST_BE_REFUSED = """
  clone3 unshare setns mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr
  io_uring_setup io_uring_enter io_uring_register ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp
  process_madvise bpf perf_event_open userfaultfd keyctl add_key request_key kexec_load kexec_file_load init_module
  finit_module delete_module swapon swapoff reboot acct quotactl quotactl_fd syslog settimeofday clock_settime
  clock_adjtime adjtimex iopl ioperm modify_ldt name_to_handle_at open_by_handle_at memfd_secret fanotify_init
  lookup_dcookie nfsservctl uselib ustat sysfs sethostname setdomainname
"""
SYSTEM_V = " shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl"
STRICT_REFUSES = "splice tee vmsplice mlockall mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr"
FURTHER = {"default": "", "strict": STRICT_REFUSES + SYSTEM_V, "uncounted": "memfd_create" + SYSTEM_V}


def decide(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """What the kernel would do with this call: its interpreter for the instructions that filters use."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    code = decoded(program)
    at = value = 0
    while True:
        operation, if_true, if_false, operand = code[at]
        at += 1
        match operation:
            case 0x06:
                return int(operand)
            case 0x20:
                value = struct.unpack_from("<I", data, operand)[0]
            case 0x54:
                value &= operand
            case 0x05:
                at += operand
            case _:
                at += if_true if JUMPS[operation](value, operand) else if_false


@functools.cache
def decoded(program: bytes) -> list[tuple[int, ...]]:
    return list(struct.iter_unpack("<HBBI", program))


JUMPS: dict[int, Callable[[int, int], bool]] = {
    0x15: lambda value, operand: value == operand,
    0x25: lambda value, operand: value > operand,
    0x35: lambda value, operand: value >= operand,
    0x45: lambda value, operand: value & operand != 0,
}


def action(word: str) -> int:
    return ALLOW if word == "allow" else 0x50000 | (0 if word == "nothing" else getattr(errno, word))


def unconditional(profile: str) -> dict[str, int]:
    groups = [group for group in RULES["group"] if profile in group.get("only", PROFILES)]
    return {call: action(group["action"]) for group in groups for call in group["calls"].split()}


def conditional(rule: dict[str, Any], arguments: tuple[int, ...]) -> int:
    masked = {number: arguments[int(number)] & mask for number, mask in rule["masks"].items()}
    for case in rule["cases"]:
        wanted = {number: case[number] for number in masks_of(case)}
        if all(masked[n] in (value if isinstance(value, list) else [value]) for n, value in wanted.items()):
            return action(case.get("then", "allow"))
    return action(rule["otherwise"])


def masks_of(case: dict[str, Any]) -> list[str]:
    return [name for name in case if name != "then"]


def arguments_of(rule: dict[str, Any]) -> Iterator[tuple[int, ...]]:
    """All small values, all that the rule names, their neighbours, and each with bits that the kernel ignores."""
    choices = []
    for number in range(6):
        named = [case.get(str(number), 0) for case in rule["cases"]] if str(number) in rule["masks"] else [0]
        flat = [value for each in named for value in (each if isinstance(each, list) else [each])]
        near = {value + off for value in flat for off in (-1, 0, 1)}
        single = {1 << bit for bit in range(32)} if len(rule["masks"]) == 1 else SOCKETS[number]
        values = {value & 0xFFFFFFFF for value in near | single} if str(number) in rule["masks"] else {0}
        choices.append(sorted(values | {value | 1 << 32 for value in flat}))
    yield from itertools.product(*choices)


def resolve(machine: str) -> dict[str, int]:
    code = f"""
import json, seccomp
found = {{}}
for number in range({HIGHEST}):
    try:
        name = seccomp.resolve_syscall(seccomp.Arch({machine!r}), number)
    except ValueError:
        continue
    found[name.decode() if isinstance(name, bytes) else name] = number
print(json.dumps(found))
"""
    out = subprocess.run([SYSTEM_PYTHON, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    return {str(name): int(number) for name, number in json.loads(out).items()}


@pytest.fixture(scope="module")
def numbers() -> dict[str, dict[str, int]]:
    """System calls that libseccomp knows, by machine and name."""
    return {machine: resolve(machine) for machine in AUDIT_ARCH}


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filters")
    subprocess.run([SYSTEM_PYTHON, "-I", BUILDER, "--out", folder], check=True)
    return folder


every_program = pytest.mark.parametrize(("profile", "machine"), [*itertools.product(PROFILES, AUDIT_ARCH)])
Numbers = dict[str, dict[str, int]]


def libseccomp() -> tuple[int, ...]:
    version = ctypes.CDLL("libseccomp.so.2").seccomp_version
    version.restype = ctypes.POINTER(ctypes.c_uint * 3)
    return tuple(version().contents)


@every_program
def test_programs_come_from_the_profile(profile: str, machine: str, rebuilt: Path, numbers: Numbers) -> None:
    shipped, again = seccomp.program(profile, machine), (rebuilt / f"{profile}.{machine}.bpf").read_bytes()
    if libseccomp() == BUILT_WITH:
        assert shipped == again, "run /usr/bin/python3 scripts/seccomp/build.py"
    else:
        # Another libseccomp may order instructions differently; what they decide must be the same.
        check(again, profile, machine, numbers)


@every_program
def test_programs_decide_as_the_profile_says(profile: str, machine: str, numbers: Numbers) -> None:
    check(seccomp.program(profile, machine), profile, machine, numbers)


def check(program: bytes, profile: str, machine: str, numbers: Numbers) -> None:
    arch = AUDIT_ARCH[machine]
    mine = [rule for rule in RULES["conditional"] if profile in rule.get("only", PROFILES)]
    rules = {call: rule for rule in mine for call in rule["calls"].split()}
    always = unconditional(profile)
    named = {number: name for name, number in numbers[machine].items()}
    for number in range(HIGHEST):
        name = named.get(number, "")
        if name not in rules:
            wanted = always.get(name, action("ENOSYS"))
            assert decide(program, arch, number) == decide(program, arch, number, *[2**64 - 1] * 6) == wanted, name
            continue
        seen = set()
        for arguments in arguments_of(rules[name]):
            wanted = conditional(rules[name], arguments)
            assert decide(program, arch, number, *arguments) == wanted, (name, arguments)
            seen.add(wanted)
        assert len(seen) > 1, f"{name}: the arguments tried tell nothing apart"


@every_program
def test_what_must_be_refused_is(profile: str, machine: str, numbers: Numbers) -> None:
    program, arch = seccomp.program(profile, machine), AUDIT_ARCH[machine]
    refused = MUST_BE_REFUSED + FURTHER[profile]
    there = [name for name in refused.split() if name in numbers[machine]]
    assert len(there) > 40
    for name in there:
        assert decide(program, arch, numbers[machine][name]) in (action("EPERM"), action("ENOSYS")), name
    assert decide(program, arch, numbers[machine]["getppid"]) == ALLOW
    for name in ("splice", "memfd_create", "shmget"):
        assert (decide(program, arch, numbers[machine][name]) == ALLOW) == (name not in FURTHER[profile].split()), name


@every_program
def test_other_architectures_are_killed(profile: str, machine: str, numbers: Numbers) -> None:
    program = seccomp.program(profile, machine)
    for arch in FOREIGN[machine]:
        assert {decide(program, arch, number) for number in range(HIGHEST)} == {KILL}
    if machine == "x86_64":
        assert {decide(program, AUDIT_ARCH[machine], X32 | number) for number in range(HIGHEST)} == {KILL}


@pytest.mark.parametrize("machine", AUDIT_ARCH)
def test_every_known_call_is_decided(machine: str, numbers: Numbers) -> None:
    named = {call for part in ("group", "conditional") for rule in RULES[part] for call in rule["calls"].split()}
    assert len(numbers[machine]) > 300
    # A libseccomp younger than the profile knows more; those have ENOSYS until somebody has thought about them.
    if libseccomp() == BUILT_WITH:
        assert set(numbers[machine]) - named == set()
    assert named - set().union(*numbers.values()) == set()


@pytest.mark.parametrize("option", ["default", "strict"])
def test_a_program_for_this_machine(option: str) -> None:
    program = seccomp.program(option)
    assert len(program) % 8 == 0
    assert 100 < len(program) // 8 < 1000


def test_without_a_program_for_the_machine_there_is_no_isolation() -> None:
    with pytest.raises(IsolationUnavailable, match="riscv64") as caught:
        seccomp.program(machine="riscv64")
    assert "default.aarch64" in caught.value.hint
    with pytest.raises(IsolationUnavailable, match="lax"):
        seccomp.program("lax")


def test_the_builder_lists_what_a_command_would_be_refused() -> None:
    command = [SYSTEM_PYTHON, "-I", BUILDER, "--watch", "sh", "-c", "unshare --user true; echo went on"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert "went on" in result.stdout
    assert re.search(r"^ +1 unshare$", result.stdout, re.MULTILINE), result


def test_the_builder_makes_variants_that_only_log(tmp_path: Path, numbers: Numbers) -> None:
    command = [SYSTEM_PYTHON, "-I", BUILDER, "--log"]
    assert subprocess.run(command, capture_output=True).returncode != 0, "the shipped ones would be overwritten"
    subprocess.run([*command, "--out", tmp_path], check=True)
    program = (tmp_path / "default.x86_64.bpf").read_bytes()
    decisions = {name: decide(program, AUDIT_ARCH["x86_64"], numbers["x86_64"][name]) for name in ("read", "mount")}
    assert decisions == {"read": ALLOW, "mount": LOG}


MODES = {
    "x86_64": {"chmod": (90, 1), "fchmod": (91, 1), "fchmodat": (268, 2), "fchmodat2": (452, 2), "creat": (85, 1)}
    | {"mknod": (133, 1), "mknodat": (259, 2)},
    "aarch64": {"fchmod": (52, 1), "fchmodat": (53, 2), "fchmodat2": (452, 2), "mknodat": (33, 2)},
}
OPENS = {"x86_64": {"open": (2, 1), "openat": (257, 2)}, "aarch64": {"openat": (56, 2)}}
EPERM, ENOSYS = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS


@pytest.mark.parametrize("machine", sorted(MODES))
def test_no_file_of_a_lent_folder_becomes_set_uid(machine: str) -> None:
    program, arch = seccomp.without_marks(machine), AUDIT_ARCH[machine]
    for number, place in MODES[machine].values():
        for mode in (0, 0o755, 0o1777, 0o100644, 0o4755, 0o2755, 0o6000, 0o104755, (1 << 32) | 0o4000):
            arguments = [0] * place + [mode]
            assert decide(program, arch, number, *arguments) == (EPERM if mode & 0o6000 else ALLOW), (number, mode)
    for number, place in OPENS[machine].values():
        for flags, makes in ((0, False), (0o100, True), (0o20200000, True), (0o1101, True), (0o2000000, False)):
            for mode in (0o644, 0o4755, 0o2000):
                arguments = [0] * place + [flags, mode]
                wanted = EPERM if makes and mode & 0o6000 else ALLOW
                assert decide(program, arch, number, *arguments) == wanted, (number, flags, mode)
    assert decide(program, arch, 437, 0, 0, 0) == ENOSYS
    others = (
        set(range(HIGHEST)) - {437} - {number for number, _ in (*MODES[machine].values(), *OPENS[machine].values())}
    )
    assert {decide(program, arch, number, *[0o6777] * 6) for number in others} == {ALLOW}


def test_the_numbers_are_those_of_the_calls() -> None:
    """As the distribution's own libseccomp has them."""
    code = "import seccomp, sys, json; a = seccomp.Arch(sys.argv[1]); "
    code += "print(json.dumps([seccomp.resolve_syscall(a, name) for name in sys.argv[2:]]))"
    for machine, calls in MODES.items():
        known = calls | OPENS[machine]
        named = [name for name in known if name != "fchmodat2"]
        command = [SYSTEM_PYTHON, "-I", "-c", code, machine, *named, "openat2"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert found == [*(known[name][0] for name in named), 437]
