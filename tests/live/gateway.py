"""A gateway as a real process: started, watched for what it leaks, stopped, and looked after."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from . import proc

TOKEN = "live-test-token"
MODULE = (sys.executable, "-m", "kernelgw.cli")
# Much of it is imports, which take their time when other tests run beside.
START_S = 120
LANGUAGES = ("python", "javascript", "bash")
# What an ended gateway may leave in its run directory.
REMAINS = frozenset({"default.log", "etc"})
URL_LINE = re.compile(r"kernelgw is running: (http://\S+?)/\?token=(\S+)")


@dataclass(frozen=True)
class Resources:
    """All that sessions take and have to give back. Equal before and after, or something leaks."""

    gateway_fds: int
    forkserver_fds: int
    processes: int
    sockets: int
    run: int
    workspaces: int


class Gateway:
    """`options` are those of `kernelgw serve`, with underscores."""

    def __init__(self, data_dir: Path, command: Sequence[str] = MODULE, **options: object) -> None:
        self.data_dir = data_dir
        self.environ: dict[str, str] = {}
        self.url = ""
        self.baseline: Resources | None = None
        self._output = data_dir.with_name(data_dir.name + ".out")
        settings = {"port": 0, "data_dir": data_dir, "token": TOKEN, "on_stop": "end", **options}
        flags = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        self.command = [*command, "serve", *flags]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Gateway:
        """Returns when it answers that it is ready, pool included."""
        self.launch()
        proc.wait_until(self._announced, START_S, self.output)
        found = URL_LINE.search(self.output())
        assert found, self.output()
        assert found.group(2) == TOKEN
        self.url = found.group(1)
        self.wait_ready()
        return self

    def __enter__(self) -> Gateway:
        try:
            return self.start()
        except BaseException:
            self.abandon()
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stopped, which must go well; or, after a failure, ended."""
        try:
            if kind is None:
                self.stop()
        finally:
            self.abandon()

    def launch(self) -> subprocess.Popen[bytes]:
        # The environment variables of whoever runs the tests must not set its options.
        environ = {name: value for name, value in os.environ.items() if not name.startswith("KERNELGW_")}
        environ |= self.environ
        with self._output.open("ab") as output:
            output.truncate(0)
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environ, cwd="/"
            )
        return self.process

    def _announced(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.output()}"
        return URL_LINE.search(self.output()) is not None

    def output(self) -> str:
        """All that it has written to stdout and stderr."""
        return self._output.read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def forkserver(self) -> int:
        """The fork server's pid."""
        children = [pid for pid in proc.descendants(self.pid) if proc.command(pid).rstrip().endswith("/kernels")]
        servers = [pid for pid in children if proc.parent(pid) == self.pid]
        assert len(servers) == 1, f"{len(servers)} fork servers"
        return servers[0]

    def client(self, timeout: float = 30) -> httpx.Client:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout, trust_env=False)

    # what it holds

    def wait_ready(self) -> None:
        """The pool refills itself after each session, so every count starts here."""
        with self.client() as client:
            proc.wait_until(lambda: client.get("/readyz").status_code == 200, START_S, self.output)

    def resources(self) -> Resources:
        run = [path for path in (self.data_dir / "run").iterdir() if path.is_dir()]
        return Resources(
            len(proc.open_fds(self.pid)),
            len(proc.open_fds(self.forkserver)),
            len(proc.descendants(self.pid)),
            len(proc.unix_sockets(self.data_dir)),
            len(run),
            len(list((self.data_dir / "workspaces").iterdir())),
        )

    def remember_baseline(self) -> None:
        """After one session of each language has come and gone, since first times load things for good, and a language
        that was used is kept warm."""
        with self.client() as client:
            for language in LANGUAGES:
                body = {"code": "1", "language": language}
                client.post(f"/v1/sessions/{language}/executions", json=body).raise_for_status()
                client.delete(f"/v1/sessions/{language}").raise_for_status()
        self.wait_ready()
        last = self.resources()

        def settled() -> bool:
            nonlocal last
            before, last = last, self.resources()
            return before == last

        proc.wait_until(settled, 10, lambda: last)
        self.baseline = last

    def assert_nothing_leaked(self) -> None:
        """Sessions must be deleted and clients closed."""
        self.wait_ready()
        try:
            proc.wait_until(lambda: self.resources() == self.baseline, 10, self._leaks)
        except AssertionError:
            # One test leaked, and is told; those after it did not.
            self.baseline = self.resources()
            raise

    def _leaks(self) -> str:
        assert self.baseline is not None
        wanted, found = (dataclasses.asdict(each) for each in (self.baseline, self.resources()))
        return "; ".join(
            f"{name}: {found[name]} instead of {wanted[name]}" for name in wanted if found[name] != wanted[name]
        )

    # its end

    def stop(self) -> None:
        """By SIGTERM, as a service manager does. Nothing may be left."""
        if self.process is None or self.process.poll() is not None:
            return
        everything = proc.descendants(self.pid)
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20)
        assert status == 0, f"ended with {status}: {self.output()}"
        self.assert_nothing_left(everything)

    def assert_nothing_left(self, processes: dict[int, str]) -> None:
        proc.wait_until(lambda: not proc.still_there(processes), 5, lambda: proc.still_there(processes))
        proc.wait_until(lambda: not proc.unix_sockets(self.data_dir), 5, lambda: proc.unix_sockets(self.data_dir))
        left = {path.name for path in (self.data_dir / "run").iterdir()}
        assert {name for name in left if not name.endswith(".log")} <= REMAINS, left
        # Sessions stay with their files, until somebody deletes them.
        sessions = list((self.data_dir / "sessions").iterdir())
        assert len(list((self.data_dir / "workspaces").iterdir())) <= len(sessions)
        assert not (self.data_dir / "gateway.json").exists()

    def kill(self) -> dict[int, str]:
        """SIGKILL; returns the processes that it had, which live on."""
        everything = proc.descendants(self.pid)
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        return everything

    def abandon(self) -> None:
        """After a failed test: whatever is left of it goes, so that the next test is not disturbed."""
        if self.process is None or self.process.poll() is not None:
            return
        for pid in self.kill():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
