"""A gateway takes over from an earlier one: what it finds, what it does not, and what it must not."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import uuid

import httpx
import pytest

from kernelgw.kernel.exits import boot_id
from kernelgw.kernel.forkserver import kernels_folder
from tests.live import proc
from tests.live.client import Session, problem, text
from tests.live.gateway import MODULE
from tests.security.egress import plain_get, statuses
from tests.security.servers import Canary

from .conftest import Start

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


def kernel(session: Session) -> int:
    return int(session.look()["kernel"]["pid"])


def test_a_gateway_that_is_being_stopped_does_not_say_that_there_are_no_sessions(start: Start) -> None:
    """Whoever asks then hears that it stops, or nothing."""
    first = start(on_stop="keep", max_sessions=12)
    with first.client() as client:
        names = {f"s{number}" for number in range(8)}
        for name in names:
            Session(client, name).value("x = 1")
        heard: list[tuple[int, object]] = []

        def ask(path: str) -> None:
            with first.client() as other, contextlib.suppress(httpx.HTTPError):
                while True:
                    answer = other.get(path)
                    heard.append((answer.status_code, answer.json()))

        paths = ("/v1/sessions", "/v1/sessions/s0", "/api/kernels")
        askers = [threading.Thread(target=ask, args=(path,)) for path in paths]
        for asker in askers:
            asker.start()
        proc.wait_until(lambda: len(heard) > 30, 20, "nobody is answered")
        assert first.process is not None
        first.process.terminate()
        for asker in askers:
            asker.join(30)
        first.process.wait(30)
    assert {status for status, _ in heard} <= {200, 503}
    for status, answer in heard:
        if status == 503:
            assert isinstance(answer, dict)
            assert answer["error"]["code"] == "gateway_stopping"
        elif isinstance(answer, list):
            assert len(answer) == len(names)
        elif isinstance(answer, dict) and "sessions" in answer:
            assert {each["id"] for each in answer["sessions"]} == names


def test_sigterm_leaves_kernels_to_the_next(start: Start) -> None:
    first = start(on_stop="keep")
    with first.client() as client:
        session = Session(client, "s")
        session.value("x = 1")
        before = kernel(session)
        answered: list[httpx.Response] = []
        caller = threading.Thread(
            target=lambda: answered.append(session.post("import time\nwhile x < 2: time.sleep(0.05)\nprint('then', x)"))
        )
        with session.follow() as stream:
            caller.start()
            id_ = stream.until("execution.started").data["execution_id"]
        assert first.process is not None
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(20) == 0
        caller.join(20)
    # Whoever waits is told that it goes on, and where.
    error = problem(answered[0], 503, "gateway_stopping")
    assert "once the gateway is there again" in error["hint"]
    assert proc.started_at(before)
    second = start()
    with second.client() as client:
        session = Session(client, "s")
        assert (kernel(session), session.look()["running"]) == (before, id_)
        session.interrupt()
        with session.follow(id_) as stream:
            stream.until("execution.completed")
        assert session.value("print(x)") == "1\n"


def test_a_question_can_be_answered_later(start: Start) -> None:
    first = start()
    with first.client() as client, Session(client, "s").stream("print('hello', input('Who? '))", stdin=True) as stream:
        id_ = stream.until("input.requested").data["execution_id"]
        first.kill()
    with start().client() as client:
        session = Session(client, "s")
        assert session.answer(id_, "you").status_code == 202
        with session.follow(id_) as stream:
            assert stream.until("execution.completed").data["status"] == "completed"
        assert text(session.execution(id_)) == "hello you\n"


def test_what_waited_runs_afterwards_in_order(start: Start) -> None:
    first = start()
    with first.client() as client:
        session = Session(client, "s")
        session.run("order = []")
        with contextlib.ExitStack() as streams:
            streams.enter_context(session.stream("import time; time.sleep(3); order.append(0)"))
            for number in range(1, 4):
                streams.enter_context(session.stream(f"order.append({number})"))
            first.kill()
    with start().client() as client:
        assert Session(client, "s").value("print(order)") == "[0, 1, 2, 3]\n"


def test_a_deadline_counts_on(start: Start) -> None:
    first = start()
    with first.client() as client, Session(client, "s").stream("while True: pass", timeout_s=2) as stream:
        id_ = stream.until("execution.started").data["execution_id"]
        first.kill()
    with start().client() as client, Session(client, "s").follow(id_) as stream:
        end = stream.until("execution.completed").data
        assert end["status"] == "timed_out"
        assert end["duration_s"] < 10


def test_a_kernel_that_ended_meanwhile_is_told_with_its_reason(start: Start) -> None:
    first = start()
    with first.client() as client:
        one, other = Session(client, "one"), Session(client, "other")
        one.run("x = 1")
        other.run("x = 2")
        pid = kernel(one)
        first.kill()
    os.kill(pid, signal.SIGSEGV)
    proc.wait_until(lambda: proc.started_at(pid) is None, 5, "the kernel to end")
    with start().client() as client:
        one, other = Session(client, "one"), Session(client, "other")
        assert one.look()["state"] == "dead"
        assert "SIGSEGV" in one.look()["reason"]
        with one.stream("print('x' in dir())") as stream:
            lost = stream.until("session.state", state="starting").data
            assert "SIGSEGV" in lost["reason"]
            assert "Variables were lost" in lost["reason"]
            stream.until_text("False")
            stream.until("execution.completed")
        assert other.value("print(x)") == "2\n"


def test_a_native_crash_is_told_with_its_place_by_a_gateway_that_came_later(start: Start) -> None:
    first = start()
    with first.client() as client:
        Session(client, "s").run("import ctypes\ndef deep(): ctypes.string_at(0)")
        first.kill()
    with start().client() as client:
        execution = Session(client, "s").run("deep()")
        assert execution["status"] == "killed"
        assert "SIGSEGV" in execution["error"]["value"]
        # From the crash log, which the first had begun to read.
        assert "in line 2 of a cell, in deep" in execution["error"]["value"]


def test_a_restart_of_the_machine_is_told_as_that(start: Start) -> None:
    """What a machine forgets, and what it is known by: its processes, and the number of its boot."""
    first = start()
    with first.client() as client:
        session = Session(client, "s")
        session.value("x = 1; open('file', 'w').write('kept')")
        with session.stream("print('on', flush=True)\nwhile True: pass") as stream:
            id_ = stream.until_text("on").data["execution_id"]
            server = first.forkserver
            left = first.kill()
    os.kill(server, signal.SIGKILL)
    now, other = boot_id().encode(), str(uuid.uuid4()).encode()
    changed = 0
    for path in (first.data_dir / "sessions" / "s").glob("*.events"):
        content = path.read_bytes()
        changed += content.count(now)
        path.write_bytes(content.replace(now, other))
    assert changed
    with start().client() as client:
        session = Session(client, "s")
        execution = session.execution(id_)
        assert (execution["status"], execution["state_lost"]) == ("killed", True)
        assert "The machine was restarted" in execution["error"]["value"]
        assert "The machine was restarted" in session.look()["reason"]
        assert text(execution) == "on\n"
        assert session.value("print('x' in dir(), open('file').read())") == "False kept\n"
    # Nor is anybody left whose sandbox was being made at that moment.
    proc.wait_until(lambda: not proc.still_there(left), 10, lambda: proc.still_there(left))


def test_nobody_is_left_when_the_fork_server_is_killed_too(start: Start) -> None:
    first = start()
    with first.client() as client, Session(client, "s").stream("print('on', flush=True)\nwhile True: pass") as stream:
        id_ = stream.until_text("on").data["execution_id"]
        server = first.forkserver
        left = first.kill()
    os.kill(server, signal.SIGKILL)
    with start().client() as client:
        session = Session(client, "s")
        execution = session.execution(id_)
        assert (execution["status"], execution["state_lost"]) == ("killed", True)
        assert "did not outlive" in execution["error"]["value"]
        assert text(execution) == "on\n"
        assert session.value("print('again')") == "again\n"
    proc.wait_until(lambda: not proc.still_there(left), 5, lambda: proc.still_there(left))


def test_an_upgrade_keeps_old_kernels_and_makes_new_ones_of_its_own(start: Start) -> None:
    first = start()
    with first.client() as client:
        session = Session(client, "old")
        session.value("x = 1")
        old, server = kernel(session), first.forkserver
        first.kill()
    module = kernels_folder() / "__init__.py"
    facts = module.stat()
    os.utime(module)
    try:
        second = start()
        with second.client() as client:
            session = Session(client, "old")
            assert (kernel(session), session.value("print(x)")) == (old, "1\n")
            assert Session(client, "new").value("print('new')") == "new\n"
            assert proc.parent(kernel(Session(client, "new"))) == second.forkserver != server
            Session(client, "new").delete()
            # Once the last of its kernels has gone, so does the old one's fork server.
            assert proc.started_at(server)
            session.delete()
            proc.wait_until(lambda: proc.started_at(server) is None, 10, "the old fork server to end")
    finally:
        os.utime(module, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_what_is_kept_in_memory_ends_with_the_gateway(start: Start) -> None:
    first = start(keep="memory")
    with first.client() as client:
        Session(client, "s").value("x = 1")
    assert list((first.data_dir / "sessions").iterdir()) == []
    left = first.kill()
    second = start(keep="memory")
    servers = {pid for pid in left if proc.command(pid).rstrip().endswith("/kernels")}
    proc.wait_until(lambda: set(proc.still_there(left)) <= servers, 5, lambda: proc.still_there(left))
    with second.client() as client:
        problem(client.get("/v1/sessions/s"), 404, "session_not_found")


def test_a_session_has_its_network_again_and_no_more(start: Start) -> None:
    trusting = {"network_private": "localhost=127.0.0.1/32"}
    canary = Canary()
    url = plain_get(f"http://localhost:{canary.port}/")
    try:
        first = start(**trusting)
        with first.client() as client:
            allowed, refused = Session(client, "allowed"), Session(client, "refused")
            allowed.create(network={"allow": [f"localhost:{canary.port}"]})
            refused.create(network={"allow": []})
            before = [statuses(session, [url]) for session in (allowed, refused)]
            first.kill()
        with start(**trusting).client() as client:
            again = [statuses(Session(client, name), [url]) for name in ("allowed", "refused")]
    finally:
        canary.close()
    assert before == again == [[200], [403]]


def test_what_is_kept_is_not_forgotten_by_a_gateway_that_keeps_nothing(start: Start) -> None:
    first = start()
    with first.client() as client:
        Session(client, "s").value("x = 1; open('file', 'w').close()")
    first.stop()
    command = [*MODULE, "serve", "--port", "0", "--data-dir", str(first.data_dir), "--keep", "memory"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert result.returncode == 2
    assert "has sessions that are kept: use another data_dir, or keep disk" in result.stderr
    with start().client() as client:
        assert Session(client, "s").value("import os; print(os.listdir())") == "['file']\n"


def test_a_start_that_is_refused_ends_nothing(start: Start) -> None:
    """As after an upgrade whose environment is not built yet."""
    first = start()
    with first.client() as client:
        session = Session(client, "s")
        session.value("x = 1")
        pid = kernel(session)
        first.kill()
    own = first.data_dir / "environments" / "default.toml"
    own.parent.mkdir(exist_ok=True)
    own.write_text('packages = ["ipykernel>=7.4", "orjson"]\n')
    result = subprocess.run(first.command, capture_output=True, text=True, timeout=60, cwd="/")
    assert result.returncode != 0
    assert "is not built" in result.stderr
    assert proc.started_at(pid)
    own.unlink()
    with start().client() as client:
        session = Session(client, "s")
        assert (kernel(session), session.value("print(x)")) == (pid, "1\n")


def test_a_session_that_nobody_uses_is_forgotten(start: Start) -> None:
    gateway = start(retention_s=1.0, idle_timeout_s=0.2)
    with gateway.client() as client:
        session = Session(client, "s")
        session.run("open('/workspace/file', 'w').write('x')")
        proc.wait_until(lambda: client.get(session.path).status_code == 404, 20, "the end of retention")
    sessions = gateway.data_dir / "sessions"
    proc.wait_until(lambda: not list(sessions.iterdir()), 5, lambda: list(sessions.iterdir()))
    proc.wait_until(lambda: len(list((gateway.data_dir / "workspaces").iterdir())) == 1, 5, "its files to go")
