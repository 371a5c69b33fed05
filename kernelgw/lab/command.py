"""`kernelgw lab [SESSION]`: starts JupyterLab at the gateway's chats, and ends it again; the chats go on without."""

from __future__ import annotations

import argparse
import contextlib
import html
import os
import re
import signal
import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from urllib.parse import quote, urlsplit

from ..client import Client, GatewayProblem
from ..operate import gateway_at
from .notebooks import folder_at
from .server import Server, serving

FAILED = 1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What Lab needs here, with the first version that does.
NEEDED = (("jupyterlab", (4, 4)), ("jupyter_server", (2, 21)), ("jupyterlab_widgets", (3, 0)))
INSTALL = 'pip install "kernelgw[lab]"'
# A key that was not taken back ends by itself; a Lab that runs longer is started again.
KEY_S = 7 * 86400
# The gateway has no keys; this caller may not make any.
KEYLESS = frozenset({403, 404, 405})


def lab(arguments: argparse.Namespace) -> int:
    """Exit status 1 when there is no gateway, no such session or no JupyterLab, or when Lab failed."""
    try:
        return _lab(arguments)
    except GatewayProblem as problem:
        print(f"kernelgw: {problem.message}", file=sys.stderr)
        if problem.hint:
            print(f"kernelgw: {problem.hint}", file=sys.stderr)
        return FAILED


def _lab(arguments: argparse.Namespace) -> int:
    check_installed()
    url, token = _gateway(arguments.url, arguments.token)
    _check_gateway(url, token, arguments.session)
    folder = _folder(arguments.folder, url)
    with contextlib.ExitStack() as open_, contextlib.suppress(_Stopped):
        for number in SIGNALS:
            open_.callback(signal.signal, number, signal.signal(number, _stop))
        key = open_.enter_context(_borrowed(url, token))
        private = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="kernelgw-lab-")))
        server = open_.enter_context(serving(arguments, url, key, folder, private))
        _announce(server, arguments, private)
        if status := server.process.wait():
            raise GatewayProblem(0, "no_lab", f"JupyterLab ended with status {status}.")
    return 0


def _check_gateway(url: str, token: str, session: str | None) -> None:
    """Raises GatewayProblem, with what is wrong."""
    with Client(url, token) as client:
        if session is not None:
            client.session(session).look()
        else:
            client.sessions()


class _Stopped(Exception):
    """Ctrl-C, or the like."""


def _stop(number: int, frame: FrameType | None) -> None:
    # Once is enough: what follows is the end of Lab, which must not be cut short.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise _Stopped


def check_installed() -> None:
    """Raises GatewayProblem."""
    for package, least in NEEDED:
        try:
            found = tuple(int(part) for part in re.findall(r"\d+", version(package))[:2])
        except PackageNotFoundError:
            raise GatewayProblem(0, "no_lab", f"{package} is not installed here.", f"Install it: {INSTALL}") from None
        if found < least:
            wanted = ".".join(map(str, least))
            words = f"{package} {version(package)} is older than {wanted}."
            raise GatewayProblem(0, "no_lab", words, f"Install a newer one: {INSTALL}")


def _gateway(url: str | None, token: str | None) -> tuple[str, str]:
    """Raises GatewayProblem."""
    url, token = gateway_at(url, token)
    if urlsplit(url).scheme not in ("http", "https"):
        raise GatewayProblem(0, "no_gateway", f"{url} is not the address of a gateway.", "It begins with http.")
    return url, token or ""


@contextlib.contextmanager
def _borrowed(url: str, token: str) -> Iterator[str]:
    """A key that can do no more than Lab needs, taken back afterwards; or the token itself, where there is none."""
    try:
        with Client(url, token) as client:
            body = {"scope": "debug", "name": "kernelgw lab", "expires_s": KEY_S}
            made = client.request("POST", "/v1/keys", body)
    except GatewayProblem as problem:
        if problem.status not in KEYLESS:
            raise
        yield token
        return
    try:
        yield made["key"]
    finally:
        # If the gateway is gone, the key ends with its time.
        with contextlib.suppress(GatewayProblem), Client(url, token) as client:
            client.request("DELETE", f"/v1/keys/{quote(made['id'], safe='')}")


def _folder(given: Path | None, url: str) -> Path:
    """One for each gateway, since sessions of two can have the same name. Raises GatewayProblem."""
    base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share", "kernelgw-lab")
    own = re.sub(r"[^A-Za-z0-9._-]+", "-", url.partition("://")[2]).strip("-.")
    path = (given or base / own).expanduser().absolute()
    try:
        return folder_at(path)
    except OSError as error:
        words = f"Notebooks cannot be kept in {path}: {error.strerror}."
        raise GatewayProblem(0, "no_folder", words, "Name another folder with --folder.") from None


def _announce(server: Server, arguments: argparse.Namespace, private: Path) -> None:
    url = server.address(arguments.session)
    print(f"kernelgw lab is running: {url}")
    print(f"Notebooks are in {server.folder}. Ctrl-C ends Lab; the chats go on.", flush=True)
    if arguments.browser:
        # Not the address itself: everybody can read a browser's command line.
        page = private / "open.html"
        page.touch(0o600)
        page.write_text(f'<meta http-equiv="refresh" content="0; url={html.escape(url)}">')
        webbrowser.open(page.as_uri())
