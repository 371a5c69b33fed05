"""Several kernels of one session are taken over, each as it was."""

from __future__ import annotations

import os
import signal

import pytest

from tests.live import proc
from tests.live.client import Session
from tests.security.egress import plain_get, statuses
from tests.security.servers import Canary

from .conftest import Start

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

WAIT = "import os, time\nprint('begun', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('over')"


def test_each_is_as_it_was(start: Start) -> None:
    first = start()
    with first.client() as client:
        session = Session(client, "s")
        session.run("x = 1")
        session.run("x = 2", kernel="scratch")
        session.run("echo 3 > three", language="bash")
        before = session.look()["kernels"]
        first.kill()
    with start().client() as client:
        session = Session(client, "s")
        assert session.look()["kernels"] == before
        assert (session.value("print(x)"), session.value("print(x)", kernel="scratch")) == ("1\n", "2\n")
        assert session.value("cat three", language="bash") == "3\n"
        kernels = [each["kernel"] for each in session.client.get("/v1/sessions/s/history").json()["executions"]]
        assert kernels == ["python", "scratch", "bash", "python", "scratch", "bash"]


def test_what_runs_in_each_goes_on_and_what_waits_comes_after(start: Start) -> None:
    first = start()
    with first.client() as client:
        session = Session(client, "s")
        with session.stream(WAIT) as one, session.stream(WAIT, kernel="scratch") as other:
            ids = [stream.until_text("begun").data["execution_id"] for stream in (one, other)]
            with session.stream("print('then')", kernel="scratch"):
                proc.wait_until(lambda: session.look()["queued"] == 1, 10, "it does not wait")
                first.kill()
    with start().client() as client:
        session = Session(client, "s")
        assert [each["state"] for each in session.look()["kernels"]] == ["busy", "busy"]
        assert session.run("touch go", language="bash")["status"] == "completed"
        for id_ in ids:
            with session.follow(id_) as stream:
                stream.until_text("over")
                assert stream.until("execution.completed").data["status"] == "completed"
        proc.wait_until(lambda: session.look()["running"] is None, 10, "it does not come to an end")
        texts = [
            "".join(output.get("text", "") for output in each["outputs"])
            for each in session.client.get("/v1/sessions/s/history").json()["executions"]
        ]
        assert texts == ["begun\nover\n", "begun\nover\n", "then\n", ""]


def test_one_that_died_meanwhile_is_told_and_the_others_live(start: Start) -> None:
    first = start()
    with first.client() as client:
        session = Session(client, "s")
        session.run("x = 1")
        session.run("x = 2", kernel="scratch")
        pids = {each["name"]: each["pid"] for each in session.look()["kernels"]}
        first.kill()
    os.kill(pids["python"], signal.SIGKILL)
    with start().client() as client:
        session = Session(client, "s")
        states = {each["name"]: each["state"] for each in session.look()["kernels"]}
        assert states == {"python": "dead", "scratch": "idle"}
        assert session.value("print(x)", kernel="scratch") == "2\n"
        assert session.run("x")["error"]["name"] == "NameError"


def test_the_way_out_is_there_as_long_as_anybody_is(start: Start) -> None:
    """It came with the first kernel, which is gone before the gateway is killed."""
    trusting = {"network_private": "localhost=127.0.0.1/32"}
    canary = Canary()
    url = plain_get(f"http://localhost:{canary.port}/")
    try:
        first = start(**trusting)
        with first.client() as client:
            session = Session(client, "s")
            session.create(network={"allow": [f"localhost:{canary.port}"]})
            session.run("1")
            session.run("1", language="bash")
            assert client.delete("/v1/sessions/s/kernels/python").status_code == 204
            before = statuses(session, [url])
            assert client.delete("/v1/sessions/s/kernels/python").status_code == 204
            first.kill()
        with start(**trusting).client() as client:
            again = statuses(Session(client, "s"), [url])
    finally:
        canary.close()
    assert before == again == [200]


def test_one_that_was_ended_stays_away(start: Start) -> None:
    first = start()
    with first.client() as client:
        session = Session(client, "s")
        session.run("x = 1")
        session.run("x = 2", kernel="scratch")
        assert client.delete("/v1/sessions/s/kernels/scratch").status_code == 204
        first.kill()
    with start().client() as client:
        session = Session(client, "s")
        assert [each["name"] for each in session.look()["kernels"]] == ["python"]
        assert session.run("x", kernel="scratch")["error"]["name"] == "NameError"
