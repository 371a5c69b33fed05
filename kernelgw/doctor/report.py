"""What this machine can enforce, as a table: layers first, then each property."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ..environments import find
from ..errors import GatewayError
from ..kernel.fences import Fences, raise_fences
from ..kernel.launcher import Launcher, Terms
from ..sandbox.policy import Limits
from ..settings import Settings
from . import check, host
from .probes import Result
from .properties import PROPERTIES

ENFORCED, WEAKER, MISSING, ADVICE = "enforced", "weaker", "missing", "advice"
MARKS = MappingProxyType({ENFORCED: "ok  ", WEAKER: "weak", MISSING: "MISS", ADVICE: "tip "})


@dataclass(frozen=True, slots=True)
class Line:
    """`state`: enforced, weaker, missing, or advice; `words`: what holds, or why not and what to do."""

    name: str
    state: str
    words: str


def layers(fences: Fences) -> list[Line]:
    groups = fences.cgroups
    wanted = {"memory", "pids", "cpu"} - set(groups.controllers)
    return [
        Line("sandbox", ENFORCED if fences.sandboxed else MISSING, _sandbox(fences)),
        Line(
            "identity",
            *_identity(fences),
        ),
        Line("cgroups", WEAKER if wanted else ENFORCED, f"{groups.kind}: {groups.why}"),
        Line("workspaces", ENFORCED if fences.workspaces.images else WEAKER, fences.workspaces.why),
        Line("start", ENFORCED, f"kernels start by {fences.start}"),
    ]


def _identity(fences: Fences) -> tuple[str, str]:
    if not fences.sandboxed:
        return MISSING, "code runs as the gateway's own user, as the settings say"
    if os.geteuid() == 0:
        return ENFORCED, "one uid of its own per session"
    return WEAKER, "all sessions have the gateway's own uid; run the gateway as root for one each"


def _sandbox(fences: Fences) -> str:
    if fences.gvisor is not None:
        return f"gVisor {fences.gvisor.version}, {fences.gvisor.runsc}"
    return fences.bwrap or "none, as the settings say"


async def examine(settings: Settings) -> list[Line]:
    """Builds everything for real, in a place of its own, and takes it down again. Raises GatewayError."""
    with tempfile.TemporaryDirectory(prefix="kernelgw-doctor-") as folder:
        Path(folder).chmod(0o711)
        fences = raise_fences(dataclasses.replace(settings, data_dir=Path(folder)))
        found = layers(fences)
        if not fences.sandboxed:
            return found
        launcher = Launcher(Path(folder), fences)
        await launcher.prepare()
        try:
            environment = find(settings.environment, settings.data_dir)
            with _listening() as (ports, sockets):
                results = await check.run(launcher, environment, Terms(Limits.of(settings)), ports, sockets)
            return found + [_line(each) for each in results]
        finally:
            await launcher.stop()


@contextmanager
def _listening() -> Iterator[tuple[list[int], list[str]]]:
    """Somebody who would answer, if a session could ask."""
    name = f"kernelgw-doctor-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"\0{name}")
        unix.listen()
        yield [tcp.getsockname()[1]], [f"@{name}"]


def _line(result: Result) -> Line:
    words = PROPERTIES[result.id].words
    return Line(result.id, result.outcome, f"{words}, but: {result.seen}" if result.seen else words)


async def doctor(settings: Settings, as_json: bool) -> int:
    """Prints the table; 0 when untrusted code may run here, 1 when not."""
    try:
        lines = await examine(settings)
    except (GatewayError, ValueError) as error:
        hint = f" {error.hint}" if isinstance(error, GatewayError) else ""
        lines = [Line("gateway", MISSING, f"{error}{hint}")]
    safe = not any(line.state == MISSING for line in lines)
    lines += [Line(name, ADVICE, words) for name, words in host.advice()]
    if as_json:
        print(json.dumps({"safe": safe, "properties": [dataclasses.asdict(line) for line in lines]}, indent=1))
    else:
        _print(lines, safe)
    return 0 if safe else 1


def _print(lines: list[Line], safe: bool) -> None:
    print(f"kernelgw on {platform.system()} {platform.release()}, Python {platform.python_version()}\n")
    for line in lines:
        print(f"  {MARKS[line.state]}  {line.name:<10}  {line.words}")
    counts = [sum(line.state == state for line in lines) for state in (ENFORCED, WEAKER, MISSING)]
    print("\n  {} enforced, {} weaker, {} missing".format(*counts))
    print("  What takes more than one session to show is tried by tests/security.")
    print("  Untrusted code may run here." if safe else "  Untrusted code must NOT run here.", file=sys.stdout)
