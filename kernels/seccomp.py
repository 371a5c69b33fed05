"""Loads a system call filter into this process, for good. What it says was compiled elsewhere; here it is bytes."""

from __future__ import annotations

import ctypes
import errno
import os
from types import MappingProxyType

SET_MODE_FILTER = 1
FLAG_TSYNC = 1
INSTRUCTION_BYTES = 8
MAX_INSTRUCTIONS = 4096

# The table of system calls is the architecture's own; libc has no wrapper.
_SECCOMP = MappingProxyType({"x86_64": 317, "aarch64": 277})
_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def load(program: bytes) -> None:
    """Filters every thread of this process and all that it will start; nothing takes that back.

    `program`: an array of struct sock_filter for this architecture. no_new_privs must be set before. Raises OSError:
    EACCES without no_new_privs, EINVAL for a program that is none, ENOSYS where there is no seccomp, EBUSY when
    another thread has a filter of its own.
    """
    count, rest = divmod(len(program), INSTRUCTION_BYTES)
    if rest or not 0 < count <= MAX_INSTRUCTIONS:
        raise _error(errno.EINVAL)
    number = _SECCOMP.get(os.uname().machine)
    if number is None:
        raise _error(errno.ENOSYS)
    what = ctypes.byref(_Program(count, program))
    result = _libc.syscall(ctypes.c_long(number), ctypes.c_long(SET_MODE_FILTER), ctypes.c_long(FLAG_TSYNC), what)
    if result:
        # A positive result is the thread that stayed without.
        raise _error(errno.EBUSY if result > 0 else ctypes.get_errno())


def _error(code: int) -> OSError:
    return OSError(code, f"seccomp: {os.strerror(code)}")
