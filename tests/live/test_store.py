"""History in the store: all of it is found, it is what was told, and it goes when the session does."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from . import proc
from .client import JSON, Session, problem
from .gateway import Gateway
from .postgres import Postgres, postgres, programs
from .stored import Place, indexer, wait_level, wait_until_it_is, wholly

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

MANY = 40
needs_postgres = pytest.mark.skipif(
    programs() is None, reason="no PostgreSQL: `scripts/setup.sh test` installs it as root"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as made:
        yield made


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs_postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(tmp_path / "data")
    server: Postgres = request.getfixturevalue("server")
    server.empty()
    return Place(tmp_path / "data", server.url)


@pytest.fixture
def lite(tmp_path: Path) -> Place:
    return Place(tmp_path / "data")


def codes(found: list[JSON]) -> list[str]:
    return [execution["code"] for execution in found]


def run_many(session: Session, count: int = MANY) -> list[JSON]:
    return [session.run(f"print('number', {number})") for number in range(count)]


# What is found ---------------------------------------------------------------------------------------------------


def test_pages_and_searches_reach_all_that_was_told(place: Place) -> None:
    with place.gateway(history_length=5) as gateway, gateway.client() as client:
        session = Session(client, "s")
        told = run_many(session)
        for limit in (1, 4, 5, 6, MANY, 1000):
            assert wholly(session, limit) == told, limit
        # From the middle, from where the two meet, and from within what is kept.
        for start in (20, MANY - 6, MANY - 5, MANY - 4, MANY - 1):
            assert wholly(session, 7, before=told[start]["id"]) == told[:start], start
        assert wholly(session, 3, search="NUMBER 3") == [told[3], *told[30:]]
        assert wholly(session, 2, search="number%") == wholly(session, 2, search="hay") == []
        problem(client.get(f"{session.path}/history?before=none"), 404, "execution_not_found")


def test_an_older_execution_is_found_with_its_events(place: Place) -> None:
    with place.gateway(history_length=5) as gateway, gateway.client() as client:
        session = Session(client, "s")
        told = run_many(session, 10)
        for execution in told:
            assert session.execution(execution["id"]) == execution
        with session.follow(told[0]["id"]) as stream:
            events = list(stream)
        assert [event.type for event in events] == ["execution.started", "output.stream", "execution.completed"]
        problem(client.get(f"{session.path}/executions/none"), 404, "execution_not_found")


def test_notebook_and_replay_have_older_cells_too(place: Place) -> None:
    with place.gateway(history_length=5) as gateway, gateway.client() as client:
        session = Session(client, "s")
        told = [*run_many(session, 8), session.run("1/0"), *run_many(session, 2)]
        found = nbformat.reads(client.get(f"{session.path}/notebook").text, as_version=4)  # type: ignore[no-untyped-call]
        nbformat.validate(found)
        assert [cell.source for cell in found.cells] == codes(told)
        assert [cell.id for cell in found.cells] == [execution["id"] for execution in told]
        assert found.cells[0].outputs[0].text == "number 0\n"
        assert found.cells[8].outputs[0].ename == "ZeroDivisionError"
        again = client.post(f"{session.path}/replay", json={}).json()
        assert (again["same"], again["different"]) == (10, 0)


def test_what_an_earlier_gateway_ran_is_found_though_its_journal_is_gone(place: Place) -> None:
    options = {"log_bytes": 200_000, "history_length": 10}
    with place.gateway(**options) as gateway:
        told: list[JSON] = []
        with gateway.client() as client:
            for _ in range(2):
                told += [Session(client, "s").run(f"print({number}, 'x' * 10_000)") for number in range(MANY)]
                # The journal waits for what was not read yet, and not for long with so low a limit.
                wait_level(gateway)
        gateway.kill()
        gateway.start()
        files = sorted((place.data_dir / "sessions" / "s").iterdir())
        assert int(files[0].name.split(".")[0]) > MANY
        with gateway.client() as client:
            session = Session(client, "s")
            assert wholly(session, 7) == told
            assert session.run("'later'")["execution_count"] == 2 * MANY + 1


def test_only_so_much_is_stored_of_one_session(place: Place) -> None:
    with place.gateway(history_length=5, history_bytes=65536) as gateway, gateway.client() as client:
        session = Session(client, "s")
        told = [session.run(f"print({number}, 'x' * 5_000)") for number in range(20)]
        found = wholly(session, 3)
        assert 5 < len(found) < 10
        assert found == told[-len(found) :]


# That it is what was told ----------------------------------------------------------------------------------------

SHOWN = """
from IPython.display import display
import sys
shown = display({'text/plain': 'first'}, raw=True, display_id='d')
print('text\\0 and ☃', file=sys.stderr)
display({'application/json': {'a': [1, 2.5, None]}, 'image/png': 'iVBORw0KGgo='}, raw=True)
'result'
"""
LATE = """
import threading
def later():
    go.wait()
    print('from a thread')
