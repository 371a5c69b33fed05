"""What would make the machine itself harder. Nothing here is relied on: sessions are closed in without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Good = Callable[[int], bool]
# By file below /proc/sys: what is good enough, and what to set.
SETTINGS: tuple[tuple[str, Good, str], ...] = (
    ("kernel/io_uring_disabled", lambda value: value == 2, "2"),
    ("kernel/unprivileged_bpf_disabled", lambda value: value >= 1, "1"),
    ("kernel/perf_event_paranoid", lambda value: value >= 2, "2"),
    ("vm/unprivileged_userfaultfd", lambda value: value == 0, "0"),
    ("kernel/yama/ptrace_scope", lambda value: value >= 1, "1"),
    ("kernel/kptr_restrict", lambda value: value >= 1, "1"),
    ("kernel/dmesg_restrict", lambda value: value == 1, "1"),
    ("dev/tty/legacy_tiocsti", lambda value: value == 0, "0"),
    ("kernel/kexec_load_disabled", lambda value: value == 1, "1"),
)


def advice(proc: Path = Path("/proc")) -> list[tuple[str, str]]:
    """Name and a sentence, for each that could be better. What a kernel does not have is no fault of its."""
    found = []
    for name, good, wanted in SETTINGS:
        value = _number(proc / "sys" / name)
        if value is not None and not good(value):
            setting = name.replace("/", ".")
            found.append(
                (
                    "host",
                    f"sysctl {setting}={wanted} would make the whole machine harder; it is {value}",
                )
            )
    if len(_lines(proc / "swaps")) > 1:
        found.append(
            ("host", "swap is on: what sessions hold in memory may be written to disk; encrypt it or switch it off")
        )
    return found


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
