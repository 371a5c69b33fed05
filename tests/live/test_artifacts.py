"""What sessions make that is too large for an event, and the files that their cells make: kept, told, served."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from .client import JSON, Event, House, Session, problem, streamed, text
from .gateway import Gateway

pytestmark = pytest.mark.live

MIB = 1 << 20
# Noise, so that it is as large as it is; the same each time, so that it is one content.
LARGE = """
import random
from IPython.display import Image, display
def noise(size, seed=1): return b'\\x89PNG\\r\\n\\x1a\\n' + random.Random(seed).randbytes(size)
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], House]]:
    """A gateway that keeps little, so that its limits are met soon."""
    gateway = Gateway(
        tmp_path_factory.mktemp("small") / "data",
        pool_size=1,
        artifact_bytes=4 * MIB,
        largest_artifact_bytes=2 * MIB,
        output_bytes=100_000,
        full_text_bytes=MIB,
    )
    with gateway:
        made: list[House] = []

        def make() -> House:
            made.append(House(gateway, f"small{len(made)}"))
            return made[-1]

        yield make
        for house in made:
            house.delete_sessions()
            house.close()


def changes(execution: JSON) -> dict[str, str]:
    return {entry["path"]: entry["change"] for entry in execution["files"]}


def content(session: Session, artifact: JSON) -> bytes:
    response = session.client.get(artifact["url"]).raise_for_status()
    assert hashlib.sha256(response.content).hexdigest() == artifact["id"]
    assert len(response.content) == artifact["size"]
    return response.content


def created(events: list[Event]) -> list[JSON]:
    return [event.data for event in events if event.type == "artifact.created"]


# Files of a cell -------------------------------------------------------------------------------------------------


def test_a_picture_that_a_cell_wrote_can_be_had(session: Session) -> None:
    events = session.events("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('plot.png')\nplt.close()")
    (told,) = created(events)
    end = events[-1].data
    (file,), (artifact,) = end["files"], end["artifacts"]
    assert (file["path"], file["change"], file["artifact"], file["reason"]) == ("plot.png", "created", artifact, None)
    assert artifact.items() <= told.items()
    assert told["execution_id"] == end["id"]
    response = session.client.get(artifact["url"])
    assert response.headers["content-type"] == "image/png"
    assert response.headers["content-disposition"] == 'inline; filename="plot.png"'
    assert content(session, artifact).startswith(b"\x89PNG")
    listed = session.client.get(f"{session.path}/artifacts").json()
    assert listed["artifacts"] == [{**artifact, "execution_id": end["id"], "created_at": told["created_at"]}]
    # The same by every way to look at it.
    found = session.execution(end["id"])
    assert (found["files"], found["artifacts"]) == ([file], [artifact])


def test_made_changed_and_deleted(session: Session) -> None:
    made = session.run("import os\nfor name in ('a', 'b', 'c'): open(name, 'w').write(name)")
    assert changes(made) == {"a": "created", "b": "created", "c": "created"}
    assert changes(session.run("x = 1")) == {}
    changed = session.run(
        "open('a', 'a').write('more'); os.remove('b'); os.rename('c', 'd'); open('e', 'w'); os.remove('e')"
    )
    assert changes(changed) == {"a": "modified", "b": "deleted", "c": "deleted", "d": "created"}
    kept = {entry["path"]: entry["artifact"] and content(session, entry["artifact"]) for entry in changed["files"]}
    assert kept == {"a": b"amore", "b": None, "c": None, "d": b"c"}
    # As editors and libraries save: what has the name now is another file.
    assert changes(session.run("open('new', 'w').write('x'); os.replace('new', 'a')")) == {"a": "modified"}
    # Open, and not closed.
    assert changes(session.run("log = open('log', 'w'); log.write('1'); log.flush()")) == {"log": "created"}
    assert changes(session.run("log.write('2'); log.flush()")) == {"log": "modified"}


def test_folders_and_programs_count_and_hidden_ones_do_not(session: Session) -> None:
    code = """
import os, subprocess
os.makedirs('deep/er/still'); open('deep/er/still/file.csv', 'w').write('1')
subprocess.run(['/bin/sh', '-c', 'mkdir made && echo text > made/by.txt'])
for folder in ('.cache', '__pycache__', 'node_modules/x'): os.makedirs(folder); open(folder + '/hidden', 'w').close()
open('.hidden', 'w').close()
"""
    made = session.run(code)
    assert changes(made) == {"deep/er/still/file.csv": "created", "made/by.txt": "created"}
    assert [artifact["type"] for artifact in made["artifacts"]] == ["text/csv", "text/plain"]
    moved = session.run("os.rename('deep', 'deeper'); open('deeper/er/more', 'w').close()")
    assert changes(moved) == {
        "deep/er/still/file.csv": "deleted",
        "deeper/er/still/file.csv": "created",
        "deeper/er/more": "created",
    }
    assert changes(session.run("open('deeper/er/still/file.csv', 'a').write('2')")) == {
        "deeper/er/still/file.csv": "modified"
    }


