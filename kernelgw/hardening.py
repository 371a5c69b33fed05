"""What a process of ours does to itself, so that others of the same user get nothing from it."""

from __future__ import annotations

import ctypes
import os

PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38


def hide() -> None:
    """Its memory, environment and descriptors are out of reach for everybody but root; no core file. Raises OSError.

    Undone by exec, and by a change of uid.
    """
    _prctl(PR_SET_DUMPABLE, 0)


def gain_nothing() -> None:
    """No program that it starts has more rights than it has. Raises OSError."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")