go = threading.Event()
thread = threading.Thread(target=later)
thread.start()
"""


def test_rows_are_what_was_told(place: Place) -> None:
    with place.gateway() as gateway, gateway.client() as client:
        session = Session(client, "s")
        session.create(env={"SECRET": "hidden"})
        session.run(SHOWN)
        session.run("shown.update({'text/plain': 'second'}, raw=True)")
        session.run("1/0 # \0")
        session.run("while True: pass", timeout_s=0.3)
        session.run(LATE)
        session.run("go.set(); thread.join()")
        session.run("import os; os._exit(3)")
        session.run("print('afterwards')")
        told = wholly(session, 100)
        assert [each["status"] for each in told] == [
            *2 * ["completed"],
            "failed",
            "timed_out",
            *2 * ["completed"],
            "killed",
            "completed",
        ]
        wait_level(gateway)
        with place.stored() as stored:
            assert stored.executions("s") == told
            (row,) = stored.sessions().values()
            assert (row["state"], row["generation"], row["wishes"]["env"]) == ("idle", 2, ["SECRET"])
            ((state, reason),) = stored.ends("s")
        assert state == "dead"
        assert "exited with code 3" in reason


def test_the_gateway_may_be_killed_and_the_indexer_too(place: Place) -> None:
    with place.gateway(history_length=5) as gateway:
        told: list[JSON] = []
        for kill in range(4):
            with gateway.client() as client:
                told += run_many(Session(client, "s"), 8)
                if kill % 2:
                    gateway.kill()
                    gateway.start()
                else:
                    os.kill(indexer(gateway), signal.SIGKILL)
        with gateway.client() as client:
            assert wholly(Session(client, "s"), 10) == told
        wait_level(gateway)
        with place.stored() as stored:
            assert stored.executions("s") == told


def test_a_lost_database_is_made_again_from_the_journals(place: Place, request: pytest.FixtureRequest) -> None:
    with place.gateway(history_length=5) as gateway, gateway.client() as client:
        told = run_many(Session(client, "s"), 12)
        wait_level(gateway)
    if place.is_sqlite:
        shutil.rmtree(place.path.parent)
    else:
        request.getfixturevalue("server").empty()
    with place.gateway(history_length=5) as gateway, gateway.client() as client:
        assert wholly(Session(client, "s"), 5) == told


# That it goes ----------------------------------------------------------------------------------------------------


def holding(folder: Path, text: bytes) -> list[str]:
    """Files with that in them, whatever they are."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [str(path.relative_to(folder)) for path in files if text in path.read_bytes()]


