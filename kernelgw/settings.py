"""Every option once: name, type, default, help. Command line, environment, TOML file and docs come from here."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

PREFIX = "KERNELGW_"
# In the data directory while a gateway runs: its URL, token and pid.
RUNNING = "gateway.json"
# The token that was made when none was given; and the keys beside it.
OWN_TOKEN, KEYS = "token", "keys.json"


class BadSetting(ValueError):
    """An option with a value that it cannot have; the message names both."""


def _option(default: Any, help_: str, least: float = 0, most: float = math.inf, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"help": help_, "least": least, "most": most, "choices": choices})


def _default_data_dir() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/kernelgw")
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(base, "kernelgw")


@dataclass(frozen=True)
class Settings:
    host: str = _option("127.0.0.1", "address to listen on; beyond loopback a token must be given")
    port: int = _option(8000, "port to listen on; 0 picks a free one", most=65535)
    data_dir: Path = field(
        default_factory=_default_data_dir, metadata={"help": "where sockets, logs and workspaces are kept"}
    )
    token: str = _option("", "what callers must send; when empty one is made at random, kept and printed")
    isolation: str = _option("auto", "auto, bubblewrap, gvisor or none; auto stops when no sandbox can be built")
    environment: str = _option("default", "the environment of sessions that name none")
    pool_size: int = _option(
        2, "warm kernels of Python kept ready, and one of each other language that was used; 0 for none"
    )
    max_sessions: int = _option(
        64, "sessions with live kernels at most; beyond that the answer is 503 with Retry-After", least=1
    )
    max_starting: int = _option(4, "kernels started at the same time; others wait their turn", least=1)
    max_queued: int = _option(100, "executions that may wait for one kernel of a session", least=1)
    max_kernels: int = _option(8, "kernels that one session may have, of whatever languages", least=1)
    idle_timeout_s: float = _option(3600.0, "a session idle for longer loses its kernel, not its files; 0 for never")
    timeout_s: float = _option(600.0, "deadline of an execution that names none; 0 for none")
    grace_s: float = _option(5.0, "between a deadline's interrupt and the kill")
    pause_s: float = _option(
        1800.0,
        "how long a debugger may hold an execution, whose deadline waits meanwhile; then it goes on",
        least=1,
    )
    debugger_grace_s: float = _option(
        10.0, "after the last client that debugs has gone, until what it holds goes on without it"
    )
    start: str = _option("fork", "how kernels start: fork (in milliseconds), or exec (own address layout, a second)")
    memory_bytes: int = _option(
        4 << 30, "memory of a session, all its processes and temporary files together", least=128 << 20
    )
    processes: int = _option(256, "processes and threads of a session", least=16)
    cpus: float = _option(0.0, "cores that a session may keep busy; 0 for all, shared evenly with other sessions")
    open_files: int = _option(4096, "open files of each process", least=64)
    file_bytes: int = _option(2 << 30, "largest file that a session may write", least=1 << 20)
    workspace_bytes: int = _option(2 << 30, "all files of a session's workspace together", least=16 << 20)
    tmp_bytes: int = _option(512 << 20, "temporary files of a session; they count as its memory too", least=1 << 20)
    free_bytes: int = _option(
        1 << 30, "disk that no session may take, besides what live ones are promised (workspace_bytes each)"
    )
    workspaces: str = _option("auto", "image (hard limit, as root), directory (watched), or auto")
    cgroups: str = _option("auto", "v2, v1, none (rlimits and a watchdog), or auto")
    networks: tuple[str, ...] = _option(("packages", "allow"), "what sessions may ask for: packages, allow, full")
    network_private: tuple[str, ...] = _option((), "host=CIDR pairs: names that may lead to private addresses")
    network_upstream: str = _option("", "a proxy of this network that egress goes through: http://host:port")
    package_hosts: tuple[str, ...] = _option((), "hosts for network packages besides those pip and npm are set up with")
    max_body_bytes: int = _option(16 << 20, "largest request body")
    max_header_bytes: int = _option(32 << 10, "largest head of a request, target and headers together", least=1 << 10)
    head_timeout_s: float = _option(15.0, "for the head of a request to come in", least=0.1)
    body_timeout_s: float = _option(30.0, "for its body, and one second more for every 4 KiB of it", least=0.1)
    keep_alive_s: int = _option(30, "how long an idle connection is kept for the next request", least=1)
    max_connections: int = _option(1000, "connections at most; the oldest without the token gives way", least=16)
    max_strangers: int = _option(
        200, "connections of one address that have not shown the token; behind a proxy: as many as it opens", least=8
    )
    wrong_tokens: int = _option(
        30, "wrong tokens a minute from one address; then 429, never for the right one", least=1
    )
    output_bytes: int = _option(64 << 20, "output kept of one execution; beyond it the middle is left out")
    log_bytes: int = _option(64 << 20, "events kept of one session, for readers that come later or are slow")
    inline_bytes: int = _option(
        1 << 20,
        "largest part of an output (but plain text) that stands in events; a larger one is an artifact",
        least=1,
    )
    artifact_bytes: int = _option(512 << 20, "artifacts of one session together; what is beyond it is not kept")
    largest_artifact_bytes: int = _option(64 << 20, "largest file or part of an output that is kept as an artifact")
    artifact_retention_s: float = _option(
        0.0, "artifacts that were made longer ago are deleted, also of sessions in use; 0: they stay with their session"
    )
    full_text_bytes: int = _option(
        256 << 20, "text kept of one execution as an artifact, when that is more than output_bytes"
    )
    history_length: int = _option(1000, "executions kept of one session", least=1)
    allowed_hosts: tuple[str, ...] = _option((), "further Host names to answer to, comma separated")
    allowed_origins: tuple[str, ...] = _option((), "web origins whose pages may call, comma separated")
    keep: str = _option(
        "disk",
        "where sessions are kept: disk (they outlive the gateway), or memory (nothing is written of them)",
        choices=("disk", "memory"),
    )
    store: str = _option(
        "sqlite",
        "where history is stored: sqlite (in the data directory), none, or postgresql+psycopg://… (with a password: by "
        "environment or file)",
    )
    history_bytes: int = _option(
        128 << 20, "history stored of one session; beyond it the oldest executions go", least=1 << 16
    )
    retention_s: float = _option(
        30 * 86400.0,
        "a session without a kernel that nobody used for longer is deleted, files and history; 0 for never",
    )
    on_stop: str = _option(
        "keep",
        "what SIGTERM does to kernels: keep (for the next gateway, 15 minutes at most) or end; Ctrl-C ends them",
        choices=("keep", "end"),
    )
    uid_first: int = _option(1_870_000, "as root: first host uid for sessions; nobody else may have them", least=65536)
    uid_count: int = _option(10_000, "as root: number of host uids for sessions")


def names() -> tuple[str, ...]:
    return tuple(option.name for option in fields(Settings))


def load(given: Mapping[str, Any], environ: Mapping[str, str], config: Path | None = None) -> Settings:
    """`given` (from the command line; None means not given) wins over `environ` over the TOML file.

    Raises BadSetting.
    """
    values: dict[str, Any] = {}
    if config is not None:
        values.update(_from_file(config))
    for name in names():
        if (text := environ.get(PREFIX + name.upper())) is not None:
            values[name] = text
    values.update({name: value for name, value in given.items() if value is not None})
    return Settings(**{name: _convert(name, value) for name, value in values.items()})


def _from_file(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadSetting(f"{path}: {error}") from None
    if unknown := table.keys() - set(names()):
        raise BadSetting(f"{path}: no option is called {', '.join(sorted(unknown))}")
    return table


def _convert(name: str, value: Any) -> Any:
    option = next(option for option in fields(Settings) if option.name == name)
    kind = str(option.type)
    try:
        if kind in ("int", "float"):
            number = int(value) if kind == "int" else float(value)
            least, most = option.metadata["least"], option.metadata["most"]
            if not least <= number <= most or not math.isfinite(number):
                raise BadSetting(f"{name} cannot be {value}; it is a number from {least:g} to {most:g}")
            return number
        if kind == "Path":
            return Path(value).expanduser().absolute()
        if kind.startswith("tuple"):
            parts = value.split(",") if isinstance(value, str) else [str.strip(part) for part in value]
            return tuple(part.strip() for part in parts if part.strip())
        choices = option.metadata.get("choices") or (value,)
        if value not in choices:
            raise BadSetting(f"{name} cannot be {value!r}; it is {' or '.join(choices)}")
        return str(value)
    except BadSetting:
        raise
    except (TypeError, ValueError, OverflowError):
        raise BadSetting(f"{name} cannot be {value!r}; it is a {kind}") from None
