"""Runs without a session, and what browsers run, when the gateway is killed."""

from __future__ import annotations

import pytest

from tests.live import proc
from tests.live.client import STREAM, EventStream, Session

from .conftest import Start

pytestmark = pytest.mark.live


def test_nobody_comes_back_for_a_run_without_a_session(start: Start) -> None:
    first = start()
    body = {"code": "print('here', flush=True)\nwhile True: pass", "language": "python"}
    with (
        first.client() as client,
        client.stream("POST", "/api/execute", json=body, headers=STREAM) as response,
    ):
        stream = EventStream(response)
        stream.until_text("here")
        (session,) = client.get("/v1/sessions").json()["sessions"]
        first.kill()
    pid = session["kernel"]["pid"]
    with start().client() as client:
        proc.wait_until(lambda: client.get("/v1/sessions").json()["sessions"] == [], 10, "the session to be ended")
        proc.wait_until(lambda: proc.started_at(pid) is None, 10, "its kernel to end")


def test_what_a_browser_runs_is_in_the_history_and_disturbs_nothing(start: Start) -> None:
    first = start()
    with first.client() as client:
        session = Session(client, "s")
        session.run("x = 1")
        loop = "import os\nprint('here', flush=True)\nwhile not os.path.exists('go'): pass\nprint(x)"
        with session.stream(loop) as stream:
            id_ = stream.until_text("here").data["execution_id"]
            shown = session.run("<p>x</p>", language="html")
            first.kill()
    with start().client() as client:
        session = Session(client, "s")
        assert session.execution(shown["id"]) == shown
        session.touch("go")
        with session.follow(id_) as stream:
            assert stream.until("execution.completed").data["status"] == "completed"
        history = client.get("/v1/sessions/s/history").json()["executions"]
        assert [each["language"] for each in history] == ["python", "python", "html"]
        with session.follow(shown["id"]) as stream:
            assert [event.type for event in stream] == ["execution.started", "output.display", "execution.completed"]
