"""A sandbox as bubblewrap's arguments. Its protection is entirely what is said here: read it as a list."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ..errors import IsolationUnavailable
from . import diagnosis
from .policy import HOME, USER_ID, WORKSPACE, Policy

PROBE_TIMEOUT_S = 10
UNKNOWN = "Allow unprivileged user namespaces, or say `--isolation none` on a machine of your own."

NAMESPACES = (
    "--unshare-user",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup",
    "--disable-userns",
)

PASSWD = f"user:x:{USER_ID}:{USER_ID}:user:{HOME}:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
# Node asks by netlink, which sessions have not, and programs that only want to print an address die of its error.
NODE_NETWORKS = """const os = require("os");
const ask = os.networkInterfaces;
const loopback = { address: "127.0.0.1", netmask: "255.0.0.0", family: "IPv4", internal: true, cidr: "127.0.0.1/8" };
os.networkInterfaces = () => {
  try {
    return ask();
  } catch {
    return { lo: [{ ...loopback, mac: "00:00:00:00:00:00" }] };
  }
};
require("module").syncBuiltinESMExports();
"""
ETC = MappingProxyType(
    {
        "passwd": PASSWD,
        "group": f"user:x:{USER_ID}:\nnogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "resolv.conf": "",
        "hostname": "sandbox\n",
        # Filled for sessions that may install packages.
        "pip.conf": "",
        "npmrc": "",
        "node-networks.js": NODE_NETWORKS,
    }
)
# Of /proc, besides what bubblewrap makes read-only itself: what tells of the host and helps no session. Those that
# others may not read anyway are left alone, since each costs a mount.
HIDDEN = (
    *("acpi", "asound", "cmdline", "config.gz", "diskstats", "interrupts", "kallsyms", "kcore", "key-users", "keys"),
    *("fs", "latency_stats", "modules", "partitions", "sched_debug", "scsi", "timer_list"),
)
# Bubblewrap covers /proc/sys only where whoever calls it may write the folder, and so not for us; but what belongs to
# the sandbox's own ipc and pid namespaces is its user's to set. Not the whole of it in one: hosts mount things below.
SETTINGS = ("/proc/sys/kernel", "/proc/sys/fs/mqueue")
ETC_SHARED = ("ssl", "ca-certificates", "fonts", "localtime", "alternatives", "ld.so.cache", "mime.types")


@dataclass(frozen=True, slots=True)
class Arguments:
    """In bubblewrap's order: `before`, then the binds (mode, host path, path inside), then `finish`."""

    before: list[str]
    binds: list[tuple[str, str, str]]
    finish: list[str]


def find() -> str:
    """The program. Raises IsolationUnavailable with what to install."""
    program = shutil.which("bwrap", path="/usr/local/bin:/usr/bin:/bin")
    if program is None:
        raise IsolationUnavailable("bubblewrap is not installed, so sessions cannot be sandboxed.")
    return program


def probe() -> str:
    """Builds a throw-away sandbox for real. Returns the program; raises IsolationUnavailable with its words."""
    program = find()
    command = [program, *NAMESPACES, "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib"]
    command += ["--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev", "/usr/bin/true"]
    result = subprocess.run(command, env={}, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S)
    if result.returncode != 0:
        found = _diagnose()
        words = result.stderr.strip().rstrip(".")
        said = f"bubblewrap is installed but cannot build a sandbox here: {words}"
        raise IsolationUnavailable(f"{said}. {found.words}" if found else said, found.hint if found else UNKNOWN)
    # Of what a session takes beyond this sandbox, the filter of a container may refuse some still.
    found = _diagnose() if diagnosis.is_filtered() else None
    if found and found.missing == "seccomp":
        raise IsolationUnavailable(f"Sessions cannot be sandboxed here. {found.words}", found.hint)
    return program


def _diagnose() -> diagnosis.Diagnosis | None:
    """None when nothing is refused, or when it cannot be found out."""
    try:
        return diagnosis.explain(diagnosis.observe())
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def arguments(policy: Policy) -> Arguments:
    """Named parts only; everything else of the host is absent. The root and /dev end up read-only."""
    before = [
        *NAMESPACES,
        *("--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"),
        *("--uid", str(USER_ID), "--gid", str(USER_ID), "--hostname", "sandbox"),
        *("--ro-bind", "/usr", "/usr"),
        *_usr_merged(),
        *("--proc", "/proc", *_hidden(), *_settings(), "--dev", "/dev"),
        *(part for tmpfs in policy.tmpfs for part in _sized(*tmpfs)),
    ]
    return Arguments(before, policy.binds, ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", WORKSPACE])


def _sized(path: str, size: int, mode: str) -> tuple[str, ...]:
    return ("--perms", mode, "--size", str(size), "--tmpfs", path)


def _hidden() -> list[str]:
    found = []
    for name in HIDDEN:
        path = Path("/proc", name)
        if path.is_dir() and _readable_by_all(path):
            found += ["--perms", "000", "--size", "4096", "--tmpfs", str(path), "--remount-ro", str(path)]
        elif _readable_by_all(path):
            found += ["--ro-bind", "/dev/null", str(path)]
    return found


def _settings() -> list[str]:
    return [part for path in SETTINGS if Path(path).is_dir() for part in ("--ro-bind", path, path)]


def _usr_merged() -> list[str]:
    return [part for kind, source, target in system() for part in (f"--{kind}", source, target)]


def system() -> list[tuple[str, str, str]]:
    """What stands beside /usr: (symlink or ro-bind, source, target)."""
    found = []
    for name in ("bin", "sbin", "lib", "lib64", "lib32"):
        path = Path("/", name)
        if path.is_symlink():
            found.append(("symlink", str(path.readlink()), str(path)))
        elif path.is_dir():
            found.append(("ro-bind", str(path), str(path)))
    return found


def write_etc(folder: Path) -> None:
    """The /etc that every sandbox shares: generated, so that it tells nothing of the host."""
    folder.mkdir(exist_ok=True)
    # Whatever the umask: the sessions' uids read it.
    folder.chmod(0o755)
    for name, text in ETC.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
    for name in ETC_SHARED:
        source, target = Path("/etc", name), folder / name
        if target.exists() or not _readable_by_all(source):
            continue
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=_private)
        else:
            shutil.copyfile(source, target)
            target.chmod(0o644)


def _private(folder: str, names: list[str]) -> list[str]:
    """Keys and whatever others may not read stay where they are."""
    return [name for name in names if name == "private" or not _readable_by_all(Path(folder, name))]


def _readable_by_all(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o004)
    except OSError:
        return False
