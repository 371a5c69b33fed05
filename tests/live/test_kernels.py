"""Several kernels in a session: one for each language and more by name, in one sandbox, each with its own order."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from . import proc
from .client import House, Session, problem, text

pytestmark = pytest.mark.live

JSON = dict[str, Any]
UNTIL = "import os, time\nwhile not os.path.exists({name!r}): time.sleep(0.01)\nprint('seen')"


def kernels(session: Session) -> dict[str, JSON]:
    answer = session.client.get(f"{session.path}/kernels").raise_for_status().json()
    return {each["name"]: each for each in answer["kernels"]}


def ask(session: Session, name: str, what: str) -> JSON:
    answer = session.client.post(f"{session.path}/kernels/{name}/{what}")
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def wait_for(session: Session, name: str, **facts: Any) -> JSON:
    found: JSON = {}

    def reached() -> bool:
        found.update(kernels(session)[name])
        return facts.items() <= found.items()

    proc.wait_until(reached, 20, lambda: f"{found}")
    return found


def test_one_for_each_language_and_more_by_name(session: Session) -> None:
    assert session.run("x = 1")["kernel"] == "python"
    assert session.run("y=2", language="bash")["kernel"] == "bash"
    assert session.run("x = 3", kernel="scratch")["kernel"] == "scratch"
    assert (session.value("print(x)"), session.value("print(x)", kernel="scratch")) == ("1\n", "3\n")
    listed = kernels(session)
    assert [(name, each["language"]) for name, each in listed.items()] == [
        ("python", "python"),
        ("bash", "bash"),
        ("scratch", "python"),
    ]
    assert {each["state"] for each in listed.values()} == {"idle"}
    assert len({each["pid"] for each in listed.values()}) == 3
    assert session.look()["kernels"] == list(listed.values())


def test_files_of_one_are_there_for_the_other(session: Session) -> None:
    made = session.run("open('numbers.csv', 'w').write('a,b\\n1,2\\n3,4\\n')")
    assert [each["path"] for each in made["files"]] == ["numbers.csv"]
    counted = session.run("wc -l < numbers.csv", language="bash")
    # What another has made is not told as this one's doing.
    assert (text(counted), counted["files"]) == ("3\n", [])
    session.run("echo 5,6 >> numbers.csv", language="bash")
    again = session.run("print(open('numbers.csv').read()[-4:])")
    assert (text(again), again["files"]) == ("5,6\n\n", [])


def test_they_are_in_one_sandbox(session: Session) -> None:
    session.run("1")
    seen = "grep -c kernel /proc/[0-9]*/comm | grep -c ':1$'"
    assert session.value(seen, language="bash") == "2\n"
    assert session.value("import os; print(os.readlink('/proc/self/ns/net'))") == session.value(
        "readlink /proc/self/ns/net", language="bash"
    )


def test_their_cells_run_side_by_side(session: Session) -> None:
    with session.stream(UNTIL.format(name="go")) as waiting:
        waiting.until("execution.started")
        assert session.look()["state"] == "busy"
        assert session.run("touch go", language="bash")["status"] == "completed"
        waiting.until_text("seen")
        assert waiting.until("execution.completed").data["status"] == "completed"


def test_each_keeps_its_order(session: Session) -> None:
    with ThreadPoolExecutor(8) as threads:
        session.run("order = []")
        cells = [
            threads.submit(session.run, f"order.append({n})" if kernel == "python" else f"echo {n}", language=kernel)
            for n in range(4)
            for kernel in ("python", "bash")
        ]
        assert [cell.result()["status"] for cell in cells] == ["completed"] * 8
    counts = [cell.result()["execution_count"] for cell in cells]
    assert sorted(counts[0::2]) == [2, 3, 4, 5]
    assert sorted(counts[1::2]) == [1, 2, 3, 4]


def test_one_is_restarted_and_the_others_go_on(session: Session) -> None:
    session.run("x = 1")
    session.run("x = 2", kernel="scratch")
    before = kernels(session)
    ask(session, "scratch", "restart")
    after = wait_for(session, "scratch", state="idle", generation=2)
    assert after["pid"] != before["scratch"]["pid"]
    assert session.run("x", kernel="scratch")["error"]["name"] == "NameError"
    assert session.value("print(x)") == "1\n"
    assert kernels(session)["python"] == {**before["python"]}


def test_one_is_killed_and_the_others_go_on(session: Session) -> None:
    session.run("x = 1")
    session.run("x = 2", kernel="scratch")
    died = session.run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", kernel="scratch")
    assert (died["status"], died["state_lost"]) == ("killed", True)
    assert "SIGSEGV" in died["error"]["value"]
    assert session.value("print(x)") == "1\n"
    assert kernels(session)["scratch"]["state"] == "dead"
    assert session.run("x", kernel="scratch")["error"]["name"] == "NameError"


def test_the_first_may_end_before_the_others(session: Session) -> None:
    """It brought the sandbox; that is there as long as anybody is in it."""
    session.run("1")
    session.run("x = 2", kernel="scratch")
    session.run("(sleep 1000 & echo $! > pid); cat pid", language="bash")
    ask(session, "python", "restart")
    wait_for(session, "python", state="idle", generation=2)
    assert session.value("print(x)", kernel="scratch") == "2\n"
    assert session.value("kill -0 $(cat pid) && echo lives", language="bash") == "lives\n"
    assert session.value("import os; print(os.path.exists(f'/proc/{open(\"pid\").read().strip()}'))") == "True\n"


def test_with_the_last_everything_in_the_sandbox_ends(session: Session) -> None:
    session.run("import subprocess; print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)")
    session.run("1", language="bash")
    for name in ("python", "bash"):
        assert session.client.delete(f"{session.path}/kernels/{name}").status_code == 204
    # The holder of a new sandbox sleeps too, and nothing else does.
    assert session.value("pgrep -f '[s]leep 1000' | wc -l", language="bash") == "0\n"


def test_one_is_ended(session: Session) -> None:
    session.run("x = 1", kernel="scratch")
    session.run("y = 1")
    with session.follow(after=0) as stream:
        assert session.client.delete(f"{session.path}/kernels/scratch").status_code == 204
        stream.until("session.state", state="ended", kernel="scratch")
    assert list(kernels(session)) == ["python"]
    problem(session.client.get(f"{session.path}/kernels/scratch"), 404, "kernel_not_found")
    problem(session.client.delete(f"{session.path}/kernels/scratch"), 404, "kernel_not_found")
    assert session.run("x", kernel="scratch")["error"]["name"] == "NameError"
    assert session.value("print(y)") == "1\n"


def test_the_session_s_own_comes_again(session: Session) -> None:
    session.run("x = 1")
    assert session.client.delete(f"{session.path}/kernels/python").status_code == 204
    ended = kernels(session)["python"]
    assert (ended["state"], ended["reason"]) == ("dead", "The kernel was ended, as somebody asked.")
    assert session.look()["state"] == "dead"
    again = session.run("x")
    assert (again["error"]["name"], kernels(session)["python"]["generation"]) == ("NameError", 2)


def test_what_waits_in_an_ended_one_is_told(session: Session) -> None:
    with session.stream("while True: pass", kernel="scratch") as running:
        running.until("execution.started")
        with session.stream("1", kernel="scratch") as waiting:
            session.client.delete(f"{session.path}/kernels/scratch")
            assert waiting.until("execution.completed").data["status"] == "killed"
        assert running.until("execution.completed").data["status"] == "killed"


def test_the_stop_button_is_for_all_and_each_has_its_own(session: Session) -> None:
    loop = "while True: pass"
    with session.stream(loop) as python, session.stream("while :; do :; done", language="bash") as bash:
        for stream in (python, bash):
            stream.until("execution.started")
        ask(session, "bash", "interrupt")
        assert bash.until("execution.completed").data["status"] == "interrupted"
        assert kernels(session)["python"]["state"] == "busy"
        with session.stream(loop, kernel="scratch") as scratch:
            scratch.until("execution.started")
            session.client.post(f"{session.path}/interrupt").raise_for_status()
            for stream in (python, scratch):
                assert stream.until("execution.completed").data["status"] == "interrupted"


def test_restart_of_the_session_is_of_all(session: Session) -> None:
    session.run("x = 1")
    session.run("x = 1", kernel="scratch")
    session.client.post(f"{session.path}/restart").raise_for_status()
    for kernel in ("python", "scratch"):
        wait_for(session, kernel, state="idle", generation=2)
        assert session.run("x", kernel=kernel)["error"]["name"] == "NameError"


def test_put_makes_and_starts_one(session: Session) -> None:
    session.create()
    path = f"{session.path}/kernels"
    assert session.client.put(f"{path}/bash").status_code == 201
    assert session.client.put(f"{path}/bash").status_code == 200
    assert wait_for(session, "bash", state="idle")["language"] == "bash"
    made = session.client.put(f"{path}/tools", json={"language": "sh"})
    assert (made.status_code, made.json()["language"]) == (201, "bash")
    assert session.client.put(f"{path}/more").json()["language"] == "python"
    problem(session.client.put(f"{path}/more", json={"language": "bash"}), 400, "bad_request")
    problem(session.client.put(f"{path}/x", json={"language": "cobol"}), 400, "unknown_language")
    problem(session.client.put("/v1/sessions/none-such/kernels/x"), 404, "session_not_found")


@pytest.mark.parametrize("name", ["", ".", "..", " ", "a b", "a/b", "x" * 65, "ä", "a\n"])
def test_bad_names(session: Session, name: str) -> None:
    problem(session.post("1", kernel=name), 400, "bad_request")


def test_a_kernel_speaks_its_language(session: Session) -> None:
    session.run("x = 1")
    error = problem(session.post("x", kernel="python", language="bash"), 400, "bad_request")
    assert "speaks python" in error["message"]
    # Nothing was made of it.
    assert list(kernels(session)) == ["python"]


def test_there_are_not_too_many(make_house: Callable[..., House]) -> None:
    session = make_house(max_kernels=2, pool_size=0).session()
    session.run("1")
    session.run("1", kernel="a")
    error = problem(session.post("1", kernel="b"), 409, "too_many_kernels")
    assert error["details"]["kernels"] == ["python", "a"]
    session.client.delete(f"{session.path}/kernels/a")
    assert session.run("1", kernel="b")["status"] == "completed"


def test_a_display_is_updated_by_its_own_kernel(session: Session) -> None:
    session.run("h = display('mine', display_id='d')")
    mine = session.run("display('mine', display_id='d')")
    session.run("display('other', display_id='d')\ndisplay('changed', display_id='d', update=True)", kernel="scratch")
    look = session.client.get(f"{session.path}/executions/{mine['id']}").json()
    assert look["outputs"][0]["data"]["text/plain"] == "'mine'"


def test_two_that_begin_at_once_share_a_workspace(make_house: Callable[..., House]) -> None:
    house = make_house(pool_size=0)
    for _ in range(5):
        session = house.session()
        with ThreadPoolExecutor(3) as threads:
            calls = [
                threads.submit(session.run, "open('a', 'w').close()", language="python"),
                threads.submit(session.run, "touch b", language="bash"),
                threads.submit(session.run, "open('c', 'w').close()", language="python", kernel="scratch"),
            ]
            assert [call.result()["status"] for call in calls] == ["completed"] * 3
        assert session.value("ls", language="bash") == "a\nb\nc\n"
        session.delete()


def test_a_session_begun_in_another_language_has_that_as_its_own(session: Session) -> None:
    session.create(language="sh")
    assert (session.look()["language"], list(kernels(session))) == ("bash", ["bash"])
    assert session.run("echo $((20 + 22))")["language"] == "bash"
    assert session.value("print(1)", language="py") == "1\n"


def test_history_and_events_say_which(session: Session) -> None:
    session.run("1")
    session.run("echo 1", language="bash")
    history = session.client.get(f"{session.path}/history").json()["executions"]
    assert [(each["kernel"], each["language"]) for each in history] == [("python", "python"), ("bash", "bash")]
    with session.follow(after=0) as stream:
        assert stream.until("execution.started").data["kernel"] == "python"
        assert stream.until("session.state", kernel="bash", state="starting")
        assert stream.until("execution.started").data["kernel"] == "bash"


def test_all_sleep_when_nobody_is_there(make_house: Callable[..., House]) -> None:
    session = make_house(pool_size=0).session()
    session.create(idle_timeout_s=1.5)
    session.run("1")
    session.run("1", kernel="scratch")
    for name in ("python", "scratch"):
        assert "idle for too long" in wait_for(session, name, state="dead")["reason"]


def test_without_a_journal_too_output_is_taken_from_kernels(make_house: Callable[..., House]) -> None:
    """What nobody confirms a kernel keeps, and waits when that is too much."""
    session = make_house(keep="memory", pool_size=0).session()
    for kernel in ("python", "scratch"):
        printed = session.run("for _ in range(400_000): print('x' * 100)", kernel=kernel, timeout_s=100)
        assert printed["status"] == "completed"
    session.delete()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has cgroups here, which count who was killed for memory")
def test_memory_is_theirs_together_and_who_was_killed_for_it_is_told(make_house: Callable[..., House]) -> None:
    session = make_house(pool_size=0).session(limits={"memory_bytes": 400 << 20})
    session.run("held = bytearray(100 << 20)")
    died = session.run("more = bytearray(400 << 20)", kernel="scratch")
    assert (died["status"], died["state_lost"]) == ("killed", True)
    assert "out of memory" in died["error"]["value"]
    assert session.value("print(len(held) >> 20)") == "100\n"
    # Whoever ends otherwise later did not run out of memory.
    killed = session.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", kernel="other")
    assert "memory" not in killed["error"]["value"]
    killed = session.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert "memory" not in killed["error"]["value"]


@pytest.mark.parametrize(
    ("language", "loop", "keep", "look"),
    [
        ("javascript", "while (true) {}", "const kept = 1", "console.log(kept)"),
        ("javascript", "await new Promise(() => {})", "const kept = 1", "console.log(kept)"),
        ("bash", "while :; do :; done", "kept=1", "echo $kept"),
        ("bash", "sleep 50", "kept=1", "echo $kept"),
    ],
)
def test_an_interrupt_right_after_the_start(session: Session, language: str, loop: str, keep: str, look: str) -> None:
    """It may come to the program that runs the code before the code does."""
    session.value(keep, language=language)
    for _ in range(30):
        with session.stream(loop, language=language) as stream:
            session.interrupt()
            end = stream.until("execution.completed")
        assert end.data["status"] == "interrupted", end.data
        assert session.value(look, language=language) == "1\n"
