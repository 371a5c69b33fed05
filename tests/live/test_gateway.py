"""The gateway as a process: how it starts, refuses to start, ends, and what it finds after a crash."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from . import proc
from .client import House, Session
from .conftest import MakeGateway
from .gateway import MODULE, Gateway

pytestmark = pytest.mark.live

SCRIPT = str(Path(sys.executable).with_name("kernelgw"))


def refused(*arguments: str) -> str:
    """Runs `kernelgw serve`, which must give up by itself; returns what it said on stderr."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KERNELGW_")}
    result = subprocess.run([*MODULE, "serve", *arguments], capture_output=True, text=True, timeout=20, env=environ)
    assert result.returncode == 2, result
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("kernelgw: ")
    return result.stderr


def test_the_console_script(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "data", (SCRIPT,), pool_size=1)
    with gateway, gateway.client() as client:
        assert Session(client, "s").value("print(1)") == "1\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything(tmp_path: Path, number: signal.Signals) -> None:
    gateway = Gateway(tmp_path / "data")
    try:
        gateway.start()
        with gateway.client() as client:
            idle, busy = Session(client, "idle"), Session(client, "busy")
            idle.value("import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True);")
            with busy.stream("print('running', flush=True)\nwhile True: pass") as stream:
                stream.until_text("running")
                everything = proc.descendants(gateway.pid)
                assert len(everything) > 7
                os.kill(gateway.pid, number)
                assert gateway.process is not None
                assert gateway.process.wait(20) == 0, gateway.output()
        gateway.assert_nothing_left(everything)
        assert "Traceback" not in gateway.output()
    finally:
        gateway.abandon()


def test_start_announces_itself(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(pool_size=0)
    running = gateway.data_dir / "gateway.json"
    assert running.stat().st_mode & 0o777 == 0o600
    assert gateway.url in running.read_text()


def test_after_a_crash(make_gateway: MakeGateway) -> None:
    """kill -9, then a new gateway on the same directory: sessions go on, what was nobody's is ended."""
    first = make_gateway()
    with first.client() as client:
        session = Session(client, "s")
        session.value("x = 1")
        kernel = session.look()["kernel"]["pid"]
    first.wait_ready()
    left = first.kill()
    assert kernel in proc.still_there(left)
    warm = [pid for pid in left if pid not in proc.neighbours(kernel) and proc.command(pid).startswith("/bin/sleep")]
    assert len(warm) == 2
    second = make_gateway(first.data_dir)
    nobodys = {pid: start for pid, start in left.items() if pid in warm}
    proc.wait_until(lambda: not proc.still_there(nobodys), 5, lambda: proc.still_there(nobodys))
    with second.client() as client:
        session = Session(client, "s")
        assert session.look()["kernel"]["pid"] == kernel
        assert session.value("print(x)") == "1\n"
        history = client.get("/v1/sessions/s/history").json()["executions"]
        assert [each["code"] for each in history] == ["x = 1", "print(x)"]
    # Only what the second one has itself: two in the pool and the session's.
    proc.wait_until(lambda: len(list((second.data_dir / "workspaces").iterdir())) == 3, 10, "old workspaces to go")


def test_after_a_crash_while_busy(make_gateway: MakeGateway) -> None:
    first = make_gateway(pool_size=1)
    with (
        first.client() as client,
        Session(client, "s").stream("print('running', flush=True)\nwhile True: pass") as stream,
    ):
        id_ = stream.until_text("running").data["execution_id"]
        first.kill()
    second = make_gateway(first.data_dir, pool_size=1)
    with second.client() as client:
        session = Session(client, "s")
        assert session.look()["running"] == id_
        session.interrupt()
        with session.follow(id_) as stream:
            assert stream.until("execution.completed").data["status"] == "interrupted"
        assert session.value("print('on')") == "on\n"


def test_after_a_crash_with_a_fork_server_that_does_not_answer(make_gateway: MakeGateway) -> None:
    first = make_gateway(pool_size=1)
    server = first.forkserver
    orphans = first.kill()
    os.kill(server, signal.SIGSTOP)
    try:
        second = make_gateway(first.data_dir, pool_size=1)
        with second.client() as client:
            assert Session(client, "s").value("print('on')") == "on\n"
    finally:
        if proc.started_at(server):
            os.kill(server, signal.SIGKILL)
        proc.wait_until(lambda: not proc.still_there(orphans), 5, lambda: proc.still_there(orphans))


def test_after_fork_server_and_gateway_are_killed(make_gateway: MakeGateway) -> None:
    first = make_gateway(pool_size=1)
    server = first.forkserver
    orphans = first.kill()
    os.kill(server, signal.SIGKILL)
    proc.wait_until(lambda: not proc.still_there(orphans), 5, lambda: proc.still_there(orphans))
    with make_gateway(first.data_dir, pool_size=1).client() as client:
        assert Session(client, "s").value("print('on')") == "on\n"


def test_one_data_directory_has_one_gateway(shared_gateway: Gateway) -> None:
    said = refused("--port", "0", "--token", "x", "--data-dir", str(shared_gateway.data_dir))
    assert str(shared_gateway.data_dir) in said
    assert "--data-dir" in said
    shared_gateway.wait_ready()


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert port in refused("--port", port, "--data-dir", str(tmp_path / "data"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_beyond_loopback_without_a_token(tmp_path: Path, host: str) -> None:
    assert "token" in refused("--host", host, "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert not (tmp_path / "data" / "run").exists()


def test_beyond_loopback_with_a_token(make_gateway: MakeGateway) -> None:
    with make_gateway(host="0.0.0.0", pool_size=0).client() as client:
        assert Session(client, "s").value("print(1)") == "1\n"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--port", "x"),
        ("--pool-size", "many"),
        ("--isolation", "some"),
        ("--environment", "none-such"),
        ("--port", "99999"),
    ],
)
def test_bad_options(tmp_path: Path, option: str, value: str) -> None:
    said = refused("--port", "0", "--token", "x", "--data-dir", str(tmp_path / "data"), option, value)
    assert value in said


@pytest.fixture
def killed_house(make_house: Callable[..., House]) -> House:
    return make_house(pool_size=2)


def test_fork_server_is_killed(killed_house: House) -> None:
    house = killed_house
    session, idle = house.session(), house.session()
    idle.value("gone = 1; open('kept', 'w').close()")
    with session.stream("print('running', flush=True)\nwhile True: pass") as stream:
        stream.until_text("running")
        everything = proc.descendants(house.gateway.forkserver)
        os.kill(house.gateway.forkserver, signal.SIGKILL)
        end = stream.until("execution.completed")
    assert end.data["status"] == "killed"
    assert end.data["state_lost"] is True
    assert "fork server" in end.data["error"]["value"]
    assert session.value("print('on')") == "on\n"
    assert idle.value("import os; print('gone' in globals(), os.listdir())") == "False ['kept']\n"
    proc.wait_until(lambda: not proc.still_there(everything), 5, lambda: proc.still_there(everything))
    house.gateway.wait_ready()


def test_fork_server_is_killed_again_and_again(killed_house: House) -> None:
    house = killed_house
    session = house.session()
    for _ in range(3):
        session.value("print('on')")
        os.kill(house.gateway.forkserver, signal.SIGKILL)
        with session.follow(after=0) as stream:
            stream.until("session.state", state="dead")
        proc.wait_until(lambda: session.look()["state"] == "dead", 5, session.look)
    assert session.value("print('on')") == "on\n"
    house.gateway.wait_ready()
