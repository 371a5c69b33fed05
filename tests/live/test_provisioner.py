"""Our kernels under a stock kernel manager: all that it asks of them, and the sandbox around them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager
from jupyter_client.session import Session
from jupyter_core.utils import run_sync

from kernelgw.provisioner.house import House

from . import proc
from .provided import NAME, TIMEOUT_S, Desk, Notebook, opened

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("p"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in desk.environ.items():
            patch.setenv(name, value)
        patch.setenv("OWN_SECRET", "a token of the client's process")
        desk.prepare()
        yield desk
        House.here().close()
    # All of it is given back but the lock and what the next process would look up again.
    assert {path.name for path in (desk.data_dir / "jupyter").iterdir()} == {"0.lock", "cache"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of the notebook."""
    made = tmp_path / "notebooks"
    made.mkdir()
    return made


@pytest.fixture
def notebook(desk: Desk, folder: Path) -> Iterator[Notebook]:
    del desk
    with opened(folder) as notebook:
        yield notebook


def test_what_a_notebook_does(notebook: Notebook) -> None:
    assert notebook.value("x = 20; x + 22") == "42"
    notebook.run("import sys; print('out'); print('err', file=sys.stderr)")
    streams = [(each["content"]["name"], each["content"]["text"]) for each in notebook.outputs if "stream" in str(each)]
    assert ("stdout", "out\n") in streams
    assert ("stderr", "err\n") in streams
    reply = notebook.run("1 / 0", stop_on_error=False)
    assert (reply["status"], reply["ename"]) == ("error", "ZeroDivisionError")
    (error,) = (each["content"] for each in notebook.outputs if each["msg_type"] == "error")
    # A client may keep it as an output, and a notebook has no place for more.
    assert error.keys() == {"ename", "evalue", "traceback"}
    assert notebook.value("print(input('? '))", stdin_hook=lambda _: notebook.client.input("answered")) == "answered\n"
    notebook.value("from matplotlib import pyplot; pyplot.plot([1, 2]); pyplot.show()")
    assert any("image/png" in each["content"].get("data", {}) for each in notebook.outputs)
    assert notebook.client.complete("sys.stdo", reply=True, timeout=TIMEOUT_S)["content"]["matches"] == ["stdout"]
    info = notebook.client.kernel_info(reply=True, timeout=TIMEOUT_S)["content"]
    assert info["language_info"]["name"] == "python"


def test_after_an_error_what_waits_is_aborted(notebook: Notebook) -> None:
    """As everywhere but in a gateway, where queueing is the session's."""
    client = notebook.client
    first, second = client.execute("import time; time.sleep(0.3); 1/0"), client.execute("print('no')")
    replies: dict[str, str] = {}
    while len(replies) < 2:
        message = client.get_shell_msg(timeout=TIMEOUT_S)
        replies[message["parent_header"]["msg_id"]] = message["content"]["status"]
    assert (replies[first], replies[second]) == ("error", "aborted")
    assert notebook.value("print('on')") == "on\n"


@pytest.mark.parametrize("by", ["signal", "message"])
def test_an_interrupt(notebook: Notebook, by: str) -> None:
    notebook.run("kept = 1")
    request = notebook.client.execute("print('in', flush=True)\nwhile True: pass")
    notebook.until("stream")
    if by == "signal":
        notebook.manager.interrupt_kernel()
    else:
        client = notebook.client
        client.control_channel.send(client.session.msg("interrupt_request", {}))
    assert notebook.until("error")["content"]["ename"] == "KeyboardInterrupt"
    notebook.until_idle(request)
    assert notebook.manager.is_alive()
    assert notebook.value("kept") == "1"


def test_a_restart_keeps_the_clients(notebook: Notebook) -> None:
    before = notebook.manager.get_connection_info()
    notebook.run("gone = 1")
    pid = notebook.pid
    notebook.manager.restart_kernel()
    assert notebook.manager.get_connection_info() == before
    notebook.client.wait_for_ready(timeout=TIMEOUT_S)
    assert notebook.run("gone")["ename"] == "NameError"
    assert notebook.pid != pid
    assert proc.started_at(pid) is None


