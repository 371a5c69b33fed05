"""A second fence around what a session may write, should a mount ever be wrong. Landlock, where the kernel has it.

Only what changes files is fenced in; reading and running stay free. Left out on purpose, since the namespaces do it
and these would part programs of one session that were sealed one by one: abstract sockets and signals (ABI 6), ports
(ABI 4). Controls of devices (ABI 5) add nothing to a /dev that has only harmless ones.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
from collections.abc import Sequence

# Numbers of calls are the same everywhere since Linux 5.1.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1

WRITE_FILE = 1 << 1
REMOVE_DIR, REMOVE_FILE = 1 << 4, 1 << 5
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (1 << bit for bit in range(6, 13))
REFER = 1 << 13
TRUNCATE = 1 << 14

ON_FILES = WRITE_FILE | TRUNCATE
ON_FOLDERS = REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_SYM | REFER
NEVER = MAKE_CHAR | MAKE_BLOCK

# Without REFER no file may be moved or linked to another folder, wherever it is: `mv`, pip and git would break.
OLDEST_ABI = 2
FIRST_WITH_TRUNCATE = 3
# Files are written here, never made: null and terminals; one's own name, oom score and, by /dev/stdout, open files.
FILES_WITHIN = ("/dev", "/proc")

_libc = ctypes.CDLL(None, use_errno=True)


def restrict(writable: Sequence[str]) -> int:
    """From now on this thread, and all that it starts, changes files only below `writable`, /dev and /proc.

    `writable`: files and folders by absolute path; those that are not there are passed over. no_new_privs must be
    set before. Returns the ABI that was used; 0 when the kernel has none, or one too old, and nothing was done.
    Raises OSError.
    """
    abi = version()
    if abi < OLDEST_ABI:
        return 0
    handled = ON_FILES | ON_FOLDERS | NEVER
    if abi < FIRST_WITH_TRUNCATE:
        handled &= ~TRUNCATE
    # The first field alone: later ones (ports, scopes) count as empty.
    rules = _call(_CREATE, ctypes.create_string_buffer(struct.pack("=Q", handled)), 8, 0)
    try:
        for path in writable:
            _allow(rules, path, (ON_FILES | ON_FOLDERS) & handled)
        for path in FILES_WITHIN:
            _allow(rules, path, ON_FILES & handled)
        _call(_RESTRICT, rules, 0)
    finally:
        os.close(rules)
    return abi


def version() -> int:
    """The kernel's Landlock ABI; 0 when it has none, or has it switched off."""
    try:
        return _call(_CREATE, None, 0, _ASK_VERSION)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return 0
        raise


def _allow(rules: int, path: str, access: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                access &= ON_FILES
            rule = ctypes.create_string_buffer(struct.pack("=Qi", access, place))
            _call(_ADD, rules, _PATH_BENEATH, rule, 0)
        finally:
            os.close(place)


def _call(number: int, *arguments: ctypes.Array[ctypes.c_char] | int | None) -> int:
    values = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *values))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
    return result
