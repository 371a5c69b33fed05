"""Where this machine's pip and npm are set up to fetch from: asked of themselves, so that company mirrors work too."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from .rules import BadRule, Rule, Rules

TIMEOUT_S = 30
# pip's own answer to what it uses when nobody says otherwise: the index, and where that keeps its files.
ASK_DEFAULTS = (
    "from pip._internal.models.index import PyPI; print(PyPI.simple_url); print('https://' + PyPI.file_storage_domain)"
)


@dataclass(frozen=True, slots=True)
class Packages:
    """`rules` for the proxy; `pip_conf`, `npmrc`: what the session's own pip and npm are to read. `notes`: sentences
    for the log on what could not be taken over."""

    rules: Rules
    pip_conf: str
    npmrc: str
    notes: tuple[str, ...] = ()


def configured(further: Sequence[str] = ()) -> Packages:
    """`further`: the operator's own rules. Runs pip and npm, so not in the event loop. Raises BadRule."""
    pip = _pip_settings()
    notes: list[str] = []
    index = [url for url in pip.get("index-url", []) if _is_web(url)]
    extra = [url for url in pip.get("extra-index-url", []) if _is_web(url)]
    defaults = [] if index else _pip_defaults()
    registries = _npm_registries()
    shown = [_without_user(url, notes) for url in (*index, *extra)]
    rules = [_rule(url) for url in (*shown, *defaults, *registries.values())]
    hosts = [text for text in pip.get("trusted-host", []) if _is_rule(text)]
    pip_conf = _ini(shown[: len(index)], shown[len(index) :], hosts)
    npmrc = "".join(f"{name}={_without_user(url, notes)}\n" for name, url in registries.items())
    trusted = list(dict.fromkeys([*rules, *further]))
    return Packages(Rules.parse((), trusted), pip_conf, npmrc, tuple(notes))


def _pip_settings() -> dict[str, list[str]]:
    """By option, its values. Of the environment's and the files', as pip itself weighs them."""
    found: dict[str, list[str]] = {}
    for line in _lines([sys.executable, "-m", "pip", "config", "list"]):
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        found.setdefault(option, []).extend(shlex.split(value)[0].split() if value else [])
    return found


def _pip_defaults() -> list[str]:
    return [url for url in _lines([sys.executable, "-c", ASK_DEFAULTS]) if _is_web(url)]


def _npm_registries() -> dict[str, str]:
    """The registry, and those of scopes, by npm's names for them."""
    npm = shutil.which("npm")
    if npm is None:
        return {}
    try:
        settings = json.loads("\n".join(_lines([npm, "config", "list", "--json", "--long"])))
    except ValueError:
        return {}
    wanted = {name: value for name, value in settings.items() if name == "registry" or name.endswith(":registry")}
    return {name: value for name, value in wanted.items() if isinstance(value, str) and _is_web(value)}


def _lines(command: list[str]) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KERNELGW_")}
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return result.stdout.splitlines()


def _is_web(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_rule(text: str) -> bool:
    try:
        Rule.parse(text)
    except BadRule:
        return False
    return True


def _rule(url: str) -> str:
    """The host and the one port of a URL."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _without_user(url: str, notes: list[str]) -> str:
    parts = urlsplit(url)
    if parts.username is None and parts.password is None:
        return url
    notes.append(f"the user and password in the URL of {parts.hostname} are not given to sessions")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _ini(index: Sequence[str], extra: Sequence[str], hosts: Iterable[str]) -> str:
    options = {"index-url": index[:1], "extra-index-url": extra, "trusted-host": hosts}
    lines = [f"{name} = {' '.join(values)}" for name, values in options.items() if values]
    return "\n".join(["[global]", *lines, ""])
