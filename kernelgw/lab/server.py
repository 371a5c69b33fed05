"""JupyterLab's server as a child process, with what makes it one of the gateway's chats."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from ..client import GatewayProblem

START_S = 120
END_S = 15
# In its environment: {"token": the gateway's, "named": [sessions that are shown though they are asleep]}.
HANDOVER = "KERNELGW_LAB"
# Lab's server needs none of these, and its terminals would inherit them.
WITHHELD = frozenset({"KERNELGW_TOKEN", "JUPYTER_GATEWAY_AUTH_TOKEN", "JUPYTER_GATEWAY_URL", "JUPYTER_GATEWAY_WS_URL"})
CLASSES = (
    ("kernel_manager_class", "kernelgw.lab.kernels.Kernels"),
    ("session_manager_class", "kernelgw.lab.sessions.Sessions"),
    ("contents_manager_class", "kernelgw.lab.contents.Contents"),
    ("kernel_websocket_connection_class", "kernelgw.lab.relay.Relay"),
)


@dataclass
class Server:
    """`url`: with a slash at its end. `token`: Lab's own; "" where somebody has set a password for it."""

    process: subprocess.Popen[bytes]
    folder: Path
    url: str
    token: str

    def address(self, chat: str | None) -> str:
        """For a browser; by then every chat has its notebook. Raises GatewayProblem."""
        files = self._files()
        place = "lab" if chat is None else f"lab/tree/{quote(files.get(chat, f'{chat}.ipynb'))}"
        return f"{self.url}{place}" + (f"?token={self.token}" if self.token else "")

    def _files(self) -> Mapping[str, str]:
        """Of each chat; none where a password is asked for in place of a token."""
        if not self.token:
            return {}
        with self._client() as client:
            try:
                found = client.get("api/sessions").raise_for_status().json()
            except httpx.HTTPError as error:
                raise GatewayProblem(0, "no_lab", f"JupyterLab cannot list the chats: {error}") from None
        return {each["name"]: each["path"] for each in found if each["type"] == "notebook"}

    def answers(self) -> bool:
        try:
            with self._client() as client:
                return not client.get("api").is_server_error
        except httpx.TransportError:
            return False

    def _client(self) -> httpx.Client:
        headers = {"Authorization": f"token {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=60)


@contextlib.contextmanager
def serving(arguments: argparse.Namespace, url: str, key: str, folder: Path, private: Path) -> Iterator[Server]:
    """A Lab that answers. `private`: a folder of this user's, for its log. Raises GatewayProblem."""
    log = private / "log"
    log.touch(0o600)
    named = [] if arguments.session is None else [arguments.session]
    environ = {name: value for name, value in os.environ.items() if name not in WITHHELD}
    environ[HANDOVER] = json.dumps({"token": key, "named": named})
    # By its own process group: Ctrl-C is for us, who then end it, without Lab's question whether it is meant.
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "jupyterlab", *_options(arguments, url, folder)],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    try:
        yield _wait_for(process, folder, log)
    finally:
        _end(process)


def _options(arguments: argparse.Namespace, url: str, folder: Path) -> list[str]:
    options = {
        **{f"ServerApp.{name}": value for name, value in CLASSES},
        "ServerApp.ip": arguments.host,
        "ServerApp.port": arguments.port,
        "ServerApp.root_dir": folder,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": os.geteuid() == 0,
        "GatewayClient.url": url,
        # Lab would ask elsewhere for news and for newer versions of itself.
        "LabApp.news_url": None,
        "LabApp.check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
    }
    return [f"--{name}={value}" for name, value in options.items()]


def _wait_for(process: subprocess.Popen[bytes], folder: Path, log: Path) -> Server:
    from jupyter_core.paths import jupyter_runtime_dir

    facts = Path(jupyter_runtime_dir(), f"jpserver-{process.pid}.json")
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        if (known := _read(facts)) is not None:
            server = Server(process, folder, known["url"].rstrip("/") + "/", known["token"])
            if server.answers():
                return server
        time.sleep(0.05)
    last = "\n".join(log.read_text(errors="replace").strip().splitlines()[-8:])
    raise GatewayProblem(0, "no_lab", f"JupyterLab did not start:\n{last}", "Try `jupyter lab` by itself.")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
