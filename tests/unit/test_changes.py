"""Which files have changed, as a kernel sees it: by inotify, and by looking where that is not to be had."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernels import changes as module
from kernels.changes import MOST_TOLD, Changes

Make = Callable[[], Changes]


@pytest.fixture(params=["inotify", "looking"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    made: list[Changes] = []

    def make() -> Changes:
        changes = Changes(str(tmp_path))
        made.append(changes)
        if request.param == "looking":
            os.close(changes._fd)
            changes._fd = module.NO_FOLDER
        return changes

    yield make
    for each in made:
        if each._fd >= 0:
            os.close(each._fd)


def told(changes: Changes) -> dict[str, str]:
    found = changes.take()
    if found is None:
        return {}
    assert (found["more"], found["whole"]) == (0, True)
    return {entry["path"]: entry["change"] for entry in found["files"]}


def test_nothing_is_nothing(make: Make) -> None:
    assert make().take() is None


def test_made_changed_deleted(make: Make, tmp_path: Path) -> None:
    (tmp_path / "before").write_text("1")
    changes = make()
    (tmp_path / "made").write_text("1")
    (tmp_path / "gone").write_text("1")
    (tmp_path / "gone").unlink()
    assert told(changes) == {"made": "created"}
    (tmp_path / "made").write_text("22")
    (tmp_path / "before").unlink()
    assert told(changes) == {"made": "modified", "before": "deleted"}
    assert told(changes) == {}


def test_a_file_in_place_of_another_is_that_one_changed(make: Make, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    changes = make()
    (tmp_path / "new").write_text("2")
    (tmp_path / "new").rename(tmp_path / "a")
    assert told(changes) == {"a": "modified"}


def test_folders_that_are_made_moved_and_removed(make: Make, tmp_path: Path) -> None:
    changes = make()
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c" / "file").write_text("1")
    assert told(changes) == {"a/b/c/file": "created"}
    (tmp_path / "a" / "b" / "c" / "later").write_text("1")
    assert told(changes) == {"a/b/c/later": "created"}
    (tmp_path / "a").rename(tmp_path / "z")
    (tmp_path / "z" / "b" / "c" / "last").write_text("1")
    assert told(changes) == {
        **{f"a/b/c/{name}": "deleted" for name in ("file", "later")},
        **{f"z/b/c/{name}": "created" for name in ("file", "later", "last")},
    }
    (tmp_path / "z" / "b" / "c" / "last").write_text("22")
    assert told(changes) == {"z/b/c/last": "modified"}


def test_hidden_ones_are_left_out_and_links_not_followed(make: Make, tmp_path: Path) -> None:
    changes = make()
    for name in (".git", "__pycache__", "node_modules"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("1")
    (tmp_path / ".x").write_text("1")
    (tmp_path / "link").symlink_to("/etc")
    assert told(changes) == {"link": "created"}


def test_names_that_are_no_text(make: Make, tmp_path: Path) -> None:
    changes = make()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_text("1")
    assert told(changes) == {"?": "created"}


def test_many_are_told_in_part(make: Make, tmp_path: Path) -> None:
    changes = make()
    for number in range(MOST_TOLD + 5):
        (tmp_path / f"{number:04}").write_text("1")
    found = changes.take()
    assert found is not None
    assert (len(found["files"]), found["more"], found["whole"]) == (MOST_TOLD, 5, True)
    assert changes.take() is None


def test_more_folders_than_are_watched_are_told(tmp_path: Path) -> None:
    for number in range(module.MOST_FOLDERS + 5):
        (tmp_path / f"{number:04}").mkdir()
    changes = Changes(str(tmp_path))
    (tmp_path / "file").write_text("1")
    found = changes.take()
    os.close(changes._fd)
    assert found is not None
    assert found["whole"] is False
    assert [entry["path"] for entry in found["files"]] == ["file"]


def test_lost_events_are_made_up_for(tmp_path: Path) -> None:
    (tmp_path / "before").write_text("1")
    (tmp_path / "stays").write_text("1")
    changes = Changes(str(tmp_path))
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(limit // 3):
        (tmp_path / "x").write_text("1")
        (tmp_path / "x").unlink()
    (tmp_path / "before").unlink()
    (tmp_path / "new" / "er").mkdir(parents=True)
    (tmp_path / "new" / "er" / "file").write_text("1")
    assert told(changes) == {"before": "deleted", "new/er/file": "created"}
    (tmp_path / "new" / "er" / "file").write_text("22")
    assert told(changes) == {"new/er/file": "modified"}
    os.close(changes._fd)
