"""The `kernelgw` command."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import ipaddress
import logging
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import GatewayError
from .settings import OWN_TOKEN, BadSetting, Settings, load
from .store.options import has_password


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except (BadSetting, GatewayError) as error:
        print(f"kernelgw: {error}", file=sys.stderr)
        if isinstance(error, GatewayError):
            print(f"kernelgw: {error.hint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kernelgw", description="Live, sandboxed Jupyter kernels for chats.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    serve = commands.add_parser("serve", help="start the gateway")
    _add_settings(serve)
    serve.set_defaults(run=_serve)
    doctor = commands.add_parser("doctor", help="what this machine can enforce, property by property")
    _add_settings(doctor)
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.set_defaults(run=_doctor)
    run = commands.add_parser("run", help="run code and print its outputs live")
    run.add_argument("file", metavar="FILE|-", help="a file with code, or - for standard input")
    run.add_argument("--session", help="a session of a running gateway; made if it is new")
    run.add_argument("--language", default=None)
    run.add_argument("--url", default=None, help="the gateway (default: the one running here, else one just for this)")
    run.add_argument("--token", default=os.environ.get("KERNELGW_TOKEN"))
    run.add_argument("--timeout", type=float, default=None, metavar="S")
    run.set_defaults(run=_run)
    _add_sessions(commands.add_parser("sessions", help="the sessions of a running gateway"))
    _add_lab(commands.add_parser("lab", parents=[_where()], help="open JupyterLab at live sessions"))
    _add_keys(commands.add_parser("keys", help="what lets others in, for less than everything"))
    _add_kernelspec(commands.add_parser("kernelspec", help="our kernels for other Jupyter servers, without a gateway"))
    return parser


def _add_kernelspec(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    install = actions.add_parser("install", help="tell Jupyter's clients of one")
    where = install.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="for this user")
    where.add_argument("--sys-prefix", action="store_true", help="for this Python environment")
    where.add_argument("--prefix", default=None, metavar="DIR", help="below DIR/share/jupyter")
    install.add_argument("--language", default="python", help="python, javascript, bash, … (default: python)")
    install.add_argument("--name", default=None, help="(default: kernelgw- and the language)")
    install.add_argument("--env", default="default", metavar="ENVIRONMENT", help="(default: default)")
    install.add_argument("--workspace", default="cwd", choices=("cwd", "empty"), help="cwd: the notebook's folder")
    install.add_argument("--network", default="off", help="off, packages, full, or hosts: example.org,*.example.org")
    install.add_argument("--isolation", default="auto", choices=("auto", "bubblewrap", "none"))
    install.add_argument("--limit", action="append", default=[], metavar="NAME=NUMBER", help="memory_bytes=1073741824")
    install.add_argument("--data-dir", type=Path, default=None, help="where environments of your own are declared")
    actions.add_parser("list", help="those that are installed, with what they are told")
    remove = actions.add_parser("remove", help="one of ours")
    remove.add_argument("name", metavar="NAME")
    parser.set_defaults(run=_kernelspec)


def _add_lab(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", nargs="?", default=None, help="the one to open")
    parser.add_argument("--folder", type=Path, default=None, help="where notebooks are kept (default: one per gateway)")
    parser.add_argument("--host", default="127.0.0.1", help="address that Lab listens on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8888, help="its port; the next free one if it is taken; 0: any")
    parser.add_argument("--no-browser", dest="browser", action="store_false", help="print the address only")
    parser.set_defaults(run=_lab)


def _where() -> argparse.ArgumentParser:
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--url", default=None, help="the gateway (default: the one running here)")
    where.add_argument("--token", default=os.environ.get("KERNELGW_TOKEN"))
    return where


def _add_keys(parser: argparse.ArgumentParser) -> None:
    where = _where()
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    create = actions.add_parser("create", parents=[where], help="make one and print it; it is told only now")
    create.add_argument("--scope", choices=("full", "debug"), default="debug", help="(default: debug)")
    create.add_argument("--session", default=None, help="the only session that it is for")
    create.add_argument("--name", default="", help="for people")
    create.add_argument("--expires-s", type=float, default=None, metavar="S", help="(default: never)")
    actions.add_parser("list", parents=[where], help="all, without what they are")
    revoke = actions.add_parser("revoke", parents=[where], help="it does not hold any more, also for who is connected")
    revoke.add_argument("key", metavar="ID")
    parser.set_defaults(run=_operate)


def _add_sessions(parser: argparse.ArgumentParser) -> None:
    where = _where()
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    listing = actions.add_parser("list", parents=[where], help="all, with what they do and since when")
    listing.add_argument("--json", action="store_true", help="for programs")
    show = actions.add_parser("show", parents=[where], help="one: its state, limits, and what it ran")
    end = actions.add_parser("end", parents=[where], help="end it; its files and history go too")
    export = actions.add_parser("export", parents=[where], help="as a notebook")
    export.add_argument("--output", "-o", type=Path, default=None, metavar="FILE", help="(default: standard output)")
    for each in (show, end, export):
        each.add_argument("session", metavar="SESSION")
    parser.set_defaults(run=_operate)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="a TOML file with these options")
    for option in dataclasses.fields(Settings):
        flag = "--" + option.name.replace("_", "-")
        default = "" if option.default is dataclasses.MISSING else f" (default: {option.default!r})"
        parser.add_argument(flag, default=None, help=option.metadata["help"] + default, metavar=option.name.upper())


def _given(arguments: argparse.Namespace) -> Settings:
    given = {option.name: getattr(arguments, option.name) for option in dataclasses.fields(Settings)}
    if given["store"] and has_password(given["store"]):
        raise BadSetting("all can read a password on the command line: give the store by KERNELGW_STORE or --config")
    return load(given, os.environ, arguments.config)


def _settings(arguments: argparse.Namespace) -> Settings:
    settings = _given(arguments)
    if not settings.token:
        if not _is_loopback(settings.host):
            raise BadSetting(
                f"refusing to listen on {settings.host} without a token: give one with --token or KERNELGW_TOKEN"
            )
        settings = dataclasses.replace(settings, token=_own_token(settings))
    return settings


def _own_token(settings: Settings) -> str:
    """The same at every start, since sessions outlive the gateway and their callers come back. Kept beside them, for
    this user alone."""
    path = settings.data_dir / OWN_TOKEN
    with contextlib.suppress(OSError):
        if found := path.read_text().strip():
            return found
    token = secrets.token_urlsafe(24)
    if settings.keep == "disk":
        # If it cannot be written, neither can anything else there, and whoever serves says so.
        with contextlib.suppress(OSError):
            settings.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
            path.touch(0o600)
            path.write_text(token)
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _serve(arguments: argparse.Namespace) -> int:
    from .server import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return serve(_settings(arguments))


def _doctor(arguments: argparse.Namespace) -> int:
    from .doctor.report import doctor

    return asyncio.run(doctor(_given(arguments), arguments.json))


def _run(arguments: argparse.Namespace) -> int:
    from .run import run

    status: int = run(arguments)
    return status


def _kernelspec(arguments: argparse.Namespace) -> int:
    from .kernelspecs import kernelspec

    status: int = kernelspec(arguments)
    return status


def _operate(arguments: argparse.Namespace) -> int:
    from .operate import operate

    status: int = operate(arguments)
    return status


def _lab(arguments: argparse.Namespace) -> int:
    from .lab.command import lab

    status: int = lab(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
