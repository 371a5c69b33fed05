"""A PostgreSQL of our own: in a folder of its own, on a unix socket, and gone afterwards."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from . import proc

# It refuses to run as root.
USER = "postgres"
START_S = 60


def programs() -> Path | None:
    """Where Debian puts the newest one's."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    return found[-1] if found else None


class Postgres:
    """`password` is asked for on every connection."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.password = secrets.token_urlsafe(16)
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        self._own()
        words = folder / "password"
        words.write_text(self.password)
        self._own()
        options = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={words}", "--no-sync", "--encoding=UTF8"]
        self._run("initdb", f"--pgdata={folder / 'data'}", *options)
        words.unlink()

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{USER}:{self.password}@/postgres?host={self.folder}"

    def start(self) -> None:
        command = [str(self._programs / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        command += ["-c", "listen_addresses=", "-c", "fsync=off"]
        with (self.folder.with_name(self.folder.name + ".log")).open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=self._become(), cwd="/")
        proc.wait_until(self._answers, START_S, "PostgreSQL")

    def stop(self) -> None:
        """At once, as a machine that is switched off."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)
            self._process = None

    def empty(self) -> None:
        """As it was made."""
        self._sql("drop schema public cascade; create schema public")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "PostgreSQL ended"
        command = [str(self._programs / "pg_isready"), "-q", "-h", str(self.folder)]
        return subprocess.run(command, check=False).returncode == 0

    def _sql(self, text: str) -> None:
        environ = {**os.environ, "PGPASSWORD": self.password}
        command = ["psql", "-q", "-h", str(self.folder), "-U", USER, "-d", "postgres", "-c", text]
        subprocess.run([str(self._programs / command[0]), *command[1:]], check=True, env=environ, capture_output=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, preexec_fn=self._become(), cwd="/")

    def _own(self) -> None:
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, user.pw_uid, user.pw_gid)

    @staticmethod
    def _become() -> partial[None] | None:
        if os.geteuid() != 0:
            return None
        user = pwd.getpwnam(USER)
        return partial(_become, user.pw_uid, user.pw_gid)


def _become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


@contextmanager
def postgres() -> Iterator[Postgres]:
    found = programs()
    assert found is not None
    # Short, as a socket's path has to be, and one that its own user may pass.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    made: Postgres | None = None
    try:
        made = Postgres(folder, found)
        made.start()
        yield made
    finally:
        if made is not None:
            made.stop()
        shutil.rmtree(folder)
        folder.with_name(folder.name + ".log").unlink(missing_ok=True)
