"""Where this machine's pip and npm are set up to fetch from: asked of themselves, so that company mirrors work too."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from .rules import BadRule, Rule, Rules

TIMEOUT_S = 30
# pip's own answer to what it uses when nobody says otherwise: the index, and where that keeps its files.
ASK_DEFAULTS = (
    "from pip._internal.models.index import PyPI; print(PyPI.simple_url); print('https://' + PyPI.file_storage_domain)"
)
# Of the sections that `pip install` reads, each takes precedence over those before it.
SECTIONS = ("global", "install", ":env:")
YES = frozenset({"1", "true", "yes", "on", "y", "t"})


@dataclass(frozen=True, slots=True)
class Packages:
    """`rules` for the proxy; `pip_conf`, `npmrc`: what the session's own pip and npm are to read. `notes`: sentences
    for the log on what could not be taken over. `whole`: whether pip and npm answered at all."""

    rules: Rules
    pip_conf: str
    npmrc: str
    notes: tuple[str, ...] = ()
    whole: bool = True


@dataclass(frozen=True, slots=True)
class _Part:
    """Of one tool: its rules, its file, and whether it answered."""

    rules: list[str]
    config: str
    whole: bool


def configured(further: Sequence[str] = ()) -> Packages:
    """`further`: the operator's own rules. Runs pip and npm, so not in the event loop. Raises BadRule."""
    notes: list[str] = []
    pip, npm = _pip(notes), _npm(notes)
    rules = Rules.parse((), list(dict.fromkeys([*pip.rules, *npm.rules, *further])))
    return Packages(rules, pip.config, npm.config, tuple(dict.fromkeys(notes)), pip.whole and npm.whole)


def _pip(notes: list[str]) -> _Part:
    lines = _lines([sys.executable, "-I", "-m", "pip", "config", "list"])
    settings = _pip_settings(lines or [])
    closed = settings.get("no-index", [""])[0].lower() in YES
    index = settings.get("index-url", [])[:1]
    named = [] if closed else [*index, *settings.get("extra-index-url", [])]
    shown = [usable for url in named if (usable := _usable(url, "pip", notes))]
    defaults = [] if index or closed else _lines([sys.executable, "-I", "-c", ASK_DEFAULTS]) or []
    whole = lines is not None and bool(index or closed or defaults)
    if not whole:
        notes.append("pip did not say where it fetches from")
    options = {"trusted-host": [text for text in settings.get("trusted-host", []) if _is_rule(text)]}
    if defaults:
        options["extra-index-url"] = shown
    elif shown:
        options |= {"index-url": shown[:1], "extra-index-url": shown[1:]}
    else:
        # The public index is not what was asked for in place of one that a session cannot reach.
        options["no-index"] = ["true"]
    config = [f"{name} = {' '.join(values)}" for name, values in options.items() if values]
    return _Part([_rule(url) for url in (*shown, *defaults)], "\n".join(["[global]", *config, ""]), whole)


def _pip_settings(lines: Sequence[str]) -> dict[str, list[str]]:
    """By option, its values, as `pip install` would weigh the environment and the files."""
    found: dict[str, dict[str, list[str]]] = {section: {} for section in SECTIONS}
    for line in lines:
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if section in found:
            found[section][option] = str(ast.literal_eval(value)).split()
    return {option: values for section in SECTIONS for option, values in found[section].items()}


def _npm(notes: list[str]) -> _Part:
    """The registry, and those of scopes, by npm's names for them."""
    npm = shutil.which("npm")
    if npm is None:
        return _Part([], "", True)
    lines = _lines([npm, "config", "list", "--json", "--long"])
    try:
        settings = json.loads("\n".join(lines or []))
    except ValueError:
        notes.append("npm did not say where it fetches from")
        return _Part([], "", False)
    if "registry" not in settings:
        # As npm does with one that has a password in its URL.
        notes.append("npm keeps its registry to itself, and sessions go without it")
    wanted = {name: str(value) for name, value in settings.items() if _is_registry(name)}
    registries = {name: shown for name, url in wanted.items() if (shown := _usable(url, "npm", notes))}
    config = "".join(f"{name}={url}\n" for name, url in registries.items())
    return _Part([_rule(url) for url in registries.values()], config, True)


def _is_registry(name: str) -> bool:
    return name == "registry" or (name.startswith("@") and name.endswith(":registry"))


def _lines(command: list[str]) -> list[str] | None:
    """What it printed; None when it failed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KERNELGW_")}
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.splitlines() if result.returncode == 0 else None


def _usable(url: str, tool: str, notes: list[str]) -> str | None:
    """The URL as a session gets it; None when it leads nowhere from there."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and _is_rule(_rule(url))
    except ValueError:
        usable = False
    if not usable:
        notes.append(f"{tool} is set up to fetch from a place that sessions cannot reach, and they go without it")
        return None
    if "@" not in parts.netloc:
        return url
    notes.append(f"the user and password in the URL of {parts.hostname} are not given to sessions")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _is_rule(text: str) -> bool:
    try:
        Rule.parse(text)
    except BadRule:
        return False
    return True


def _rule(url: str) -> str:
    """The host and the one port of a URL. Raises ValueError."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
