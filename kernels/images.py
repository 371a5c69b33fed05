"""Mounts a file system that lies in a file. By hand: every session waits for it, and mount(8) is ten times slower."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time

from . import linux

LOOP_CTL_GET_FREE = 0x4C82
LOOP_CONFIGURE = 0x4C0A
# The device goes when its last user does.
AUTOCLEAR = 4
TRIES = 50
WAITS, PAUSE_S = 500, 0.01
# struct loop_config: fd, block size, then struct loop_info64 (five numbers, four numbers, names and a key, two
# numbers), then room for later.
_CONFIG = struct.Struct("=II 5Q 4I 64s 64s 32s 2Q 64x")
OPTIONS = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOATIME


def mount(image: str, target: str) -> None:
    """An ext4 image at `target`; it goes when the mount does. Raises OSError."""
    file = os.open(image, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        _alone(file)
        device, path = _attach(file)
    finally:
        os.close(file)
    try:
        linux.mount(path, target, "ext4", OPTIONS, "discard")
    finally:
        # The mount holds the device now; without one, closing it lets it go.
        os.close(device)


def _alone(file: int) -> None:
    """Two mounts of one image would not see, and would spoil, what the other writes. The lock is the open file's: the
    loop device keeps it when this process has long ended, until what is mounted from it has been written back.

    Raises OSError (EBUSY).
    """
    for _ in range(WAITS):
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PAUSE_S)
    raise OSError(errno.EBUSY, "the workspace is still mounted elsewhere")


def _attach(file: int) -> tuple[int, str]:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(TRIES):
            path = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, LOOP_CONFIGURE, _configuration(file))
            except OSError as error:
                os.close(device)
                # Somebody else was given the same one, and was faster.
                if error.errno != errno.EBUSY:
                    raise
            else:
                return device, path
        raise OSError(errno.EBUSY, "no free loop device")
    finally:
        os.close(control)


def _configuration(file: int) -> bytes:
    return _CONFIG.pack(file, 0, 0, 0, 0, 0, 0, 0, 0, 0, AUTOCLEAR, b"workspace", b"", b"", 0, 0)