def test_nothing_is_left_of_a_deleted_session(place: Place) -> None:
    canary = "canary" + os.urandom(8).hex()
    with place.gateway(history_length=5, pool_size=0) as gateway, gateway.client() as client:
        session, other = Session(client, "s"), Session(client, "other")
        told = run_many(other, 8)
        for _ in range(8):
            session.run(f"print('{canary}' * 1000)  # {canary}")
        session.run(f"open('/workspace/file', 'w').write('{canary}')")
        wait_level(gateway)
        assert len(wholly(session, 100, search=canary)) == 9
        assert any(name.startswith("store/") for name in holding(place.data_dir, canary.encode())) == place.is_sqlite
        session.delete()
        assert holding(place.data_dir, canary.encode()) == []
        with place.stored() as stored:
            assert [*stored.sessions()] == ["other"]
            assert stored.executions("s") == []
        problem(client.get(f"{session.path}/history"), 404, "session_not_found")
        # The same id again is another session.
        assert (
            codes(wholly(session, 100)) == []
            if session.run("'new'") is None
            else codes(wholly(session, 9)) == ["'new'"]
        )
        assert wholly(other, 3) == told


def test_what_went_while_nobody_was_there_goes_at_start(place: Place) -> None:
    with place.gateway(history_length=5) as gateway, gateway.client() as client:
        for name in ("gone", "changed", "stays"):
            run_many(Session(client, name), 7)
        wait_level(gateway)
    shutil.rmtree(place.data_dir / "sessions" / "gone")
    with place.gateway(history_length=5) as gateway, gateway.client() as client:
        # Of this one the indexer hears nothing, and finds another journal under its name.
        os.kill(indexer(gateway), signal.SIGSTOP)
        stopped = indexer(gateway)
        assert client.delete("/v1/sessions/changed").status_code == 202
        told = run_many(Session(client, "changed"), 7)
        os.kill(stopped, signal.SIGKILL)
        assert wholly(Session(client, "changed"), 100) == told
        wait_level(gateway)
        with place.stored() as stored:
            assert sorted(stored.sessions()) == ["changed", "stays"]
            assert stored.executions("changed") == told


def test_retention_reaches_the_store(place: Place) -> None:
    with place.gateway(retention_s=1.0, idle_timeout_s=0.2) as gateway, gateway.client() as client:
        run_many(Session(client, "s"), 3)
        wait_level(gateway)
        with place.stored() as stored:
            proc.wait_until(lambda: stored.count() == 0, 20, "the end of retention")


def test_the_tables_are_what_the_steps_make(place: Place) -> None:
    with place.gateway() as gateway:
        wait_level(gateway)
        with place.stored() as stored:
            assert stored.differences() == []


# What can be wrong -----------------------------------------------------------------------------------------------


def test_locked(lite: Place) -> None:
    with lite.gateway(history_length=5) as gateway, gateway.client() as client:
        session, other = Session(client, "s"), Session(client, "other")
        told = run_many(session, 8)
        wait_level(gateway)
        with lite.locked():
            # What is stored can be read, and what is kept needs no store.
            assert wholly(session, 3) == told
            told += run_many(session, 8)
            assert [other.run("1")] == wholly(other, 3)
            error = problem(client.get(f"{session.path}/history?limit=100"), 503, "store_unavailable")
            assert "locked" in error["message"]
            assert client.get(f"{session.path}/history?limit=5").status_code == 503
            assert session.execution(told[-1]["id"]) == told[-1]
            wait_until_it_is(gateway, "unavailable")
            assert client.get("/readyz").status_code == 200
            assert client.delete(other.path).status_code == 202
            problem(client.get(other.path), 404, "session_not_found")
        wait_level(gateway)
        assert wholly(session, 3) == told
        with lite.stored() as stored:
            assert stored.executions("s") == told
            assert [*stored.sessions()] == ["s"]
        assert "the store cannot be used: The database says: database is locked" in gateway.output()
        assert "the store can be used again" in gateway.output()


def test_broken_while_nobody_was_there(lite: Place) -> None:
    with lite.gateway(history_length=5) as gateway:
        with gateway.client() as client:
            told = run_many(Session(client, "s"), 8)
        wait_level(gateway)
    spoil(lite.path)
    with lite.gateway(history_length=5) as gateway:
        assert_made_anew(lite, gateway, told)


