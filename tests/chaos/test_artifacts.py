"""What sessions made, over the end of a gateway: what was told is there, what was not is told by the next."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import proc
from tests.live.client import JSON, Event, Session
from tests.live.gateway import Gateway

from .conftest import Start
from .readers import Reader

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

# Each cell makes a file that no other has, shows a picture that is too large for an event, and prints.
WORK = """
import os, random, time
from IPython.display import Image, display
for n in range(40):
    print('picture', n)
    display(Image(b'\\x89PNG\\r\\n\\x1a\\n' + random.Random(n).randbytes(1_500_000)))
    open(f'{n}.bin', 'wb').write(random.Random(-n).randbytes(100_000))
"""


def check(session: Session, artifact: JSON) -> None:
    response = session.client.get(artifact["url"])
    assert response.status_code == 200, artifact
    assert hashlib.sha256(response.content).hexdigest() == artifact["id"]


def links(gateway: Gateway, name: str) -> set[str]:
    folder = gateway.data_dir / "sessions" / name / "artifacts"
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def test_what_was_told_is_there_and_what_was_not_is_told_by_the_next(start: Start) -> None:
    gateway = start()
    reader = Reader(gateway, "s")
    with gateway.client() as client:
        session = Session(client, "s")
        session.create()
        with session.stream(WORK) as stream:
            stream.until("execution.started")
    reader.start()
    for count in (3, 9, 16, 24, 33):
        reader.wait(lambda events, count=count: len(told(events)) >= count, "artifact")  # type: ignore[misc]
        gateway.kill()
        gateway.start()
    reader.wait(lambda events: any(event.type == "execution.completed" for event in events), "end")
    reader.leave()
    end = next(event.data for event in reader.events if event.type == "execution.completed")
    assert end["status"] == "completed"
    assert sorted(entry["path"] for entry in end["files"]) == sorted(f"{n}.bin" for n in range(40))
    assert all(entry["artifact"] for entry in end["files"])
    assert [event.id for event in reader.events] == list(range(1, len(reader.events) + 1))
    artifacts = told(reader.events)
    assert len(artifacts) == len({artifact["id"] for artifact in artifacts}) == 80
    assert len(end["artifacts"]) == 80
    # Each picture stands between its line and the next one.
    order = [event for event in reader.events if event.type in ("output.stream", "output.display")]
    seen = "".join("*" if event.type == "output.display" else event.data["text"] for event in order)
    assert seen == "".join(f"picture {n}\n*" for n in range(40))
    with gateway.client() as client:
        session = Session(client, "s")
        for artifact in artifacts:
            check(session, artifact)
        listed = client.get(f"{session.path}/artifacts").json()["artifacts"]
        assert {each["id"] for each in listed} == {each["id"] for each in artifacts} == links(gateway, "s")
        session.delete()
    assert [path for path in (gateway.data_dir / "artifacts").rglob("*") if path.is_file()] == []
    gateway.stop()


def told(events: list[Event]) -> list[JSON]:
    return [event.data for event in events if event.type == "artifact.created"]


def test_a_cell_whose_end_was_not_told_has_its_files_afterwards(start: Start) -> None:
    """The gateway is stopped while the cell ends, so it ends with nobody there."""
    first = start()
    with first.client() as client:
        session = Session(client, "s")
        session.run("import os, time")
        code = (
            "while not os.path.exists('go'): time.sleep(0.01)\nfor n in range(3): open(f'{n}.txt', 'w').write(str(n))"
        )
        with session.stream(code + "\nprint('done')") as stream:
            id_ = stream.until("execution.started").data["execution_id"]
        kernel = session.look()["kernel"]["pid"]
        os.kill(first.pid, signal.SIGSTOP)
        root = next(path for path in roots(kernel) if os.access(path / "workspace", os.W_OK))
        (root / "workspace" / "go").touch()
        proc.wait_until(lambda: (root / "workspace" / "2.txt").exists(), 10, "the files")
        first.kill()
    with start().client() as client:
        session = Session(client, "s")
        with session.follow(id_) as stream:
            events = list(stream)
        end = events[-1].data
        assert (end["status"], events[-1].type) == ("completed", "execution.completed")
        assert {entry["path"] for entry in end["files"]} == {"go", "0.txt", "1.txt", "2.txt"}
        assert [event.type for event in events].count("artifact.created") == 4
        for artifact in end["artifacts"]:
            check(session, artifact)
        session.delete()


def roots(kernel: int) -> Iterator[Path]:
    return (proc.PROC / str(pid) / "root" for pid in proc.neighbours(kernel))


def test_what_was_left_in_the_middle_is_swept(start: Start) -> None:
    first = start()
    with first.client() as client:
        session = Session(client, "s")
        (artifact,) = session.run("open('a', 'w').write('told')")["artifacts"]
        first.kill()
    store, folder = first.data_dir / "artifacts", first.data_dir / "sessions" / "s" / "artifacts"
    half, nobody, untold = store / "tmp" / "half", store / "aa" / ("a" * 64), folder / ("b" * 64)
    for path in (half, nobody, untold):
        path.parent.mkdir(exist_ok=True)
        path.write_text("left")
    # A session that was being deleted.
    gone = first.data_dir / "sessions" / "~gone" / "artifacts" / ("c" * 64)
    gone.parent.mkdir(parents=True)
    gone.write_text("left")
    (store / "cc").mkdir()
    os.link(gone, store / "cc" / ("c" * 64))
    with start().client() as client:
        left = [
            path
            for path in first.data_dir.rglob("*")
            if path.is_file() and path.name in names(half, nobody, untold, gone)
        ]
        assert left == []
        check(Session(client, "s"), artifact)
        Session(client, "s").delete()


def names(*paths: Path) -> set[str]:
    return {path.name for path in paths}


def test_a_flood_s_whole_text_after_another_gateway_took_over(start: Start) -> None:
    first = start(output_bytes=200_000)
    with first.client() as client:
        session = Session(client, "s")
        code = "for n in range(60_000): print('line', n)\nwhile not os.path.exists('go'): time.sleep(0.01)"
        with session.stream(f"import os, time\n{code}") as stream:
            stream.until_text("line 59999")
        first.kill()
    with start(output_bytes=200_000).client() as client:
        session = Session(client, "s")
        id_ = session.look()["running"]
        session.touch("go")
        with session.follow(id_) as stream:
            end = stream.until("execution.completed").data
        whole = client.get(end["full_text"]["url"]).text
        assert whole == "".join(f"line {n}\n" for n in range(60_000))
        (marker,) = [each["text"] for each in session.execution(id_)["outputs"] if each["name"] == "stderr"]
        assert end["full_text"]["url"] in marker
        session.delete()
