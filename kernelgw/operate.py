"""`kernelgw sessions` and `kernelgw keys`: what an operator asks of a running gateway, by its own HTTP interface."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

from .client import Client, GatewayProblem
from .settings import RUNNING, load

FAILED = 1
LONGEST_CODE = 60
KEY_COLUMNS = ("ID", "SCOPE", "SESSION", "EXPIRES", "NAME")
COLUMNS = ("SESSION", "STATE", "IDLE", "EXECUTIONS", "MEMORY LIMIT", "REASON")


def operate(arguments: argparse.Namespace) -> int:
    """Exit status 1 when the gateway says no, or is not there."""
    try:
        with Client(*gateway_at(arguments.url, arguments.token)) as client:
            _ACTIONS[arguments.command, arguments.action](client, arguments)
    except GatewayProblem as problem:
        print(f"kernelgw: {problem.message}", file=sys.stderr)
        if problem.hint:
            print(f"kernelgw: {problem.hint}", file=sys.stderr)
        return FAILED
    return 0


def running_here() -> dict[str, Any] | None:
    """URL, token and pid of the gateway that uses this user's data directory."""
    path = load({}, os.environ).data_dir / RUNNING
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
        os.kill(int(facts["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return None
    return facts


def address(url: str, token: str | None) -> tuple[str, str | None]:
    """As `kernelgw serve` prints it, with the token in it."""
    parts = urlsplit(url)
    found = parse_qs(parts.query).get("token")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", "")), token or (
        found[0] if found else None
    )


def gateway_at(url: str | None, token: str | None) -> tuple[str, str | None]:
    """The one that was named, or the one that runs here. Raises GatewayProblem."""
    url = url or os.environ.get("KERNELGW_URL")
    if url is not None:
        return address(url, token)
    if (running := running_here()) is not None:
        return running["url"], token or running["token"]
    raise GatewayProblem(0, "no_gateway", "No gateway runs here.", "Start one, or name another with --url.")


def _list(client: Client, arguments: argparse.Namespace) -> None:
    found = client.sessions()
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    _table(COLUMNS, [_row(session) for session in found])


def _table(head: tuple[str, ...], body: list[tuple[str, ...]]) -> None:
    rows = [head, *body]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head) - 1)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip())


def _row(session: Mapping[str, Any]) -> tuple[str, ...]:
    limit = f"{session['limits']['memory_bytes'] >> 20} MiB"
    idle = "" if session["running"] else _age(session["idle_s"])
    state = f"{session['state']}, paused" if session.get("paused") else session["state"]
    return session["id"], state, idle, str(session["executions"]), limit, session["reason"] or ""


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _show(client: Client, arguments: argparse.Namespace) -> None:
    session = client.session(arguments.session)
    for name, value in session.look().items():
        print(f"{name:<12} {value if isinstance(value, str) else json.dumps(value)}")
    print()
    for execution in session.history(limit=20):
        first = execution["code"].strip().split("\n")[0][:LONGEST_CODE]
        taken = "" if execution["duration_s"] is None else f"{execution['duration_s']:.2f} s"
        error = execution["error"] or {}
        words = f"  {error['name']}: {error['value']}".split("\n")[0] if error else ""
        print(f"{execution['started_at'] or '':<33} {execution['status']:<12} {taken:>9}  {first}{words}")


def _end(client: Client, arguments: argparse.Namespace) -> None:
    client.session(arguments.session).end()


def _export(client: Client, arguments: argparse.Namespace) -> None:
    text = json.dumps(client.session(arguments.session).notebook(), indent=1, ensure_ascii=False) + "\n"
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        try:
            arguments.output.write_text(text)
        except OSError as error:
            raise GatewayProblem(0, "not_written", f"{arguments.output} cannot be written: {error.strerror}.") from None


def _create_key(client: Client, arguments: argparse.Namespace) -> None:
    body = {"scope": arguments.scope, "name": arguments.name, "session_id": arguments.session}
    made = client.request("POST", "/v1/keys", {**body, "expires_s": arguments.expires_s})
    print(made["key"])
    print(f"kernelgw: told only now; `kernelgw keys revoke {made['id']}` takes it back", file=sys.stderr)


def _list_keys(client: Client, arguments: argparse.Namespace) -> None:
    keys = client.request("GET", "/v1/keys")["keys"]
    _table(
        KEY_COLUMNS, [(key["id"], key["scope"], key["session_id"] or "all", _until(key), key["name"]) for key in keys]
    )


def _until(key: Mapping[str, Any]) -> str:
    return "never" if key["expires_at"] is None else f"in {_age(key['expires_at'] - time.time())}"


def _revoke_key(client: Client, arguments: argparse.Namespace) -> None:
    client.request("DELETE", f"/v1/keys/{quote(arguments.key, safe='')}")


_ACTIONS = MappingProxyType(
    {
        ("sessions", "list"): _list,
        ("sessions", "show"): _show,
        ("sessions", "end"): _end,
        ("sessions", "export"): _export,
        ("keys", "create"): _create_key,
        ("keys", "list"): _list_keys,
        ("keys", "revoke"): _revoke_key,
    }
)