def test_what_changes_between_cells_is_told_with_the_next(session: Session) -> None:
    code = "child = subprocess.Popen(['/bin/sh', '-c', 'read line; echo late > late'], stdin=subprocess.PIPE)"
    assert changes(session.run(f"import subprocess; {code}")) == {}
    assert changes(session.run("child.communicate(b'go\\n')")) == {"late": "created"}


def test_very_many_are_told_as_many(session: Session) -> None:
    made = session.run("for n in range(300): open(f'{n:03}.txt', 'w').write(str(n))")
    assert (len(made["files"]), made["files_left_out"], made["files_whole"]) == (200, 100, True)
    assert len(made["artifacts"]) == 50
    assert made["files"][50]["reason"] == "of one execution the first 50 are kept"
    assert content(session, made["files"][7]["artifact"]) == b"7"


def test_events_that_linux_lost_are_made_up_for_by_looking(session: Session) -> None:
    session.run("open('before', 'w').close(); open('kept', 'w').close(); import os")
    lost = """
for n in range(20_000): open('x', 'w').close(); os.remove('x')
os.remove('before'); open('after', 'w').write('1')
"""
    assert changes(session.run(lost)) == {"before": "deleted", "after": "created"}


def test_code_that_closes_every_descriptor_it_can_find_is_looked_after_still(session: Session) -> None:
    close = """
import os
for fd in os.listdir('/proc/self/fd'):
    try:
        if os.readlink(f'/proc/self/fd/{fd}') == 'anon_inode:inotify': os.close(int(fd))
    except OSError: pass
"""
    session.run(close)
    assert changes(session.run("open('a', 'w').close()")) == {"a": "created"}
    assert changes(session.run("1")) == {}
    assert changes(session.run("os.remove('a')")) == {"a": "deleted"}


def test_after_a_restart_of_the_kernel_it_is_known_what_was_there(session: Session) -> None:
    session.run("import os; os.makedirs('folder'); open('folder/a', 'w').close()")
    session.restart()
    assert changes(session.run("open('folder/a', 'w').write('1'); open('b', 'w').close()")) == {
        "folder/a": "modified",
        "b": "created",
    }


# Large parts of outputs ------------------------------------------------------------------------------------------


def test_a_large_picture_stands_beside_its_event(session: Session) -> None:
    session.run(LARGE)
    events = session.events("print('before'); display(Image(noise(2_000_000))); print('after')")
    order = [event.type for event in events if event.type.startswith(("output", "artifact"))]
    assert order == ["output.stream", "artifact.created", "output.display", "output.stream"]
    display = next(event.data for event in events if event.type == "output.display")
    assert list(display["data"]) == ["text/plain"]
    artifact = display["artifacts"]["image/png"]
    (told,) = created(events)
    assert {**told, "encoding": "base64"}.items() >= artifact.items()
    assert len(content(session, told)) == 2_000_008
    execution = session.execution(events[-1].data["id"])
    assert execution["outputs"][1]["artifacts"] == {"image/png": artifact}
    assert execution["artifacts"] == [{name: told[name] for name in ("id", "name", "type", "size", "url")}]


def test_the_notebook_has_it_in_its_place(session: Session) -> None:
    session.run(LARGE)
    session.run("display(Image(noise(1_500_000)))")
    session.run("display({'text/html': '<b>ä</b>' * 200_000, 'text/plain': 'short'}, raw=True)")
    session.run("display({'application/vnd.vega.v5+json': {'values': list(range(300_000))}}, raw=True)")
    response = session.client.get(f"{session.path}/notebook")
    found: Any = nbformat.reads(response.text, as_version=nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]
    nbformat.validate(found)
    picture, page, chart = (cell.outputs[0] for cell in found.cells[1:])
    assert len(base64.b64decode(picture.data["image/png"])) == 1_500_008
    assert page.data == {"text/html": "<b>ä</b>" * 200_000, "text/plain": "short"}
    assert chart.data["application/vnd.vega.v5+json"]["values"][-1] == 299_999
    assert "artifacts" not in picture
    replayed = session.client.post(f"{session.path}/replay").json()
    assert (replayed["same"], replayed["different"]) == (4, 0)


