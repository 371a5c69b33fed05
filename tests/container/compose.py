"""The shipped compose file as podman's command line, so that what is tried is what people get."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kernelgw import environments

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker" / "compose.yaml"
# The gateway's packages have no YAML; those of sessions do.
READ = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"
# Of publishing and starting again there is nothing to see in a container without a network.
NOT_TRIED = frozenset({"build", "image", "environment", "ports", "volumes", "restart"})


def service() -> dict[str, Any]:
    python = environments.find("default").python
    text = FILE.read_text()
    found = subprocess.run([python, "-c", READ], input=text, capture_output=True, text=True, check=True).stdout
    services = json.loads(found)["services"]
    assert services.keys() == {"kernelgw"}
    return dict(services["kernelgw"])


def options(service: Mapping[str, Any]) -> list[str]:
    """Whatever is not known here is a failure, so that a new option is tried too."""
    flags: list[str] = []
    for name, value in service.items():
        match name, value:
            case ("user", str(user)):
                flags.append(f"--user={user}")
            case ("cap_drop", [*names]):
                flags += [f"--cap-drop={each}" for each in names]
            case ("security_opt", [*given]):
                flags += [f"--security-opt={_resolved(each)}" for each in given]
            case ("read_only", True):
                # Podman would add writable places that Docker does not.
                flags += ["--read-only", "--read-only-tmpfs=false"]
            case ("tmpfs", [*places]):
                flags += [f"--tmpfs={place}" for place in places]
            case ("ulimits", {**limits}):
                flags += [f"--ulimit={each}={limit}:{limit}" for each, limit in limits.items()]
            case ("pids_limit", int(count)):
                flags.append(f"--pids-limit={count}")
            case ("mem_limit", str(size)):
                flags.append(f"--memory={size}")
            case _:
                assert name in NOT_TRIED, f"{name} is new in {FILE.name}"
    return flags


def _resolved(option: str) -> str:
    """A path in the file is one beside the file."""
    kind, _, value = option.partition("=")
    return f"{kind}={FILE.parent / value}" if kind == "seccomp" else option
