"""What a number was measured on. Nothing that names the machine, its people or its folders."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from kernelgw import environments
from tests.bench.environments import show_versions, versions_in

ROOT = Path(__file__).resolve().parents[2]
DATA_STACK = ["ipykernel", "ipython", "numpy", "pandas", "matplotlib"]
OWN_PACKAGES = {
    "kernelgw": ("fastapi", "uvicorn", "uvloop", "httptools", "orjson"),
    "the measuring client": ("jupyter_client", "pyzmq", "orjson"),
}
# What a figure of kernelgw's depends on.
SOURCE = ("kernelgw", "kernels", "requirements", "pyproject.toml")


def facts() -> dict[str, Any]:
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"Linux {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def provenance() -> dict[str, Any]:
    """When and from what source; kept with every scenario, since scenarios can be measured again one by one."""
    return {"date": datetime.now(UTC).date().isoformat(), "commit": _commit(), "load_before": os.getloadavg()[0]}


def versions(with_peers: bool) -> dict[str, dict[str, str]]:
    found = {name: {package: version(package) for package in packages} for name, packages in OWN_PACKAGES.items()}
    found["kernelgw, its kernels"] = versions_in(environments.find("default").python, DATA_STACK)
    return found | show_versions() if with_peers else found


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--", *SOURCE)
    except (OSError, subprocess.CalledProcessError):
        return "uncommitted"
    return f"{commit}, with changes" if changed else commit
