"""Our kernels under whole programs that start kernels: Jupyter's server, nbclient, papermill; and how those end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from . import proc
from .jupyter import attached
from .provided import NAME, Desk
from .test_jupyter_server import OWN, Server, serving

pytestmark = [pytest.mark.live, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
DONE_S = 60
PLOT = "from matplotlib import pyplot\npyplot.plot([1, 2, 3])\npyplot.show()"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path / "d")
    desk.root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERNELGW_DATA_DIR", str(desk.data_dir))
        desk.prepare()
    return desk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "notebooks"
    made.mkdir()
    return made


def run(desk: Desk, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=desk.whole_environ(), capture_output=True, text=True, timeout=DONE_S
    )


def left_by(desk: Desk) -> set[str]:
    return {path.name for path in (desk.data_dir / "jupyter").iterdir()}


def notebook_of(path: Path, *cells: str, parameters: str = "") -> Path:
    made = [cell_of(cell) for cell in cells]
    if parameters:
        made.insert(0, cell_of(parameters) | {"metadata": {"tags": ["parameters"]}})
    spec = {"kernelspec": {"name": NAME, "display_name": NAME, "language": "python"}}
    path.write_text(json.dumps({"cells": made, "metadata": spec, "nbformat": 4, "nbformat_minor": 4}))
    return path


def cell_of(code: str) -> dict[str, Any]:
    return {"cell_type": "code", "source": code, "metadata": {}, "outputs": [], "execution_count": None}


def outputs(path: Path) -> list[Any]:
    """As one list; text as a whole."""
    found = [output for cell in json.loads(path.read_text())["cells"] for output in cell.get("outputs", [])]
    return [output | {"text": "".join(output.get("text", ""))} for output in found]


def test_nbclient(desk: Desk, folder: Path) -> None:
    notebook_of(folder / "in.ipynb", "import os\nopen('made', 'w').write('x')\nprint(os.getcwd())", PLOT, "6 * 7")
    done = run(desk, folder, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "out.ipynb", "in.ipynb")
    assert done.returncode == 0, done.stderr
    printed, plotted, result = outputs(folder / "out.ipynb")
    assert printed["text"] == "/workspace\n"
    assert "image/png" in plotted["data"]
    assert "".join(result["data"]["text/plain"]) == "42"
    assert (folder / "made").read_text() == "x"
    assert left_by(desk) == {"0.lock", "cache"}


def test_nbclient_with_an_error(desk: Desk, folder: Path) -> None:
    notebook_of(folder / "in.ipynb", "print('before')", "1 / 0", "print('never')")
    done = run(desk, folder, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "out.ipynb", "in.ipynb")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert not (folder / "out.ipynb").exists()


def test_papermill(desk: Desk, folder: Path) -> None:
    notebook_of(folder / "in.ipynb", "print(alpha * 2)", PLOT, parameters="alpha = 1")
    done = run(desk, folder, "-m", "papermill", "in.ipynb", "out.ipynb", "-p", "alpha", "21", "-k", NAME)
    assert done.returncode == 0, done.stderr
    printed, plotted = outputs(folder / "out.ipynb")
    assert printed["text"] == "42\n"
    assert "image/png" in plotted["data"]
    assert left_by(desk) == {"0.lock", "cache"}


@pytest.fixture
def server(desk: Desk, tmp_path: Path) -> Iterator[Server]:
    server = serving(tmp_path / "jupyter", [], desk.environ | {"HOME": str(tmp_path / "jupyter")})
    yield server
    server.client.close()
    if server.process.poll() is None:
        server.process.kill()
        server.process.wait()


def test_jupyter_s_own_server(desk: Desk, server: Server, tmp_path: Path) -> None:
    assert server.client.get("/api/kernelspecs").json()["kernelspecs"][NAME]["name"] == NAME
    made = server.client.post("/api/sessions", json=document(NAME))
    assert made.status_code == 201, made.text
    kernel = made.json()["kernel"]["id"]
    headers = {"Authorization": f"token {OWN}"}
    for v1 in (True, False):
        with attached(server, kernel, v1=v1, additional_headers=headers) as lab:  # type: ignore[arg-type]
            assert lab.run("6 * 7")[0] == "42"
            id_ = lab.execute("print(input('? '))")
            lab.until(lambda message: message.type == "input_request")
            lab.send("input_reply", {"value": "answered"}, "stdin")
            assert "answered" in str(lab.ended(id_)[0])
            running = lab.execute("while True: pass")
            lab.until(lambda message, running=running: message.type == "execute_input" and message.of == running)  # type: ignore[misc]
            assert server.client.post(f"/api/kernels/{kernel}/interrupt").status_code == 204
            assert lab.ended(running)[1].content["ename"] == "KeyboardInterrupt"
    assert server.client.post(f"/api/kernels/{kernel}/restart").status_code == 200
    with attached(server, kernel, additional_headers=headers) as lab:  # type: ignore[arg-type]
        lab.run("import os; open('made', 'w').write('x')")
        # Its end is noticed, and it is started again.
        lab.execute("os._exit(1)")
        lab.until(lambda message: message.content.get("execution_state") == "restarting")
        assert lab.run("'again'")[0] == "'again'"
    assert (tmp_path / "jupyter/root/made").read_text() == "x"
    assert server.client.delete(f"/api/kernels/{kernel}").status_code == 204
    assert server.stop() == 0
    assert left_by(desk) == {"0.lock", "cache"}


def document(name: str) -> dict[str, Any]:
    return {"path": "a.ipynb", "name": "a", "type": "notebook", "kernel": {"name": name}}


def test_a_server_is_told_why_there_is_no_kernel(desk: Desk, server: Server) -> None:
    spec = desk.root / "prefix/share/jupyter/kernels" / NAME / "kernel.json"
    text = json.loads(spec.read_text())
    text["metadata"]["kernel_provisioner"]["config"]["environment"] = "none-such"
    spec.write_text(json.dumps(text))
    refused = server.client.post("/api/sessions", json=document(NAME))
    assert refused.status_code == 500
    assert "no environment is called" in refused.json()["message"]
    assert server.client.get("/api/kernels").json() == []


# Processes

CLIENT = """
import sys
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_name=sys.argv[1])
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=60)
client.execute_interactive("import os, subprocess; sleeper = subprocess.Popen(['sleep', '1000'])", timeout=60)
print(manager.provisioner._kernel.pid, flush=True)
for line in sys.stdin:
    client.execute_interactive(line, timeout=60)
    sys.stdout.flush()
