"""Sessions in gVisor: the same promises, kept by another kernel, through the same API."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import proc
from tests.live.client import House, Session, text, visiting
from tests.live.gateway import Gateway

from . import matrix

pytestmark = [
    pytest.mark.live,
    # Starting takes seconds here, not milliseconds.
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="gVisor is used by a gateway that runs as root only"),
]
PATIENCE_S = 90
TRIES = """
def tried(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return type(error).__name__
    return "went through"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gvisor") / "data"
    gateway = Gateway(folder, isolation="gvisor", pool_size=1, network_private="localhost=127.0.0.0/8")
    with gateway:
        matrix.start_proxy(gateway)
        gateway.remember_baseline()
        yield gateway


@pytest.fixture
def house(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[House]:
    with visiting(gateway, request.node.name, timeout=PATIENCE_S) as house:
        yield house


@pytest.fixture
def session(house: House) -> Session:
    return house.session()


def programs(gateway: Gateway, name: str) -> dict[int, int]:
    """Host pids of gVisor's processes of this name, with their uids."""
    found = [pid for pid in proc.descendants(gateway.pid) if proc.command(pid).startswith(name)]
    return {pid: Path(f"/proc/{pid}").stat().st_uid for pid in found}


def test_another_kernel_answers(session: Session) -> None:
    mine = Path("/proc/version").read_text().strip()
    seen = session.value("print(open('/proc/version').read())").strip()
    assert seen.startswith("Linux version")
    assert seen != mine


@pytest.mark.prop("FS01", "FS03", "FS04", "FS07", "FS08", "FS09", "FS11", "FS13", "FS14", "FS15", "FS16")
@pytest.mark.prop("PR01", "PR02", "PR03", "PR04", "PR05", "PR06", "PR07", "PR09", "PR11")
@pytest.mark.prop("NE01", "NE03", "NE05", "KS01", "KS02", "KS03", "KS04", "KS07", "KS09", "KS10")
def test_every_probe_finds_its_property(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kernelgw.cli", "doctor", "--json", "--isolation", "gvisor"]
    run = subprocess.run(
        [*command, "--data-dir", str(tmp_path)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    told = json.loads(run.stdout)
    found = {each["name"]: each for each in told["properties"]}
    assert found["sandbox"]["words"].startswith("gVisor ")
    assert [each for each in told["properties"] if each["state"] in ("weaker", "missing")] == []
    assert run.returncode == 0
    assert len(found) > 30


@pytest.mark.prop("PR02", "CS04")
def test_no_process_of_a_session_is_root_outside_and_no_two_share_a_uid(gateway: Gateway, house: House) -> None:
    one, other = house.session(), house.session()
    for session in (one, other):
        session.value("1")
    for program in ("runsc-sandbox", "runsc-gofer"):
        uids = list(programs(gateway, program).values())
        assert len(uids) >= 2
        assert 0 not in uids
        assert len(set(uids)) == len(uids)
    assert not set(programs(gateway, "runsc-sandbox").values()) & set(programs(gateway, "runsc-gofer").values())


@pytest.mark.prop("FS02", "CS01", "CS05")
def test_files_of_others_are_not_there(house: House, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("canary")
    canary.chmod(0o644)
    one, other = house.session(), house.session()
    code = "import os\nfor path in {paths}: print(os.path.exists(path))"
    places = ["/workspace/mine", "/tmp/mine", "/dev/shm/mine", "/home/user/mine"]
    one.value("\n".join(f"open({place!r}, 'w').write('mine')" for place in places))
    assert one.value(code.format(paths=places)) == "True\n" * 4
    assert other.value(code.format(paths=[*places, str(canary)])) == "False\n" * 5


@pytest.mark.prop("NE02", "NE04")
def test_the_host_cannot_be_reached(session: Session) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as named,
        socket.socket(socket.AF_UNIX) as nameless,
    ):
        path = f"{folder}/canary"
        named.bind(path)
        nameless.bind("\0kernelgw-canary")
        canaries = {tcp: tcp.getsockname(), named: path, nameless: "\0kernelgw-canary"}
        for listener, address in canaries.items():
            listener.listen()
            listener.settimeout(5)
            # The control: from outside it answers.
            with socket.socket(listener.family) as visitor:
                visitor.connect(address)
                listener.accept()[0].close()
        code = f"""{TRIES}
import socket
print(tried(socket.create_connection, {tcp.getsockname()!r}, 5))
for address in {[path, chr(0) + "kernelgw-canary"]!r}:
    print(tried(socket.socket(socket.AF_UNIX).connect, address))
"""
        said = session.value(code).split()
        assert said == ["ConnectionRefusedError", "FileNotFoundError", "ConnectionRefusedError"]
        for listener in canaries:
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()


@pytest.mark.prop("NE06")
def test_a_server_in_the_session_can_be_reached_from_the_session(session: Session) -> None:
    code = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
    peer, _ = server.accept()
    peer.sendall(b"hello")
    print(client.recv(5))
"""
    assert session.value(code) == "b'hello'\n"


ASK = """
import socket
def ask(host):
    with socket.create_connection(("127.0.0.1", 3128), 30) as proxy:
        proxy.sendall(f"GET http://{host}/ HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode())
        return proxy.makefile("rb").readline().split()[1].decode()
"""


@pytest.mark.prop("NE07", "NE11")
def test_the_way_out_is_the_proxy_and_only_for_what_was_allowed(gateway: Gateway, house: House) -> None:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        [*command, "--directory", str(gateway.data_dir / "run" / "etc")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().split(" port ")[1].split()[0]
            allowed = house.session(network={"allow": [f"localhost:{port}"]})
            own = gateway.url.rpartition(":")[2]
            code = f"{ASK}\nprint(ask('localhost:{port}'), ask('localhost:{own}'), ask('example.org'))"
            assert allowed.value(code) == "200 403 403\n"
            offline = house.session()
            assert offline.value(f"{TRIES}{ASK}\nprint(tried(ask, 'localhost:{port}'))") == "ConnectionRefusedError\n"
        finally:
            server.terminate()


@pytest.mark.prop("GA10")
def test_sockets_to_the_gateway_serve_the_kernel_alone(session: Session) -> None:
    code = f"""{TRIES}
import os, socket
print(tried(os.listdir, "/run/kernel"))
for name in ("control", "iopub", "shell", "stdin"):
    path = "/run/kernel/" + name
    print(name, tried(socket.socket(socket.AF_UNIX).connect, path), tried(os.unlink, path), tried(os.chmod, path, 0))
print(tried(os.symlink, "/etc/passwd", "/run/kernel/link"), tried(open, "/run/kernel/file", "w"))
"""
    listed, *sockets, directory = session.value(code).splitlines()
    assert listed == "PermissionError"
    assert len(sockets) == 4
    for line in sockets:
        assert line.split()[1] == "ConnectionRefusedError"
        assert "went through" not in line
    assert "went through" not in directory


@pytest.mark.prop("PR04", "PR09", "PR11")
def test_the_first_process_is_not_the_session_s(session: Session) -> None:
    code = f"""{TRIES}
import os, signal
print(os.getuid(), os.getppid(), tried(os.kill, 1, signal.SIGKILL), tried(open, "/proc/1/mem"), tried(os.setuid, 0))
print(open("/proc/1/environ").read().strip("\\0"))
"""
    assert session.value(code).splitlines() == ["1000 1 PermissionError PermissionError PermissionError", "HOME=/"]
    assert session.value("print('alive')") == "alive\n"


@pytest.mark.prop("FS05", "RS06")
def test_places_have_a_size(house: House) -> None:
    session = house.session(limits={"workspace_bytes": 64 << 20, "tmp_bytes": 16 << 20})
    code = """
import os
def fill(folder, most):
    written = 0
    try:
        with open(folder + "/filler", "wb", buffering=0) as file:
            while written < most:
                written += file.write(bytes(1 << 20))
    except OSError as error:
        print(folder, error.strerror)
    os.unlink(folder + "/filler")
fill("/tmp", 32 << 20)
fill("/workspace", 128 << 20)
fill("/tmp", 8 << 20)
"""
    assert session.value(code).splitlines() == ["/tmp No space left on device", "/workspace No space left on device"]


@pytest.mark.prop("RS01")
def test_memory_runs_out_in_the_session_alone(house: House) -> None:
    neighbour = house.session()
    neighbour.value("kept = 1")
    hungry = house.session(limits={"memory_bytes": 512 << 20})
    ended = hungry.run("pieces = []\nwhile True: pieces.append(bytearray(16 << 20))")
    assert ended["status"] == "killed"
    assert "ran out of memory" in ended["error"]["value"]
    assert neighbour.value("print(kept)") == "1\n"
    assert hungry.value("print('pieces' in globals())") == "False\n"


FORKS = """
import os
children = []
try:
    while len(children) < 1000:
        pid = os.fork()
        if pid == 0:
            os.read(waiting, 1)
            os._exit(0)
        children.append(pid)
except OSError as error:
    print(error.errno)
print(len(children))
os.close(go)
for pid in children:
    os.waitpid(pid, 0)
"""


@pytest.mark.prop("RS02")
def test_processes_stop_at_the_limit(house: House) -> None:
    session = house.session(limits={"processes": 32})
    neighbour = house.session()
    # A child has its own copy of what would wake it, so nobody wakes before the parent says so.
    code = "import os\nwaiting, go = os.pipe()\nos.register_at_fork(after_in_child=lambda: os.close(go))\n" + FORKS
    error, count = session.value(code).split()
    assert int(error) == 11
    assert 16 < int(count) < 32
    assert session.value("print('alive')") == neighbour.value("print('alive')") == "alive\n"


@pytest.mark.prop("KS10")
def test_programs_and_packages_work(session: Session) -> None:
    code = """
import multiprocessing, subprocess
import numpy, pandas, scipy.stats, sklearn.linear_model
import matplotlib.pyplot as plt
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(sum(pool.map(abs, range(100))))
print(subprocess.run("echo one | tr a-z A-Z", shell=True, capture_output=True, text=True).stdout.strip())
frame = pandas.DataFrame({"a": [1, 2, 3]})
frame.to_csv("table.csv", index=False)
print(pandas.read_csv("table.csv").a.sum())
plt.plot([1, 2])
plt.show()
"""
    execution = session.run(code)
    assert execution["status"] == "completed", execution
    assert text(execution) == "4950\nONE\n6\n"
    assert any("image/png" in output.get("data", {}) for output in execution["outputs"])


@pytest.mark.parametrize(
    "wait", ["while True: pass", "import time; time.sleep(600)", "import subprocess; subprocess.run(['sleep', '600'])"]
)
def test_interrupt(session: Session, wait: str) -> None:
    session.value("kept = 1")
    with session.stream(f"print('go', flush=True)\n{wait}") as stream:
        stream.until_text("go")
        session.interrupt()
        assert stream.until("execution.completed").data["status"] == "interrupted"
    assert session.value("print(kept)") == "1\n"


@pytest.mark.prop("RS04")
def test_what_ignores_interrupts_is_killed(session: Session) -> None:
    ended = session.run("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", timeout_s=2)
    assert ended["status"] == "timed_out"
    assert session.value("print('alive')") == "alive\n"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os._exit(3)", "code 3"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "SIGTERM"),
    ],
)
def test_why_it_ended(session: Session, code: str, words: str) -> None:
    ended = session.run(code)
    assert ended["status"] == "killed"
    assert words in ended["error"]["value"]


@pytest.mark.prop("PR15")
def test_nothing_outlives_its_session(gateway: Gateway, house: House) -> None:
    session = house.session()
    session.value("import subprocess\nsubprocess.Popen(['setsid', 'sleep', '600'])")
    all_of_it = proc.descendants(session.look()["kernel"]["pid"])
    # It may have been one of those that were kept warm.
    assert set(programs(gateway, "runsc-sandbox")) & set(all_of_it)
    session.delete()
    proc.wait_until(lambda: not proc.still_there(all_of_it), 10, lambda: proc.still_there(all_of_it))


@pytest.mark.prop("PR18")
def test_a_sandbox_that_is_killed_is_told_and_the_session_goes_on(session: Session) -> None:
    session.value("1")
    inside = proc.descendants(session.look()["kernel"]["pid"])
    (sentry,) = [pid for pid in inside if proc.command(pid).startswith("runsc-sandbox")]
    with session.stream("print('go', flush=True)\nimport time; time.sleep(600)") as stream:
        stream.until_text("go")
        os.kill(sentry, signal.SIGKILL)
        assert stream.until("execution.completed").data["status"] == "killed"
    assert session.value("print('alive')") == "alive\n"


@pytest.mark.prop("RS11")
def test_everything_ends_with_the_fork_server(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "data", isolation="gvisor", pool_size=1)
    with gateway:
        everything = proc.descendants(gateway.forkserver)
        assert any("runsc" in proc.command(pid) for pid in everything)
        os.kill(gateway.forkserver, signal.SIGKILL)
        proc.wait_until(lambda: not proc.still_there(everything), 10, lambda: proc.still_there(everything))


def test_its_kernels_share_files_and_limits_and_each_has_a_sandbox(session: Session, gateway: Gateway) -> None:
    session.create(limits={"processes": 64})
    session.run("open('a', 'w').write('one')")
    sentries = len(programs(gateway, "runsc-sandbox"))
    assert session.value("cat a; echo two >> a", language="bash") == "one"
    assert session.value("print(open('a').read())") == "onetwo\n\n"
    assert len(programs(gateway, "runsc-sandbox")) == sentries + 1
    assert session.client.delete(f"{session.path}/kernels/python").status_code == 204
    assert session.value("cat a", language="bash") == "onetwo\n"
