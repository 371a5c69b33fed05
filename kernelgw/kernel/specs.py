"""Kernels of others as languages: the kernelspecs that an environment, or the operator, has."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..environments import Environment
from ..languages import Language, Languages
from .recipe import interpreter_of

DRIVER = "kernelspec"
INSTALLED, OPERATORS = Path("share/jupyter/kernels"), "kernelspecs"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
MODES = ("signal", "message")
# Python as such is ours; what begins by our own provisioner is a kernel of ours already.
OURS = frozenset({"ipykernel", "ipykernel_launcher", "kernelgw.kernelspecs"})
LARGEST = 1 << 20
log = logging.getLogger("kernelgw.kernel")


class Unusable(ValueError):
    """Why a kernelspec is left out."""


def languages_of(environment: Environment, data_dir: Path) -> Languages:
    """All that sessions in it may speak."""
    return Languages(find_specs(environment, data_dir))


def find_specs(environment: Environment, data_dir: Path) -> tuple[Language, ...]:
    """In the environment and in `<data_dir>/kernelspecs`, whose own hide the environment's of the same name. Nobody's
    home is looked into. A broken one is left out, and the log says why."""
    ours = Languages()
    found: dict[str, Language] = {}
    for path in (*_files(environment.prefix / INSTALLED), *_files(data_dir / OPERATORS)):
        try:
            spec = _read(path)
            if not OURS.isdisjoint(spec["argv"]):
                continue
            if (known := ours.find(path.parent.name)) is not None:
                raise Unusable(f"its name is {known.title}'s here; call its folder otherwise")
            found[path.parent.name] = _language(path, spec, environment)
        except (OSError, ValueError) as error:
            log.warning("the kernelspec %s is left out: %s", path, error)
    return tuple(found[name] for name in sorted(found))


def _files(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.glob("*/kernel.json")))


def _read(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LARGEST:
        raise Unusable("it is too large")
    spec = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(spec, dict):
        raise Unusable("it is no JSON object")
    argv, env = spec.get("argv"), spec.get("env", {})
    if not isinstance(argv, list) or not argv or not all(isinstance(each, str) for each in argv):
        raise Unusable("argv is not a list of texts")
    if not isinstance(env, dict) or not all(isinstance(each, str) for each in env.values()):
        raise Unusable("env is not an object of texts")
    if spec.get("interrupt_mode", MODES[0]) not in MODES:
        raise Unusable(f"interrupt_mode is neither {' nor '.join(MODES)}")
    if not isinstance(spec.get("metadata", {}), dict):
        raise Unusable("metadata is no object")
    return spec


def _language(path: Path, spec: dict[str, Any], environment: Environment) -> Language:
    _check_program(spec["argv"][0], environment)
    metadata = spec.get("metadata", {})
    if "kernel_provisioner" in metadata:
        raise Unusable("it is started by a provisioner of its own")
    own = metadata.get("kernelgw", {})
    start_s = own.get("start_s") if isinstance(own, dict) else None
    name = path.parent.name
    options: dict[str, Any] = {
        "argv": tuple(spec["argv"]),
        "env": dict(spec.get("env", {})),
        "interrupt_mode": spec.get("interrupt_mode", MODES[0]),
        "folder": str(path.parent),
        "language": str(spec.get("language") or name),
    }
    if isinstance(start_s, int | float) and start_s > 0:
        options["start_s"] = start_s
    title = str(spec.get("display_name") or name)
    return Language(name, title, name, DRIVER, options=MappingProxyType(options))


def _check_program(program: str, environment: Environment) -> None:
    """It is to be there inside of the sandbox, too."""
    if "/" not in program:
        places = f"{environment.prefix}/bin:/usr/local/bin:/usr/bin:/bin"
        if shutil.which(program, path=places) is None:
            raise Unusable(f"there is no program {program} in the environment or in /usr")
        return
    seen: tuple[str | Path, ...] = (*SYSTEM, environment.prefix, *interpreter_of(environment))
    if not any(Path(os.path.normpath(program)).is_relative_to(place) for place in seen):
        raise Unusable(f"sessions do not see {program}: it is neither in the environment nor in /usr")
    if not Path(program).exists():
        raise Unusable(f"there is no program {program}")