def test_broken_while_it_is_in_use(lite: Place) -> None:
    with lite.gateway(history_length=5) as gateway:
        with gateway.client() as client:
            session = Session(client, "s")
            told = run_many(session, 8)
            wait_level(gateway)
            spoil(lite.path)
            # Whoever has it open may not look at its first page again.
            os.kill(indexer(gateway), signal.SIGKILL)
            told += run_many(session, 2)
        assert_made_anew(lite, gateway, told)


def assert_made_anew(lite: Place, gateway: Gateway, told: list[JSON]) -> None:
    with gateway.client() as client:
        session = Session(client, "s")
        assert wholly(session, 3) == told
        told = [*told, *run_many(session, 2)]
        assert wholly(session, 3) == told
        wait_level(gateway)
        with lite.stored() as stored:
            assert stored.executions("s") == told
        assert "the store is broken (The database says: " in gateway.output()
        assert [*lite.path.parent.glob("*.broken-*")]
        # One session cannot be taken out of what is broken.
        session.delete()
        assert not [*lite.path.parent.glob("*.broken-*")]


def spoil(path: Path) -> None:
    """The file as a failing disk may leave it: its first page is noise."""
    for part in ("-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)
    with path.open("r+b") as file:
        file.write(os.urandom(4096))


@needs_postgres
def test_postgresql_is_away(server: Postgres, tmp_path: Path) -> None:
    server.empty()
    place = Place(tmp_path / "data", server.url)
    server.stop()
    try:
        with place.gateway(history_length=5) as gateway, gateway.client() as client:
            session = Session(client, "s")
            told = run_many(session, 8)
            error = problem(client.get(f"{session.path}/history?limit=100"), 503, "store_unavailable")
            assert "connection" in error["message"]
            server.start()
            wait_level(gateway)
            assert wholly(session, 3) == told
            server.stop()
            told += run_many(session, 8)
            problem(client.get(f"{session.path}/notebook"), 503, "store_unavailable")
            server.start()
            assert wholly(session, 3) == told
            assert_hidden(gateway, place.password)
    finally:
        server.stop()
        server.start()


@needs_postgres
def test_a_password_stands_nowhere(server: Postgres, tmp_path: Path) -> None:
    server.empty()
    place = Place(tmp_path / "data", server.url.replace(server.password, "wrong-one"))
    with place.gateway(history_length=1) as gateway, gateway.client() as client:
        session = Session(client, "s")
        run_many(session, 3)
        error = problem(client.get(f"{session.path}/history"), 503, "store_unavailable")
        assert "password authentication failed" in error["message"]
        assert_hidden(gateway, place.password)


def assert_hidden(gateway: Gateway, password: str) -> None:
    assert password
    assert password not in gateway.output()
    for pid in (gateway.pid, *proc.descendants(gateway.pid)):
        assert password not in proc.command(pid)
        if pid != gateway.pid:
            assert password not in proc.environment(pid)
    assert holding(gateway.data_dir, password.encode()) == []


def test_none(lite: Place) -> None:
    with lite.gateway(history_length=5, store="none") as gateway, gateway.client() as client:
        session = Session(client, "s")
        told = run_many(session, 8)
        assert wholly(session, 100) == told[-5:]
        problem(client.get(f"{session.path}/executions/{told[0]['id']}"), 404, "execution_not_found")
        assert client.get("/readyz").json()["store"] is None
        assert not [pid for pid in proc.descendants(gateway.pid) if "indexer" in proc.command(pid)]
    assert not lite.path.parent.exists()


def test_the_indexer_stands_back_and_hides(lite: Place) -> None:
    with lite.gateway() as gateway:
        wait_level(gateway)
        pid = indexer(gateway)
        assert os.getpriority(os.PRIO_PROCESS, pid) == 19
        assert proc.command(pid).split()[1:] == ["-I", "-m", "kernelgw.indexer"]
        # Whoever may not be looked into belongs to root in /proc, whoever runs it.
        assert (proc.PROC / str(pid) / "environ").stat().st_uid == 0