def test_an_update_may_be_large_and_small_again(session: Session) -> None:
    session.run(LARGE)
    first = session.run("shown = display(Image(noise(2_000_000)), display_id=True)")
    assert "artifacts" in first["outputs"][0]
    session.run("shown.update(Image(noise(10)))")
    again = session.execution(first["id"])["outputs"][0]
    assert "artifacts" not in again
    assert len(base64.b64decode(again["data"]["image/png"])) == 18


def test_order_is_kept_however_many_are_large(session: Session) -> None:
    session.run(LARGE)
    code = "for n in range(12):\n    print(n)\n    display(Image(noise(1_200_000, n)))\nprint('end')"
    events = session.events(code)
    seen = ["picture" if e.type == "output.display" else e.data["text"] for e in events if e.type.startswith("output")]
    assert "".join(seen) == "".join(f"{n}\npicture" for n in range(12)) + "end\n"
    assert len(created(events)) == 12


def test_a_kernel_that_dies_after_a_large_output_has_shown_it(session: Session) -> None:
    session.run(LARGE)
    events = session.events("import os, time\ndisplay(Image(noise(8_000_000)))\nos._exit(3)")
    assert [event.type for event in events if event.type in ("output.display", "execution.completed")] == [
        "output.display",
        "execution.completed",
    ]
    assert events[-1].data["status"] == "killed"
    assert len(created(events)) == 1


# The whole text --------------------------------------------------------------------------------------------------


def test_text_beyond_the_budget_is_whole_in_an_artifact(small: Callable[[], House]) -> None:
    session = small().session()
    events = session.events("for n in range(30_000): print('line', n)")
    end = events[-1].data
    whole = "".join(f"line {n}\n" for n in range(30_000))
    assert streamed(events) == whole
    assert (end["full_text"]["name"], end["full_text"]["type"]) == ("output.txt", "text/plain")
    assert end["full_text"].pop("whole") is True
    assert end["full_text"] in end["artifacts"]
    assert content(session, end["full_text"]).decode() == whole
    execution = session.execution(end["id"])
    (marker,) = [output["text"] for output in execution["outputs"] if output["name"] == "stderr"]
    assert marker.endswith(f"the limit is 100,000; the whole text is {end['full_text']['url']}]\n")
    kept = text(execution)
    assert whole.startswith(kept[:20_000])
    assert whole.endswith(kept[-60_000:])
    assert session.run("print('short')")["full_text"] is None


def test_that_text_has_an_end_too(small: Callable[[], House]) -> None:
    session = small().session()
    end = session.run("for n in range(200_000): print('line', n)")
    found = content(session, end["full_text"]).decode()
    assert found.startswith("line 0\nline 1\n")
    cut = found.rindex("\n[the text goes on here: ")
    assert cut == MIB
    assert found.endswith("bytes more were left out]\n")
    assert end["full_text"]["whole"] is False
    assert "more of the text, not all of it, is /v1/" in text(end, "stderr")


def test_what_a_session_keeps_no_more_is_still_in_its_text(make_house: Callable[..., House]) -> None:
    """The budget of an execution may be more than the session's for events, and than what waits for the disk."""
    session = make_house(log_bytes=MIB, output_bytes=96 * MIB).session()
    end = session.run("for n in range(1_100_000): print(f'{n:07}', 'x' * 91)", timeout_s=100)
    assert end["full_text"]["whole"] is True
    lines = content(session, end["full_text"]).decode().splitlines()
    assert [line[:7] for line in lines] == [f"{n:07}" for n in range(1_100_000)]
    assert {len(line) for line in lines} == {99}


# The quota -------------------------------------------------------------------------------------------------------


def test_what_is_too_much_is_refused_in_words_until_there_is_room(small: Callable[[], House]) -> None:
    session = small().session()
    session.run(LARGE)
    code = (
        "for n in range(4): open(f'{n}.bin', 'wb').write(noise(1_500_000, n))\nopen('huge.bin', 'wb').truncate(3 << 20)"
    )
    made = session.run(code)
    kept = [entry["path"] for entry in made["files"] if entry["artifact"]]
    reasons = {entry["path"]: entry["reason"] for entry in made["files"] if not entry["artifact"]}
    assert kept == ["0.bin", "1.bin"]
    assert "4,194,304 bytes; delete some" in reasons["2.bin"]
    assert reasons["huge.bin"] == "it is larger than 2,097,152 bytes"
    # A large output then stays where it would be otherwise.
    shown = session.run("display(Image(noise(1_800_000, 9)))")
    assert len(base64.b64decode(shown["outputs"][0]["data"]["image/png"])) == 1_800_008
    first = made["artifacts"][0]
    assert session.client.delete(first["url"]).status_code == 204
    problem(session.client.get(first["url"]), 404, "artifact_not_found")
    problem(session.client.delete(first["url"]), 404, "artifact_not_found")
    again = session.run("open('2.bin', 'ab').close(); import os; os.utime('2.bin'); open('2.bin', 'ab').write(b'x')")
    assert again["files"][0]["reason"] is None
    assert len(content(session, again["files"][0]["artifact"])) == 1_500_009


