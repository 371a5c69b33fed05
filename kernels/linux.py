"""The few Linux calls that Python 3.11 does not wrap. Each raises OSError with errno, as `os` does."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from types import MappingProxyType

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
ALL_NAMESPACES = (
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
)

MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_NOSUID = 2
MS_NODEV = 4
MS_NOATIME = 1024

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

# Root is nobody special, ids change no capabilities, none is kept or raised: each with its lock.
SECUREBITS = 0b1110_1111

IN_MODIFY = 0x2
IN_CLOSE_WRITE = 0x8
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x1000000
IN_DONT_FOLLOW = 0x2000000
IN_ISDIR = 0x40000000

MNT_DETACH = 2
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = 0o2000000
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_NODEV = 4
MOUNT_ATTR_IDMAP = 0x100000
# The same on every architecture.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
KEYCTL_JOIN_SESSION_KEYRING = 1
# The table of system calls is the architecture's own.
_KEYCTL = MappingProxyType({"x86_64": 250, "aarch64": 219})

MADV_COLLAPSE = 25
HUGE_PAGE = 2 << 20

_CAPABILITY_VERSION_3 = 0x20080522
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def prctl(option: int, *values: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    _check(_libc.prctl(option, *padded), f"prctl({option})")


def no_new_privs() -> bool:
    return bool(_libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)


def setns(fd: int, flags: int) -> None:
    _check(_libc.setns(fd, flags), "setns")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            kind.encode() if kind else None,
            flags,
            data.encode() if data else None,
        ),
        f"mount {target}",
    )


def open_tree(path: str) -> int:
    """A mount of that folder alone, which is nowhere yet."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
    return _descriptor(_call(_OPEN_TREE, AT_FDCWD, os.fsencode(path), flags), f"open_tree {path}")


def map_mount(tree: int, users: int) -> None:
    """Its ids become those that the user namespace has for them; nothing in it is a device or changes who runs it."""
    attributes = struct.pack("=4Q", MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, 0, users)
    result = _call(_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, attributes, len(attributes))
    _check(result, "a mount with ids of its own")


def move_mount(tree: int, target: str) -> None:
    result = _call(_MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH)
    _check(result, f"mount {target}")


def _call(number: int, *values: int | bytes) -> int:
    passed = [ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value) for value in values]
    return int(_libc.syscall(ctypes.c_long(number), *passed))


def unmount(target: str) -> None:
    """Out of sight at once, and gone when nobody uses it any more."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"unmount {target}")


def inotify_init() -> int:
    """A descriptor that never blocks and that no program inherits."""
    return _descriptor(_libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), "inotify_init1")


def inotify_add_watch(fd: int, path: str, mask: int) -> int:
    return _descriptor(_libc.inotify_add_watch(fd, os.fsencode(path), ctypes.c_uint32(mask)), f"watch {path}")


def inotify_rm_watch(fd: int, watch: int) -> None:
    _check(_libc.inotify_rm_watch(fd, watch), "inotify_rm_watch")


def _descriptor(result: int, what: str) -> int:
    if result < 0:
        _check(result, what)
    return result


def join_session_keyring() -> None:
    """A new, empty one in place of the inherited; nothing where the kernel has no keyrings."""
    number = _KEYCTL.get(os.uname().machine)
    if number is None:
        return
    result = _libc.syscall(ctypes.c_long(number), ctypes.c_long(KEYCTL_JOIN_SESSION_KEYRING), None)
    if result < 0 and ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM, errno.EDQUOT):
        _check(-1, "keyctl")


def plain_personality() -> None:
    """The usual one, also when somebody above switched the randomising of addresses off."""
    _libc.personality(ctypes.c_ulong(0))


def fflush_all() -> None:
    """Push out what C code left in stdio buffers."""
    _libc.fflush(None)


def trim_heap() -> None:
    """Gives free memory at the heap's end, and free pages within it, back to the system."""
    _libc.malloc_trim(0)


def collapse_heap() -> None:
    """Puts this process's memory into huge pages where it fills any: a fork then copies a page table 512 times
    shorter. A child that writes splits only what it touches. Nothing happens on a kernel that cannot (before 6.1)."""
    with open("/proc/self/maps") as file:
        lines = file.readlines()
    for line in lines:
        span, rights, _, _, inode, *name = line.split()
        start, end = (int(number, 16) for number in span.split("-"))
        start, end = -(-start // HUGE_PAGE) * HUGE_PAGE, end // HUGE_PAGE * HUGE_PAGE
        if inode == "0" and rights == "rw-p" and name != ["[stack]"] and end > start:
            _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_COLLAPSE)


def last_capability() -> int:
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return int(file.read())


def drop_bounding_set(last: int) -> None:
    for capability in range(last + 1):
        prctl(PR_CAPBSET_DROP, capability)


def clear_capabilities() -> None:
    """Empties the effective, permitted and inheritable sets of this thread."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    data = bytes(24)
    _check(_libc.capset(header, data), "capset")


def set_process_name(name: str) -> None:
    buffer = ctypes.create_string_buffer(name.encode()[:15])
    _check(_libc.prctl(PR_SET_NAME, buffer, 0, 0, 0), "prctl(PR_SET_NAME)")