def test_a_shutdown_leaves_nothing(desk: Desk, folder: Path) -> None:
    del desk
    with opened(folder) as notebook:
        notebook.run("import subprocess; subprocess.Popen(['sleep', '1000'])")
        inside = dict.fromkeys(proc.neighbours(notebook.pid), "")
        inside = {pid: str(proc.started_at(pid)) for pid in inside}
        assert len(inside) >= 3
        sockets = Path(notebook.manager.ip).parent
        assert sockets.is_dir()
        reply = notebook.client.shutdown(reply=True, timeout=TIMEOUT_S)
        assert reply["content"]["status"] == "ok"
        notebook.manager.shutdown_kernel()
        assert not notebook.manager.is_alive()
        assert not notebook.manager.has_kernel
    proc.wait_until(lambda: not proc.still_there(inside), 5, lambda: proc.still_there(inside))
    assert not sockets.exists()
    assert not (Path(notebook.manager.connection_file)).exists()


@pytest.mark.parametrize(
    ("code", "status"),
    [("import os; os._exit(3)", 3), ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9)],
)
def test_its_death_is_noticed(notebook: Notebook, code: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    notebook.client.execute(code)
    proc.wait_until(lambda: not notebook.manager.is_alive(), 10, "its end")
    provisioner: Any = notebook.manager.provisioner
    assert provisioner._kernel.exit is not None
    assert notebook.manager.has_kernel
    assert wait(provisioner) == status
    assert ("was killed" in caplog.text) is (status < 0)
    # What a manager's restarter does then.
    notebook.manager.restart_kernel(now=True)
    notebook.client.wait_for_ready(timeout=TIMEOUT_S)
    assert notebook.value("1") == "1"


def wait(provisioner: Any) -> int:
    return int(run_sync(provisioner.wait)())


def test_a_terminated_one(notebook: Notebook) -> None:
    notebook.manager.signal_kernel(signal.SIGTERM)
    proc.wait_until(lambda: not notebook.manager.is_alive(), 10, "its end")
    assert wait(notebook.manager.provisioner) == -signal.SIGTERM


def test_heartbeats(notebook: Notebook) -> None:
    client = notebook.client
    client.hb_channel.unpause()
    proc.wait_until(client.hb_channel.is_beating, 10, "a heartbeat")
    # It holds the interpreter for longer than clients wait for a heartbeat; what was said before gets out first.
    client.execute("import re, time; time.sleep(0.2); re.match('(a+)+$', 'a' * 40 + 'b')")
    assert notebook.until("execute_input")
    # The first may be the answer to a question of before.
    for _ in range(2):
        client.hb_channel._beating = False
        proc.wait_until(client.hb_channel.is_beating, 10, "a heartbeat")
    assert not client.iopub_channel.msg_ready()


def test_who_does_not_read_holds_nobody_up(notebook: Notebook) -> None:
    """A second client that listens and never reads; the first has its reply, and all outputs."""
    idle = notebook.manager.client()
    idle.start_channels(shell=False, stdin=False, hb=False, control=False)
    try:
        code = "for i in range(30_000): display({'text/plain': str(i)}, raw=True)"
        reply = notebook.run(code)
        assert reply["status"] == "ok"
        assert sum(each["msg_type"] == "display_data" for each in notebook.outputs) == 30_000
        assert notebook.value("'on'") == "'on'"
    finally:
        idle.stop_channels()


# Keys


def test_only_who_has_the_key_is_answered(notebook: Notebook) -> None:
    manager = notebook.manager
    assert len(manager.session.key) >= 32
    stranger = manager.client(session=Session(key=b"another"))
    stranger.start_channels(iopub=False, stdin=False, hb=False, control=False)
    try:
        stranger.kernel_info()
        notebook.value("1")
        assert not stranger.shell_channel.msg_ready()
    finally:
        stranger.stop_channels()


def test_what_it_says_is_signed(notebook: Notebook) -> None:
    listener = notebook.manager.client(session=Session(key=b"another"))
    listener.start_channels(shell=False, stdin=False, hb=False, control=False)
    try:
        notebook.run("print('signed')")
        with pytest.raises(ValueError, match="Invalid Signature"):
            listener.get_iopub_msg(timeout=TIMEOUT_S)
    finally:
        listener.stop_channels()


MEMORY = """
import ctypes
head, tail = bytes.fromhex({head!r}), bytes.fromhex({tail!r})
found = 0
for line in open("/proc/self/maps"):
    span, rights, _, _, inode, *name = line.split()
    if "r" not in rights or (name and name[0] in ("[vvar]", "[vsyscall]", "[vvar_vclock]")):
        continue
    start, end = (int(part, 16) for part in span.split("-"))
    memory, place = ctypes.string_at(start, end - start), -1
    while (place := memory.find(head, place + 1)) >= 0:
        found += memory.startswith(tail, place + len(head))
    del memory
found
"""


def test_a_kernel_knows_no_key_but_its_own(notebook: Notebook, tmp_path: Path) -> None:
    """Searched for in all of its memory. Its own is found: the control."""
    other = tmp_path / "other"
    other.mkdir()
    with opened(other) as second:
        # A kernel that is made after both have been.
        third = tmp_path / "third"
        third.mkdir()
        with opened(third) as last:
            for key, there in ((last.manager.session.key, True), (second.manager.session.key, False)):
                # In two parts, since it would otherwise find what it looks for in itself.
                found = last.value(MEMORY.format(head=key[:16].hex(), tail=key[16:].hex()))
                assert (int(found) > 0) is there
    runtime = Path(os.environ["JUPYTER_RUNTIME_DIR"])
    assert notebook.value(f"import os; os.path.exists({str(runtime)!r})") == "False"


# The workspace


def test_the_notebook_s_folder_is_its_workspace(notebook: Notebook, folder: Path) -> None:
    (folder / "table.csv").write_text("a,b\n1,2\n")
    assert notebook.value("import os; os.getcwd()") == "'/workspace'"
    assert notebook.value("open('table.csv').read()") == "'a,b\\n1,2\\n'"
    notebook.value("os.makedirs('results'); open('results/out.txt', 'w').write('made')")
    made = folder / "results" / "out.txt"
    assert made.read_text() == "made"
    assert (made.stat().st_uid, made.stat().st_gid) == (folder.stat().st_uid, folder.stat().st_gid)
    # Of the host's other folders there is nothing, and above it is nothing.
    assert notebook.value(f"os.path.exists({str(folder)!r})") == "False"
    assert "notebooks" not in notebook.value("os.listdir('/')")
    provisioner: Any = notebook.manager.provisioner
    assert notebook.manager.resolve_path("/workspace/results/out.txt") == str(made)
    assert notebook.manager.resolve_path("table.csv") == str(folder / "table.csv")
    assert notebook.manager.resolve_path("/workspace/../../etc/passwd") is None
    notebook.value("os.symlink('/etc/passwd', 'link')")
    assert notebook.manager.resolve_path("link") is None
    assert provisioner.resolve_path("nothing") is None


MARKING = """
import ctypes, errno, os, stat
def tried(what, *arguments):
    try:
        what(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
open("program", "w").close()
libc = ctypes.CDLL(None, use_errno=True)
how = (ctypes.c_uint64 * 3)(os.O_CREAT | os.O_WRONLY, 0o4755, 0)
opened = libc.syscall(437, -100, b"by openat2", how, 24)
print([
    tried(os.chmod, "program", 0o755),
    tried(os.chmod, "program", 0o4755),
    tried(os.fchmod, os.open("program", os.O_RDONLY), 0o2755),
    tried(os.open, "made", os.O_CREAT | os.O_WRONLY, 0o6755),
    tried(os.mknod, "node", stat.S_IFREG | 0o4755),
    "done" if opened >= 0 else errno.errorcode[ctypes.get_errno()],
    sorted(name for name in os.listdir(".") if os.stat(name).st_mode & 0o6000),
])
"""


def test_it_leaves_no_set_uid_program_in_the_folder(notebook: Notebook, tmp_path: Path) -> None:
    """Whoever ran it would do so as the folder's owner. The same outside shows that all these are ways to make one."""
    refused = ["done", "EPERM", "EPERM", "EPERM", "EPERM", "ENOSYS", []]
    assert notebook.value(MARKING) == f"{refused}\n"
    control = tmp_path / "control"
    control.mkdir()
    run = subprocess.run([sys.executable, "-c", MARKING], cwd=control, capture_output=True, text=True, check=True)
    assert run.stdout == f"{['done'] * 6 + [['by openat2', 'made', 'node', 'program']]}\n"


def test_two_kernels_in_one_folder(notebook: Notebook, folder: Path) -> None:
    with opened(folder) as second:
        second.run("open('shared', 'w').write('of both')")
        assert notebook.value("open('shared').read()") == "'of both'"
    # The one that ended took nothing away.
    assert notebook.value("open('shared', 'a').write('!'); open('shared').read()") == "'of both!'"
    assert (folder / "shared").read_text() == "of both!"


PUT_IN_ITS_PLACE = """
import errno, os
found = []
for attempt in (
    lambda: open(".venv/planted", "w"),
    lambda: open("kernelgw/planted", "w"),
    lambda: os.rename(".venv", "aside"),
    lambda: os.unlink(".venv/pyvenv.cfg"),
    lambda: os.rename("kernels", "aside"),
):
    try:
        attempt()
    except OSError as error:
        found.append(errno.errorcode[error.errno])
print(found, os.path.exists("pyproject.toml"), os.access(".venv/bin/python", os.X_OK))
"""


def test_what_runs_outside_cannot_be_changed_by_a_notebook_beside_it(desk: Desk) -> None:
    """As in a project's own folder, with the environment that Jupyter runs in."""
    del desk
    with opened(ROOT) as notebook:
        there = notebook.value(PUT_IN_ITS_PLACE)
    assert there == "['EROFS', 'EROFS', 'EBUSY', 'EROFS', 'EBUSY'] True True\n"
    assert not (ROOT / "aside").exists()


def test_an_empty_workspace(desk: Desk, folder: Path) -> None:
    desk.install("--workspace", "empty", name="empty")
    (folder / "private").write_text("not for it")
    with opened(folder, "empty") as notebook:
        assert notebook.value("import os; os.listdir('.')") == "[]"
        notebook.value("open('kept', 'w').write('1')")
        notebook.manager.restart_kernel(now=True)
        notebook.client.wait_for_ready(timeout=TIMEOUT_S)
        assert notebook.value("open('kept').read()") == "'1'"
    assert [path.name for path in folder.iterdir()] == ["private"]
    workspaces = House.here().slot.folder / "auto-empty" / "workspaces"
    assert list(workspaces.iterdir()) == []


@pytest.mark.parametrize("which", ["home", "runtime", "root", "above the data"])
def test_a_folder_that_holds_secrets_is_not_lent(desk: Desk, which: str) -> None:
    places = {"home": desk.root / "home", "runtime": desk.root / "runtime", "root": Path("/")}
    manager = KernelManager(kernel_name=NAME)
    with pytest.raises(RuntimeError, match="cannot be a kernel's workspace"):
        manager.start_kernel(cwd=str(places.get(which, desk.root)))
    assert not manager.has_kernel


# What it may know


def test_variables(desk: Desk, folder: Path) -> None:
    spec = desk.root / "prefix/share/jupyter/kernels" / NAME / "kernel.json"
    text = json.loads(spec.read_text())
    named = desk.root / "prefix/share/jupyter/kernels/named"
    named.mkdir()
    (named / "kernel.json").write_text(json.dumps(text | {"env": {"OF_THE_SPEC": "spec"}}))
    with opened(folder, "named", {"OF_THE_CALLER": "caller", "PATH": "/nowhere", "JUPYTER_TOKEN": "x"}) as notebook:
        seen = notebook.value("import os; print('\\n'.join(os.environ))").split()
        assert notebook.value("print(os.environ['OF_THE_SPEC'], os.environ['OF_THE_CALLER'])") == "spec caller\n"
        assert "/nowhere" not in notebook.value("os.environ['PATH']")
    assert not {"OWN_SECRET", "JUPYTER_TOKEN", "JUPYTER_RUNTIME_DIR", "KERNELGW_DATA_DIR"} & set(seen)
    assert "KERNELGW_NETWORK" in seen


PROBE = """
import glob, json, os, socket
def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except OSError:
        return False
    return True
def reads(path):
    try:
        return "treasure" in open(path).read()
    except OSError:
        return False
def sees(pid):
    try:
        return b"python" in open(f"/proc/{{pid}}/cmdline", "rb").read()
    except OSError:
        return False
def lists(folder):
    try:
        return bool(os.listdir(folder))
    except OSError:
        return False
print(json.dumps([answers({port}), reads({secret!r}), sees({pid}), lists({sockets!r})]))
"""


def test_the_sandbox_and_its_control(notebook: Notebook, tmp_path: Path) -> None:
    """The same code in the kernel and outside of any sandbox, which shows that there is something to be found."""
    secret = tmp_path / "secret"
    secret.write_text("treasure")
    secret.chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        facts = {"port": somebody.getsockname()[1], "secret": str(secret), "pid": os.getpid()}
        code = PROBE.format(**facts, sockets=str(House.here().slot.sockets))
        outside = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert json.loads(outside) == [True] * 4
        assert json.loads(notebook.value(code)) == [False] * 4


REUSED = """
import os, socket, stat
found = []
for fd in range(3, 200):
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            found.append(socket.socket(fileno=os.dup(fd)).family.name)
    except OSError:
        pass
set(found)
"""


def test_it_holds_no_socket_of_the_host_s_network(notebook: Notebook) -> None:
    """A TCP socket stays in the network that it was made in: let go of its peer, it could be connected anywhere."""
    assert notebook.value(REUSED) == "{'AF_UNIX'}"


def test_limits_and_isolation(desk: Desk, folder: Path) -> None:
    desk.install("--limit", "processes=32", "--limit", "file_bytes=1048576", name="small")
    with opened(folder, "small") as notebook:
        code = "import resource; resource.getrlimit(resource.RLIMIT_FSIZE)[0]"
        assert notebook.value(code) == "1048576"
        status = notebook.value("print(open('/proc/self/status').read())")
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status
        assert "CapEff:\t0000000000000000" in status


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"environment": "none-such"}, "no environment is called 'none-such'"),
        ({"limits": {"nothing": 1}}, "there is none called nothing"),
        ({"limits": {"processes": 1}}, "processes cannot be 1"),
        ({"isolatoin": "none"}, "no option called isolatoin"),
        ({"network": "all"}, "network 'all'"),
        ({"isolation": "none", "network": "packages"}, "Without isolation"),
    ],
)
def test_what_it_cannot_be_is_said(desk: Desk, folder: Path, config: dict[str, Any], words: str) -> None:
    broken = desk.root / "prefix/share/jupyter/kernels/broken"
    broken.mkdir(exist_ok=True)
    text = json.loads((broken.parent / NAME / "kernel.json").read_text())
    text["metadata"]["kernel_provisioner"]["config"] |= config
    (broken / "kernel.json").write_text(json.dumps(text))
    manager = KernelManager(kernel_name="broken")
    with pytest.raises(RuntimeError, match=words):
        manager.start_kernel(cwd=str(folder))
    assert not manager.has_kernel


def test_without_isolation_only_when_the_kernelspec_says_so(desk: Desk, folder: Path) -> None:
    desk.install("--isolation", "none", name="bare")
    with opened(folder, "bare") as notebook:
        assert notebook.value("import os; os.getcwd()") == repr(str(folder))
        assert notebook.value("os.getuid()") == str(os.getuid())
        notebook.manager.restart_kernel()
        notebook.client.wait_for_ready(timeout=TIMEOUT_S)
        assert notebook.value("1") == "1"
    assert folder.is_dir()


def test_one_fork_server_for_all(notebook: Notebook, tmp_path: Path) -> None:
    with opened(tmp_path) as second:
        servers = {proc.parent(each.pid) for each in (notebook, second)}
        # As root the kernels are its children; others have a holder between.
        assert len(servers) == 1
    ours = [pid for pid in proc.descendants(os.getpid()) if proc.command(pid).rstrip().endswith("/kernels")]
    assert servers <= set(ours)