# Kept once, deleted whole ----------------------------------------------------------------------------------------


def holding(folder: Path, canary: bytes) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and not {"workspaces", "templates"} & {*path.parts})
    return [str(path.relative_to(folder)) for path in paths if canary in path.read_bytes()]


@pytest.mark.parametrize("keep", ["disk", "memory"])
def test_deleting_a_session_deletes_all_that_it_made(make_house: Callable[..., House], keep: str) -> None:
    house = make_house(keep=keep, pool_size=1)
    folder = house.gateway.data_dir
    one, other = house.session(), house.session()
    code = "open('{}.txt', 'w').write('canary-' + 'of-' + '{}'); open('same.txt', 'w').write('canary-' + 'of-both')"
    first = one.run(code.format("one", "one"))
    second = other.run(code.format("other", "other"))
    for name in ("one", "other", "both"):
        assert holding(folder, f"canary-of-{name}".encode())
    # One content, one file, however many names it has.
    same = {path.stat().st_ino for path in folder.rglob(first["files"][1]["artifact"]["id"])}
    assert len(same) == 1
    assert {oct(path.stat().st_mode & 0o777) for path in folder.rglob(first["artifacts"][0]["id"])} == {"0o600"}
    one.delete()
    assert holding(folder, b"canary-of-one") == []
    assert holding(folder, b"canary-of-both")
    assert content(other, second["files"][1]["artifact"]) == b"canary-of-both"
    other.delete()
    assert holding(folder, b"canary-of-") == []
    assert [path for path in (folder / "artifacts").rglob("*") if path.is_file()] == []


# Served ----------------------------------------------------------------------------------------------------------


def test_ranges_heads_and_what_a_browser_has_already(session: Session) -> None:
    (artifact,) = session.run("open('data.bin', 'wb').write(bytes(range(256)) * 100)")["artifacts"]
    client, url = session.client, artifact["url"]
    whole = client.get(url)
    assert whole.headers["etag"] == f'"{artifact["id"]}"'
    assert whole.headers["cache-control"] == "private, max-age=31536000, immutable"
    head = client.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == "25600"
    part = client.get(url, headers={"Range": "bytes=256-265"})
    assert (part.status_code, part.content) == (206, bytes(range(10)))
    assert part.headers["content-range"] == "bytes 256-265/25600"
    assert client.get(url, headers={"Range": "bytes=-1"}).content == b"\xff"
    assert client.get(url, headers={"Range": "bytes=99999-"}).status_code == 416
    again = client.get(url, headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_list_needs_a_session_and_each_session_has_its_own(house: House) -> None:
    one, other = house.session(), house.session()
    (artifact,) = one.run("open('a', 'w').write('1')")["artifacts"]
    other.run("1")
    problem(other.client.get(f"{other.path}/artifacts/{artifact['id']}"), 404, "artifact_not_found")
    problem(other.client.get("/v1/sessions/none/artifacts"), 404, "session_not_found")
    assert other.client.get(f"{other.path}/artifacts").json() == {"artifacts": [], "used": 0, "limit": 512 * MIB}


def test_history_and_events_have_no_payloads_that_are_artifacts(session: Session) -> None:
    session.run(LARGE)
    session.run("display(Image(noise(3_000_000)))")
    assert len(json.dumps(session.client.get(f"{session.path}/history").json())) < 20_000


def test_artifacts_may_have_a_time_of_their_own(make_house: Callable[..., House]) -> None:
    session = make_house(artifact_retention_s=1, pool_size=0).session()
    (artifact,) = session.run("open('a', 'w').write('1')")["artifacts"]
    with session.follow(after=0) as stream:
        gone = stream.until("artifact.deleted", id=artifact["id"])
    assert gone.data["reason"] == "the gateway keeps artifacts for 1 s"
    problem(session.client.get(artifact["url"]), 404, "artifact_not_found")
    assert session.value("print(open('a').read())") == "1\n"
