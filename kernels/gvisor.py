"""A kernel in gVisor, seen from outside: a child of the fork server that starts `runsc` and ends as the kernel ends.

gVisor is not joined but started, so nothing here is forked from what is preloaded. `runsc` wants to be root and gets
to be it in a user namespace only: its gofer, its sentry and the session's files have three host uids of their own, none
of which is root. It is the first process of a pid namespace; when this process dies, all of it does.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable
from typing import Any, NoReturn

from . import linux
from .drivers import memory_file
from .seal import OOM_SCORE

# In a mount namespace of its own, where nobody else sees it and nothing is left of it.
PLACE = "/tmp"
BUNDLE, ROOT, STATE, SOCKETS, FILES = (f"{PLACE}/{name}" for name in ("bundle", "bundle/root", "state", "run", "files"))
PLACE_BYTES = 8 << 20
# Where the kernel finds the gateway's sockets.
SOCKETS_INSIDE = "/run/kernel"
# How gVisor numbers its own root, the session's user and the sentry.
GUEST_IDS = (0, 1000, 65534)
NAMESPACES = linux.ALL_NAMESPACES & ~linux.CLONE_NEWCGROUP
OPTIONS = ("--network=none", "--host-uds=open", "--ignore-cgroups", "--overlay2=none")
SETS = ("bounding", "effective", "inheritable", "permitted")
# Those that gVisor always makes, and that hold what a cell does not need.
EMPTY = ("/sys", "/dev/net")
HIDDEN = ("/dev/fuse", "/proc/cmdline")
# Of the first process inside, which gives the kernel and itself another uid and then has none either.
CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")


def run(boot: dict[str, Any], fds: list[int]) -> NoReturn:
    """`fds`: the crash log, at last. `boot`: runsc, uids (host's, in the order of GUEST_IDS), binds
    ([ro or rw, host path, path inside]), links, tmpfs, files, sockets (a directory), argv, limits, and inside: what the
    kernel is told. Raises OSError."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(OOM_SCORE)
    _bundle(boot)
    _leave(boot["uids"])
    read, write = os.pipe()
    runsc = os.fork()
    if runsc == 0:
        _become_runsc(boot, write, fds[-1])
    os.close(write)
    said = b""
    while piece := os.read(read, 4096):
        said += piece
    os.waitpid(runsc, 0)
    _end_as(said)


def _bundle(boot: dict[str, Any]) -> None:
    os.umask(0o022)
    linux.unshare(linux.CLONE_NEWNS)
    # Held, as it may well lie below the place that is about to be covered.
    sockets = os.open(boot["sockets"], os.O_PATH | os.O_DIRECTORY)
    # Without flags: gVisor mounts its root again, and may not drop any that were set outside its user namespace.
    linux.mount("box", PLACE, "tmpfs", 0, f"mode=711,size={PLACE_BYTES}")
    for path in (BUNDLE, ROOT, STATE, SOCKETS, FILES):
        os.mkdir(path, 0o755)
        os.chmod(path, 0o755)
    linux.mount(f"/proc/self/fd/{sockets}", SOCKETS, None, linux.MS_BIND)
    os.close(sockets)
    files = []
    for number, (text, target) in enumerate([*boot["files"], *(("", path) for path in HIDDEN)]):
        source = f"{FILES}/{number}"
        _write(source, text)
        files.append(["ro", source, target])
    mounts = [*boot["binds"], ["ro", SOCKETS, SOCKETS_INSIDE]]
    for target in (*(each[2] for each in mounts), *(each[0] for each in boot["tmpfs"]), *EMPTY, "/proc", "/dev"):
        os.makedirs(ROOT + target, exist_ok=True)
    for path in HIDDEN:
        _write(ROOT + path, "")
    for name, target in boot["links"]:
        os.symlink(target, ROOT + name)
    _write(f"{BUNDLE}/config.json", json.dumps(_spec(boot, [*mounts, *files])))
    root = boot["uids"][0]
    os.chown(STATE, root, root)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o644)


def _spec(boot: dict[str, Any], binds: Iterable[list[str]]) -> dict[str, Any]:
    mounts = [_mount("proc", "/proc"), _mount("tmpfs", "/dev")]
    for target, size, mode in boot["tmpfs"]:
        own = (f"uid={GUEST_IDS[1]}", f"gid={GUEST_IDS[1]}") if mode == "700" else ()
        mounts.append(_mount("tmpfs", target, f"size={size}", f"mode=0{mode}", *own))
    mounts += [_mount("tmpfs", target, "ro", "size=4096", "mode=0") for target in EMPTY]
    mounts += [{**_mount("bind", target, "rbind", mode), "source": source} for mode, source, target in binds]
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": boot["argv"],
            "env": [],
            "cwd": boot["inside"]["cwd"],
            "capabilities": dict.fromkeys(SETS, CAPABILITIES),
            "noNewPrivileges": True,
            "rlimits": [
                {"type": f"RLIMIT_{name.upper()}", "hard": value, "soft": value}
                for name, value in boot["limits"].items()
            ],
        },
        "root": {"path": ROOT, "readonly": True},
        "hostname": "sandbox",
        "mounts": mounts,
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
    }


def _mount(kind: str, target: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": kind, "options": list(options)}


def _leave(uids: list[int]) -> None:
    """This process out of the host's namespaces; only what it forks from now on is in the new pid namespace."""
    left_read, left_write = os.pipe()
    done_read, done_write = os.pipe()
    host = os.getpid()
    mapper = os.fork()
    if mapper == 0:
        try:
            os.close(left_write)
            if os.read(left_read, 1):
                table = "".join(f"{inside} {outside} 1\n" for inside, outside in zip(GUEST_IDS, uids, strict=True))
                for name in ("uid_map", "gid_map"):
                    with open(f"/proc/{host}/{name}", "w") as file:
                        file.write(table)
                os.write(done_write, b"x")
        finally:
            os._exit(0)
    os.close(done_write)
    linux.unshare(NAMESPACES)
    os.write(left_write, b"x")
    mapped = os.read(done_read, 1)
    os.waitpid(mapper, 0)
    if not mapped:
        raise PermissionError("the ids of the sandbox could not be mapped")
    for fd in (left_read, left_write, done_read):
        os.close(fd)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    # Changing ids has forgotten it.
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)


def _become_runsc(boot: dict[str, Any], report: int, log: int) -> NoReturn:
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV)
        os.dup2(memory_file(json.dumps(boot["inside"]).encode()), 0)
        os.dup2(report, 1)
        os.dup2(log, 2)
        os.closerange(3, 1024)
        argv = [boot["runsc"], f"--root={STATE}", *OPTIONS]
        os.execve(argv[0], [*argv, "run", f"--bundle={BUNDLE}", "kernel"], {})
    except OSError as error:
        os.write(log, f"runsc: {error}\n".encode())
    os._exit(1)


def _end_as(said: bytes) -> NoReturn:
    """What the first process inside has told of the kernel's end; without a word, the sandbox itself was killed."""
    try:
        ended = json.loads(said)
        code, number = int(ended["code"]), int(ended["signal"])
    except (ValueError, KeyError, TypeError):
        code, number = 0, int(signal.SIGKILL)
    if 0 < number < signal.NSIG:
        signal.signal(number, signal.SIG_DFL) if number not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), number)
    os._exit(code & 0xFF)
