"""The system call filter of sessions, compiled beforehand by scripts/seccomp/build.py from filters/profile.toml."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ..errors import IsolationUnavailable

FILTERS = Path(__file__).with_name("filters")


def program(profile: str = "default", machine: str | None = None) -> bytes:
    """An array of struct sock_filter, as kernels/seccomp.py loads it. `profile`: "default", "strict", or "uncounted"
    where no cgroup counts memory; `machine`: as `uname -m` says it, this one when not given. Raises
    IsolationUnavailable where there is none."""
    machine = machine or os.uname().machine
    try:
        return (FILTERS / f"{profile}.{machine}.bpf").read_bytes()
    except FileNotFoundError:
        there = sorted(path.name.removesuffix(".bpf") for path in FILTERS.glob("*.bpf"))
        raise IsolationUnavailable(
            f"There is no system call filter {profile!r} for processors of kind {machine}.",
            f"There are {', '.join(there)}. Run the gateway on one of these, or say `--isolation none` "
            "on a machine of your own.",
        ) from None


# Set-uid and set-gid; flags of open by which a file is made (O_CREAT, __O_TMPFILE).
MARKS, MAKES = 0o6000, 0o100 | 0o20000000
# By machine: number, argument with the mode, and with the flags where it makes a file only with some.
_MODES: Mapping[str, tuple[tuple[int, int, int | None], ...]] = MappingProxyType(
    {
        # open, creat, chmod, fchmod, mknod, openat, mknodat, fchmodat, fchmodat2
        "x86_64": (
            *((2, 2, 1), (85, 1, None), (90, 1, None), (91, 1, None), (133, 1, None)),
            *((257, 3, 2), (259, 2, None), (268, 2, None), (452, 2, None)),
        ),
        # mknodat, fchmod, fchmodat, openat, fchmodat2
        "aarch64": ((33, 2, None), (52, 1, None), (53, 2, None), (56, 3, 2), (452, 2, None)),
    }
)
# It has its flags in memory, where no filter reads them.
_OPENAT2 = 437
_LOAD, _EQUAL, _ANY_OF, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000


def without_marks(machine: str | None = None) -> bytes:
    """A further filter: no file becomes set-uid or set-gid. For folders that others come to as well, who would run as
    its owner what is in there. Raises KeyError for a machine without a filter."""
    code = [_instruction(_LOAD, 0), *_if(_EQUAL, _OPENAT2, [_instruction(_RETURN, _REFUSE | errno.ENOSYS)])]
    for number, mode, flags in _MODES[machine or os.uname().machine]:
        marked = _asked(mode, MARKS, [_instruction(_RETURN, _REFUSE | errno.EPERM)])
        if flags is not None:
            marked = _asked(flags, MAKES, marked)
        code += _if(_EQUAL, number, [*marked, _instruction(_RETURN, _ALLOW)])
    return b"".join([*code, _instruction(_RETURN, _ALLOW)])


def _instruction(operation: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", operation, if_true, if_false, operand)


def _if(test: int, operand: int, then: list[bytes]) -> list[bytes]:
    return [_instruction(test, operand, 0, len(then)), *then]


def _asked(argument: int, bits: int, then: list[bytes]) -> list[bytes]:
    """`then`, when any of the bits is in the argument's lower half, which is all that the kernel looks at."""
    return [_instruction(_LOAD, 16 + 8 * argument), *_if(_ANY_OF, bits, then)]