"""


class Client:
    """A process with one kernel, which runs a line when told to."""

    def __init__(self, desk: Desk, folder: Path, name: str = NAME, before: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*before, sys.executable, "-c", CLIENT, name],
            cwd=folder,
            env=desk.whole_environ() | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.kernel = int(self.line())

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def run(self, code: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        return self.line()

    def processes(self) -> dict[int, str]:
        """Of its sandbox and of its fork server."""
        found = {*proc.neighbours(self.kernel), *proc.descendants(self.process.pid)} - {self.process.pid}
        return {pid: str(proc.started_at(pid)) for pid in found}

    def uid(self) -> str:
        return (proc.PROC / str(self.kernel) / "status").read_text().partition("Uid:")[2].split()[0]

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        """Its input ends, and with it itself."""
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.wait(DONE_S)


def test_a_client_that_is_killed_leaves_no_process(desk: Desk, folder: Path) -> None:
    with Client(desk, folder) as client:
        everything = client.processes()
        assert len(everything) >= 4
        client.process.kill()
    proc.wait_until(lambda: not proc.still_there(everything), 10, lambda: proc.still_there(everything))
    # Its files are still there, for whoever comes next to clear away.
    assert left_by(desk) == {"0", "0.lock", "cache"}
    with Client(desk, folder) as after:
        assert after.run("print('on')") == "on\n"
    assert left_by(desk) == {"0.lock", "cache"}


def test_two_processes_do_not_disturb_each_other(desk: Desk, folder: Path) -> None:
    with Client(desk, folder) as first:
        with Client(desk, folder) as second:
            assert left_by(desk) == {"0", "0.lock", "1", "1.lock", "cache"}
            assert first.run("kept = 'of the first'; print(kept)") == "of the first\n"
            assert os.geteuid() != 0 or first.uid() != second.uid()
            assert second.run("print('on')") == "on\n"
            second.process.kill()
        assert first.run("print(kept)") == "of the first\n"


PLAIN_USER = 1999


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else; the other tests are that user's")
def test_a_plain_user(desk: Desk, folder: Path) -> None:
    for place in (desk.root, *desk.root.rglob("*"), folder):
        os.chown(place, PLAIN_USER, PLAIN_USER)
    home, interpreter = str(desk.root / "home"), str(Path(sys.executable).resolve().parents[1])
    way = [str(ROOT), interpreter, str(desk.root), str(folder)]
    as_user = [sys.executable, str(ROOT / "tests/security/as_user.py"), str(PLAIN_USER), home, *way, "--"]
    with Client(desk, folder, before=as_user) as client:
        assert client.run("open('made', 'w').write('x'); print(os.getcwd(), os.getuid())") == "/workspace 1000\n"
        assert client.uid() == str(PLAIN_USER)
    assert (folder / "made").stat().st_uid == PLAIN_USER
    assert left_by(desk) == {"0.lock", "cache"}


WITHOUT_BUBBLEWRAP = """
for path in /usr/bin/bwrap /usr/local/bin/bwrap; do [ ! -e $path ] || mount --bind /dev/null $path; done
exec "$0" -c "$1"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide a program")
def test_without_a_sandbox_there_is_no_kernel(desk: Desk, folder: Path) -> None:
    code = f"from jupyter_client.manager import KernelManager; KernelManager(kernel_name={NAME!r}).start_kernel()"
    command = ["unshare", "--mount", "/bin/sh", "-c", WITHOUT_BUBBLEWRAP, sys.executable, code]
    done = subprocess.run(command, cwd=folder, env=desk.whole_environ(), capture_output=True, text=True, timeout=DONE_S)
    assert done.returncode == 1
    assert "bubblewrap is not installed, so sessions cannot be sandboxed" in done.stderr
    assert "kernelgw doctor" in done.stderr


def test_a_client_that_knows_no_provisioners_gets_no_kernel(desk: Desk) -> None:
    spec = json.loads((desk.root / "prefix/share/jupyter/kernels" / NAME / "kernel.json").read_text())
    done = subprocess.run(spec["argv"], capture_output=True, text=True, timeout=DONE_S)
    assert done.returncode == 2
    assert "know kernel provisioners" in done.stderr
