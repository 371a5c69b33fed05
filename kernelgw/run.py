"""`kernelgw run FILE`: code in, outputs live, exit status 1 on a code error."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .client import Client, Event, GatewayProblem, Session
from .languages import Languages
from .operate import running_here
from .settings import RUNNING

START_TIMEOUT_S = 180
FAILED = 1


def run(arguments: Namespace) -> int:
    """Exit status: 0 done, 1 the code failed, 2 it could not be run."""
    try:
        code = sys.stdin.read() if arguments.file == "-" else Path(arguments.file).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        print(f"kernelgw: {arguments.file}: {error}", file=sys.stderr)
        return 2
    try:
        with _gateway(arguments.url, arguments.token) as client:
            return _run(client, arguments, code)
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED
    except GatewayProblem as problem:
        print(f"kernelgw: {problem.message}\nkernelgw: {problem.hint}", file=sys.stderr)
        return 2


def _run(client: Client, arguments: Namespace, code: str) -> int:
    name = arguments.session or f"run-{uuid.uuid4().hex[:12]}"
    session = client.session(name)
    options: dict[str, Any] = {"stdin": arguments.file != "-", "on_disconnect": "interrupt"}
    if (language := arguments.language or _spoken_in(arguments.file)) is not None:
        options["language"] = language
    if arguments.timeout:
        options["timeout_s"] = arguments.timeout
    try:
        return _follow(session, session.stream(code, **options))
    finally:
        if arguments.session is None:
            with contextlib.suppress(GatewayProblem):
                session.end()


def _spoken_in(file: str) -> str | None:
    """None where the name does not say; the gateway has a default then."""
    found = Languages().of_file(file)
    return found.name if found is not None else None


def _follow(session: Session, events: Iterator[Event]) -> int:
    interrupted = False
    while True:
        try:
            for event in events:
                _show(session, event)
                if event.type == "execution.completed":
                    return 0 if event.data["status"] == "completed" else _explain(event.data)
            return FAILED
        except KeyboardInterrupt:
            if interrupted:
                raise
            interrupted = True
            session.interrupt()
            return 130


def _show(session: Session, event: Event) -> None:
    data = event.data
    if event.type == "output.stream":
        stream = sys.stderr if data["name"] == "stderr" else sys.stdout
        stream.write(data["text"])
        stream.flush()
    elif event.type in ("output.result", "output.display", "output.update"):
        print(_as_text(data["data"]), flush=True)
    elif event.type == "output.error":
        print("\n".join(data["traceback"]) or f"{data['name']}: {data['value']}", file=sys.stderr, flush=True)
    elif event.type == "input.requested":
        session.answer(data["execution_id"], _ask(data["prompt"]))


def _ask(prompt: str) -> str:
    try:
        return input(prompt)
    except EOFError:
        # What a terminal sends for it; the cell gets an EOFError.
        return "\x04"


def _as_text(bundle: dict[str, Any]) -> str:
    for kind in ("text/markdown", "text/latex", "text/plain"):
        if kind in bundle:
            text = str(bundle[kind])
            others = [name for name in bundle if not name.startswith("text/")]
            return f"{text}  [{', '.join(others)}]" if others else text
    return f"[{', '.join(bundle)}]"


def _explain(completed: dict[str, Any]) -> int:
    error = completed.get("error") or {}
    if completed["status"] != "failed":
        print(f"kernelgw: {completed['status']}: {error.get('value', '')}", file=sys.stderr)
    if error.get("hint"):
        print(f"kernelgw: {error['hint']}", file=sys.stderr)
    return FAILED


@contextmanager
def _gateway(url: str | None, token: str | None) -> Iterator[Client]:
    """The one that was named, else the one that runs here, else one just for this."""
    url = url or os.environ.get("KERNELGW_URL")
    if url is None and (running := running_here()) is not None:
        url, token = running["url"], token or running["token"]
    if url is not None:
        with Client(url, token) as client:
            yield client
        return
    with tempfile.TemporaryDirectory(prefix="kernelgw-") as folder:
        Path(folder).chmod(0o711)
        process = _start(folder)
        try:
            with Client(*_wait_for(process, Path(folder))) as client:
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _start(folder: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kernelgw.cli", "serve", "--port", "0", "--data-dir", folder]
    # The folder goes when this ends, and so does all that would need it.
    command += ["--pool-size", "0", "--keep", "memory", "--on-stop", "end"]
    # Its own process group: Ctrl-C is for the code, and must not end the gateway under it.
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0)


def _wait_for(process: subprocess.Popen[str], folder: Path) -> tuple[str, str]:
    assert process.stdout is not None
    watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            if "kernelgw is running" in line:
                facts = json.loads((folder / RUNNING).read_text())
                return facts["url"], facts["token"]
    finally:
        watchdog.cancel()
    process.kill()
    said = process.communicate()[1].strip().splitlines()
    words = "\n".join(said[-3:]) or "no gateway could be started"
    raise GatewayProblem(0, "no_gateway", words, "Try `kernelgw serve` by itself.")
