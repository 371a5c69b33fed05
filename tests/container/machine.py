"""How this machine reaches packages, as pip and apt say it, in a form that the inside of a build can use."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

INSIDE = "/run/machine"
# What says where packages are and how to get there; the rest of a machine's configuration is its own affair.
PIP = (
    "cert",
    "constraint",
    "extra-index-url",
    "find-links",
    "index-url",
    "no-index",
    "proxy",
    "timeout",
    "trusted-host",
)
APT = re.compile(r'Acquire::(https?::|Check-|Retries |ForceIPv)[^"]*"[^"]+";')


def volumes(folder: Path) -> list[str]:
    """Options of `podman build`; what they mount is written to `folder`. Local indexes keep their paths."""
    settings = _pip()
    acquire = [line for line in _lines("apt-config", "dump", "Acquire") if APT.fullmatch(line)]
    if certificates := settings.get("cert"):
        shutil.copyfile(certificates, folder / "ca.crt")
        settings["cert"] = f"{INSIDE}/ca.crt"
        acquire.append(f'Acquire::https::CaInfo "{INSIDE}/ca.crt";')
    (folder / "pip.conf").write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    (folder / "apt.conf").write_text("\n".join([*acquire, ""]))
    mounts = [f"{folder}:{INSIDE}:ro"]
    mounts += [f"{folder}/pip.conf:/etc/pip.conf:ro", f"{folder}/apt.conf:/etc/apt/apt.conf.d/99machine:ro"]
    mounts += [f"{path}:{path}:ro" for path in _local_paths(settings)]
    return [f"--volume={mount}" for mount in mounts]


def _pip() -> dict[str, str]:
    """Of several levels pip prints the stronger one later, the environment first of all."""
    found: dict[str, str] = {}
    for line in sorted(
        _lines(sys.executable, "-m", "pip", "config", "list"), key=lambda line: line.startswith(":env:")
    ):
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in PIP:
            found[key] = str(ast.literal_eval(value))
    return found


def _local_paths(settings: dict[str, str]) -> list[Path]:
    words = [word.removeprefix("file://") for value in settings.values() for word in value.split()]
    paths = [Path(word) for word in words if word.startswith("/") and not word.startswith(INSIDE)]
    # The files of a simple index lie beside it.
    roots = {path.parent if path.name == "simple" else path for path in paths}
    return sorted(path for path in roots if path.exists())


def _lines(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
