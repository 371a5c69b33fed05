"""`kernelgw lab` as a real process, with a JupyterLab that is its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from . import proc
from .gateway import MODULE, TOKEN

START_S = 120
ADDRESS = re.compile(r"kernelgw lab is running: (\S+)")


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nobody's own settings of Jupyter or of ours; Lab's question whether news are wanted has been answered."""
    answers = home / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    answers.parent.mkdir(parents=True, exist_ok=True)
    answers.write_text('{"fetchNews": "false"}')
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KERNELGW_", "JUPYTER", "XDG_"))}
    return {**kept, "HOME": str(home), "KERNELGW_DATA_DIR": str(home / "none"), **more}


@dataclass
class Lab:
    """Use it with `with`; it must end well. `arguments`: further ones of the command."""

    home: Path
    url: str
    arguments: tuple[str, ...] = ()
    credential: str = TOKEN
    process: subprocess.Popen[bytes] = field(init=False)
    address: str = field(init=False, default="")

    def __enter__(self) -> Lab:
        command = [*MODULE, "lab", "--url", self.url, "--port", "0", "--no-browser"]
        command += ["--folder", str(self.folder), *self.arguments]
        environ = environment(self.home, KERNELGW_TOKEN=self.credential)
        self._output = self.home / "output"
        with self._output.open("wb") as out:
            self.process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            proc.wait_until(self._announced, START_S, self.output)
        except BaseException:
            self.abandon()
            raise
        found = ADDRESS.search(self.output())
        assert found
        self.address = found.group(1)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.stop()
        finally:
            self.abandon()

    def _announced(self) -> bool:
        assert self.process.poll() is None, self.output()
        return ADDRESS.search(self.output()) is not None

    def output(self) -> str:
        return self._output.read_text(errors="replace")

    @property
    def folder(self) -> Path:
        return self.home / "notebooks"

    @property
    def base(self) -> str:
        """Of Lab, as tests of a gateway have it."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.address).query)["token"][0]

    @property
    def server(self) -> int:
        """The pid of JupyterLab itself."""
        children = [pid for pid in proc.descendants(self.process.pid) if proc.parent(pid) == self.process.pid]
        assert len(children) == 1, children
        return children[0]

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"token {self.token}"}
        return httpx.Client(base_url=self.base, headers=headers, trust_env=False, timeout=30)

    def get(self, path: str, **query: Any) -> Any:
        with self.client() as client:
            return client.get(path, params=query).raise_for_status().json()

    def entry(self, chat: str) -> dict[str, Any] | None:
        """The chat in Lab's list of sessions."""
        found: list[dict[str, Any]] = [each for each in self.get("/api/sessions") if each["name"] == chat]
        assert len(found) <= 1, found
        return found[0] if found else None

    def stop(self) -> None:
        """As Ctrl-C does."""
        if self.process.poll() is None:
            everything = proc.descendants(self.process.pid)
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(30) == 0, self.output()
            assert not proc.still_there(everything)

    def abandon(self) -> None:
        if self.process.poll() is None:
            everything = proc.descendants(self.process.pid)
            self.process.kill()
            self.process.wait(10)
            for pid in proc.still_there(everything):
                os.kill(pid, signal.SIGKILL)
