"""What to do about something that is not there: a module, a program, a file, a name. Pure; says only what is known, and
of what is likely that it is no more than that."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from . import packages

Error = Mapping[str, Any]
NODE = ("javascript", "typescript")
ALIKE = 0.8
NO_MODULE = re.compile(r"No module named '([A-Za-z_][\w.]{0,200})'", re.ASCII)
OPTIONAL = re.compile(r"\AMissing optional dependency '([A-Za-z_][\w.-]{0,100})'", re.ASCII)
NO_NODE_MODULE = re.compile(r"Cannot find (?:module|package) '([^'\n]{1,200})'")
NO_BUILTIN = re.compile(r"No such built-in module: node:(\w{1,100})")
NPM_NAME = re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*")
NO_COMMAND = re.compile(r"(?:\A|[\s:])([\w.+-]{1,100}): command not found")
STATUS_127 = re.compile(r"\A127\b|exit (?:status|code) 127\b(?! by `exit`)")
# Of a command that is called by its path, which the shell itself says is not there.
A_FILE = re.compile(r"(?: from `|\A)[^\s`:]{0,200}/")
PROGRAM = re.compile(r"No such file or directory: '([\w.+/-]{1,200})'\Z")
MODULE_NAME = re.compile(r"[A-Za-z_][\w.]{0,200}", re.ASCII)

TO_INSTALL = (
    "What a session may reach is said when it is created: end it, then create it with "
    '"network": "packages" for pip and npm'
)
NO_NETWORK = f'This session has no network. {TO_INSTALL}, or {{"allow": ["example.org"]}}.'
NOT_FOR_PACKAGES = f"This session's network is for other hosts. {TO_INSTALL}."
NO_ROOT = "Nobody is root in a session, so nothing can be installed with apt or the like; pip and npm need no root."


def of(error: Error, network: Any, language: str) -> str | None:
    """`network`: as the session was created with, or "open" where there are no walls."""
    for find in (_module, _optional, _node_module, _program, _file, _variable):
        if (found := find(error, network, language)) is not None:
            return found
    return None


def _module(error: Error, network: Any, _: str) -> str | None:
    if error["name"] != "ModuleNotFoundError":
        return None
    facts = error.get("module") or {}
    said = NO_MODULE.search(error["value"])
    name = facts.get("name") or (said.group(1) if said else "")
    if not MODULE_NAME.fullmatch(name):
        return None
    top = name.partition(".")[0]
    if top in packages.SHARED:
        return _of_shared(name, network)
    if facts.get("installed"):
        return f"'{top}' is installed, but has no module '{name}': the code may be written for another version of it."
    if file := facts.get("file"):
        return _of_workspace(file)
    if top in packages.WINDOWS:
        return f"'{top}' is in Python's standard library on Windows alone."
    if top in sys.stdlib_module_names:
        return f"'{top}' is of Python's standard library, but this environment's Python comes without it."
    package, sure = packages.module(name)
    if sure:
        what = f"The module '{top}' is in the package {package}"
        return _installed_by(what, f"%pip install {package}", network)
    if similar := error.get("similar"):
        return f"There is no module '{top}'. Of similar names there are: {_listed(similar)}."
    what = f"There is no module '{top}'. It may come with a package that is called {package} too, if there is one"
    return _installed_by(what, f"%pip install {package}", network)


def _of_shared(name: str, network: Any) -> str | None:
    """Many packages have parts below one name, so that only the whole name says which."""
    package = next((each for part, each in packages.PARTS.items() if f"{name}.".startswith(f"{part}.")), None)
    if package is None:
        return None
    return _installed_by(f"The module '{name}' is in the package {package}", f"%pip install {package}", network)


def _of_workspace(file: str) -> str | None:
    parts = file.split("/")
    folder = "/".join(parts[:-2] if parts[-1] == "__init__.py" else parts[:-1])
    if not folder:
        # Python looks there.
        return None
    return f"{file} is there, but not where Python looks: run `import sys; sys.path.insert(0, {folder!r})` first."


def _optional(error: Error, network: Any, _: str) -> str | None:
    said = OPTIONAL.search(error["value"])
    if error["name"] != "ImportError" or said is None:
        return None
    package = packages.module(said.group(1))[0]
    return _installed_by(f"This needs '{said.group(1)}' besides", f"%pip install {package}", network)


def _node_module(error: Error, network: Any, language: str) -> str | None:
    if language not in NODE:
        return None
    if built_in := NO_BUILTIN.search(error["value"]):
        near = get_close_matches(built_in.group(1), packages.NODE, 1, ALIKE)
        return f"Node has no module '{built_in.group(1)}' of its own, but '{near[0]}'." if near else None
    said = NO_NODE_MODULE.search(error["value"])
    if said is None or said.group(1).startswith((".", "/", "file:")):
        return None
    name = "/".join(said.group(1).split("/")[: 2 if said.group(1).startswith("@") else 1])
    if not NPM_NAME.fullmatch(name):
        return None
    if near := get_close_matches(name, packages.NODE, 1, ALIKE):
        return f"No package '{name}' is installed. Node has a module of its own called '{near[0]}'."
    what = f"No package '{name}' is installed"
    if said.group(1) != name:
        # Node says the same of both.
        what = f"The package '{name}' is not installed, or has no such part"
    return _installed_by(what, f"npm install {name}", network, in_bash=True)


def _program(error: Error, network: Any, language: str) -> str | None:
    name = _program_name(error, language)
    if name is None:
        return None
    if not name:
        return "Exit status 127 is what a shell says when it does not find a command."
    if name in packages.OF_ROOT:
        return f"'{name}' is of no use here. {NO_ROOT}"
    if (command := packages.COMMANDS.get(name)) is not None:
        return _installed_by(f"No program '{name}' was found", command.format(name), network, in_bash=True)
    return f"No program '{name}' was found. {NO_ROOT}"


def _program_name(error: Error, language: str) -> str | None:
    """None when no program was missed, "" when it is not known which."""
    value = error["value"]
    if (said := NO_COMMAND.search(value)) is not None:
        return said.group(1)
    if A_FILE.search(value):
        return None
    if STATUS_127.search(value) and (language == "bash" or error["name"] == "CalledProcessError"):
        return ""
    frames = error.get("frames") or [{"file": "", "function": ""}]
    started = frames[-1]["file"].endswith("/subprocess.py") and frames[-1]["function"].endswith("_execute_child")
    said = PROGRAM.search(value) if started and error["name"] == "FileNotFoundError" else None
    return said.group(1) if said is not None and "/" not in said.group(1) else None


def _file(error: Error, _: Any, __: str) -> str | None:
    # The kernel looks for names like a missing one; of these two they are others than a file's.
    if not error.get("similar") or error["name"] in ("ModuleNotFoundError", "NameError"):
        return None
    return f"There is no such file. Of similar names there are: {_listed(error['similar'])}."


def _variable(error: Error, _: Any, __: str) -> str | None:
    if error["name"] != "NameError":
        return None
    if error.get("similar"):
        return f"Of similar names there are: {_listed(error['similar'])}."
    name = error.get("module", {}).get("name", "")
    if error.get("module", {}).get("standard") and MODULE_NAME.fullmatch(name):
        return f"'{name}' is a module of Python's standard library: run `import {name}` first."
    return None


def _installed_by(what: str, command: str, network: Any, in_bash: bool = False) -> str:
    call = f"`{command}`" + (" in a Bash cell" if in_bash else "")
    if network in ("packages", "full", "open"):
        return f"{what}; {call} installs it."
    return f"{what}; {call} would install it. {NO_NETWORK if network == 'off' else NOT_FOR_PACKAGES}"


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
