"""Single system calls as probes: what the filter answers, and arguments with which they do nothing without it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

MACHINE = os.uname().machine
# socket(2) says EINVAL to it before it looks for a protocol, whatever families this kernel was built with.
NO_SUCH_TYPE = 15
CLONE_SIGHAND = 0x800
NAMESPACES = {
    "NS": 0x20000,
    "CGROUP": 0x2000000,
    "UTS": 0x4000000,
    "IPC": 0x8000000,
    "USER": 0x10000000,
    "PID": 0x20000000,
    "NET": 0x40000000,
}


class Probe(NamedTuple):
    """`errno`: under the filter; without it the call, with these arguments, fails in another way or does nothing."""

    property: str
    call: str
    errno: int
    arguments: tuple[int, ...]


def has(*capabilities: int) -> bool:
    """In force, in this process."""
    status = Path("/proc/self/status").read_text()
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return all(effective >> capability & 1 for capability in capabilities)


# DAC_READ_SEARCH, SYS_MODULE, SYS_PACCT, SYS_ADMIN, SYS_BOOT, SYS_TIME, SYSLOG, BPF
POWERS = (2, 16, 20, 21, 22, 25, 34, 39)
FOR_ALL: dict[str, Probe] = {
    "unshare": Probe("PR05", "unshare", errno.EPERM, (1,)),
    "setns": Probe("PR06", "setns", errno.EPERM, (-1, 0)),
    "mount": Probe("FS07", "mount", errno.EPERM, (0, 0, 0, 0, 0)),
    "umount": Probe("FS07", "umount2", errno.EPERM, (0, 0)),
    "chroot": Probe("FS07", "chroot", errno.EPERM, (0,)),
    "ptrace": Probe("PR07", "ptrace", errno.EPERM, (2, 0, 0, 0)),
    "process_vm_readv": Probe("PR07", "process_vm_readv", errno.EPERM, (1, 0, 0, 0, 0, 1)),
    "process_vm_writev": Probe("PR07", "process_vm_writev", errno.EPERM, (1, 0, 0, 0, 0, 1)),
    "pidfd_getfd": Probe("PR07", "pidfd_getfd", errno.EPERM, (-1, 0, 0)),
    "kcmp": Probe("KS04", "kcmp", errno.EPERM, (0, 0, 0, 0, 0)),
    "process_madvise": Probe("PR07", "process_madvise", errno.EPERM, (-1, 0, 0, 0, 1)),
    "userfaultfd": Probe("KS02", "userfaultfd", errno.EPERM, (0xFF,)),
    "perf_event_open": Probe("KS02", "perf_event_open", errno.EPERM, (0, 0, 0, 0, -1)),
    "keyctl": Probe("PR14", "keyctl", errno.EPERM, (999,)),
    "add_key": Probe("PR14", "add_key", errno.EPERM, (0, 0, 0, 0, 0)),
    "request_key": Probe("PR14", "request_key", errno.EPERM, (0, 0, 0, 0)),
    "memfd_secret": Probe("KS02", "memfd_secret", errno.EPERM, (0xFF,)),
    "name_to_handle_at": Probe("KS04", "name_to_handle_at", errno.EPERM, (-1, 0, 0, 0, -1)),
    "personality": Probe("KS09", "personality", errno.EPERM, (0x0040000,)),
    "clone3": Probe("PR05", "clone3", errno.ENOSYS, (0, 0)),
    "io_uring_setup": Probe("KS01", "io_uring_setup", errno.ENOSYS, (0, 0)),
    "tiocsti": Probe("PR13", "ioctl", errno.EPERM, (-1, 0x5412, 0)),
    "tiocsti-high": Probe("PR13", "ioctl", errno.EPERM, (-1, 0x5412 | 1 << 32, 0)),
    "tioclinux": Probe("PR13", "ioctl", errno.EPERM, (-1, 0x541C, 0)),
    "tiocsetd": Probe("PR13", "ioctl", errno.EPERM, (-1, 0x5423, 0)),
    "character-device": Probe("FS11", "mknodat", errno.EPERM, (-100, 0, 0o020600, 0x103)),
    "block-device": Probe("FS11", "mknodat", errno.EPERM, (-100, 0, 0o060600, 0x103)),
    **{
        f"clone-{name}": Probe("PR05", "clone", errno.EPERM, (flag | CLONE_SIGHAND, 0))
        for name, flag in NAMESPACES.items()
    },
    **{
        f"socket-{family}": Probe("NE03", "socket", errno.EAFNOSUPPORT, (family, NO_SUCH_TYPE, 0))
        for family in [0, *range(3, 10), *range(11, 16), *range(17, 46), 38 | 1 << 32]
    },
    **{
        f"netlink-{name}": Probe("NE03", "socket", errno.EOPNOTSUPP, (16, NO_SUCH_TYPE, protocol))
        for name, protocol in {"route": 0, "diagnosis": 4, "audit": 9, "netfilter": 12, "generic": 16}.items()
    },
    "sctp": Probe("NE03", "socket", errno.EAFNOSUPPORT, (2, 1, 132)),
    "socketpair": Probe("NE03", "socketpair", errno.EAFNOSUPPORT, (38, NO_SUCH_TYPE, 0, 0)),
}
FOR_ROOT: dict[str, Probe] = {
    "pivot_root": Probe("FS07", "pivot_root", errno.EPERM, (0, 0)),
    "bpf": Probe("KS02", "bpf", errno.EPERM, (999, 0, 0)),
    "open_by_handle_at": Probe("KS04", "open_by_handle_at", errno.EPERM, (-1, 0, 0)),
    "fanotify_init": Probe("KS04", "fanotify_init", errno.EPERM, (0xFFFFFFFF, 0)),
    "init_module": Probe("KS03", "init_module", errno.EPERM, (0, 0, 0)),
    "finit_module": Probe("KS03", "finit_module", errno.EPERM, (-1, 0, 0xFF)),
    "delete_module": Probe("KS03", "delete_module", errno.EPERM, (0, 0)),
    "kexec_load": Probe("KS03", "kexec_load", errno.EPERM, (0, 0, 0, 0xFFFF)),
    "reboot": Probe("KS03", "reboot", errno.EPERM, (0, 0, 0, 0)),
    "swapon": Probe("KS03", "swapon", errno.EPERM, (0, 0)),
    "swapoff": Probe("KS03", "swapoff", errno.EPERM, (0,)),
    "acct": Probe("KS03", "acct", errno.EPERM, (1,)),
    "quotactl": Probe("KS03", "quotactl", errno.EPERM, (0xFFFF, 0, 0, 0)),
    "syslog": Probe("KS05", "syslog", errno.EPERM, (99, 0, 0)),
    "settimeofday": Probe("KS06", "settimeofday", errno.EPERM, (1, 0)),
    "clock_settime": Probe("KS06", "clock_settime", errno.EPERM, (99, 0)),
    "adjtimex": Probe("KS06", "adjtimex", errno.EPERM, (0,)),
    "sethostname": Probe("KS06", "sethostname", errno.EPERM, (0, -1)),
    "setdomainname": Probe("KS06", "setdomainname", errno.EPERM, (0, -1)),
}
ONLY_X86: dict[str, Probe] = {"modify_ldt": Probe("KS09", "modify_ldt", errno.EPERM, (0, 0, 0))}
PROBES = FOR_ALL | FOR_ROOT | (ONLY_X86 if MACHINE == "x86_64" else {})
# Without capabilities the kernel itself says EPERM to these, so that only root's tests can tell the filter from it.
ALIKE_WITHOUT = frozenset() if has(*POWERS) else frozenset(FOR_ROOT)

# The same kinds of call with arguments that the filter lets through: what the kernel says is all that is heard.
LET_THROUGH: dict[str, Probe] = {
    "ioctl": Probe("KS10", "ioctl", errno.EBADF, (-1, 0x541B, 0)),
    "unix": Probe("KS10", "socket", errno.EINVAL, (1, NO_SUCH_TYPE, 0)),
    "tcp": Probe("KS10", "socket", 0, (2, 1, 6)),
    "udp": Probe("KS10", "socket", 0, (2, 2, 0)),
    "pair": Probe("KS10", "socketpair", errno.EFAULT, (1, NO_SUCH_TYPE, 0, 0)),
    "process": Probe("KS10", "clone", errno.EINVAL, (CLONE_SIGHAND, 0)),
    "which-personality": Probe("KS10", "personality", 0, (0xFFFFFFFF,)),
    "fifo": Probe("KS10", "mknodat", errno.EFAULT, (-100, 0, 0o010600, 0)),
}


def numbers(names: Iterable[str]) -> dict[str, int]:
    """Of system calls on this machine, by libseccomp's tables."""
    code = f"""
import json, seccomp
print(json.dumps({{name: seccomp.resolve_syscall(seccomp.Arch(), name) for name in {sorted(set(names))}}}))
"""
    out = subprocess.run(["/usr/bin/python3", "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    return {str(name): int(number) for name, number in json.loads(out).items()}


def numbered(probes: dict[str, Probe]) -> dict[str, list[int]]:
    """The probes as number and arguments: what code in a session can call without knowing any of this."""
    known = numbers(probe.call for probe in probes.values())
    return {key: [known[probe.call], *probe.arguments] for key, probe in probes.items()}
