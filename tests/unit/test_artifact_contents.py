"""Content is kept once, by its digest, for as long as a session has a link to it."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelgw.artifacts.contents import LEAST_CHARGE, Contents, charge
from kernelgw.artifacts.reading import NotKept
from kernelgw.artifacts.text import MOST_WAITING, PIECE, FullText

Keep = Callable[[bytes, str], str]


@pytest.fixture
def store(tmp_path: Path) -> Contents:
    store = Contents(tmp_path / "artifacts")
    store.prepare()
    return store


@pytest.fixture
def keep(store: Contents, tmp_path: Path) -> Keep:
    """Content, kept for a session by that name; its digest."""

    def keep(content: bytes, session: str) -> str:
        writer = store.writer()
        try:
            writer.write(content)
            return writer.keep(folder(tmp_path, session))
        finally:
            writer.close()

    return keep


def folder(tmp_path: Path, session: str) -> int:
    (tmp_path / session).mkdir(exist_ok=True)
    return os.open(tmp_path / session, os.O_PATH | os.O_DIRECTORY)


def files(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.is_file())


def test_it_is_named_by_what_is_in_it_and_nobody_else_may_read_it(store: Contents, keep: Keep, tmp_path: Path) -> None:
    digest = keep(b"content", "one")
    assert digest == hashlib.sha256(b"content").hexdigest()
    assert files(tmp_path) == [store.blob(digest), tmp_path / "one" / digest]
    for path in files(tmp_path):
        assert path.read_bytes() == b"content"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700 or path.parent == tmp_path / "one"


def test_the_same_again_takes_no_room(store: Contents, keep: Keep, tmp_path: Path) -> None:
    assert keep(b"same", "one") == keep(b"same", "one") == keep(b"same", "other")
    assert len({path.stat().st_ino for path in files(tmp_path)}) == 1


def test_it_goes_with_the_last_who_has_it(store: Contents, keep: Keep, tmp_path: Path) -> None:
    digest = keep(b"both", "one")
    keep(b"both", "other")
    (tmp_path / "one" / digest).unlink()
    store.release([digest])
    assert store.blob(digest).exists()
    (tmp_path / "other" / digest).unlink()
    store.release([digest, "f" * 64])
    assert files(tmp_path) == []


def test_a_sweep_finds_what_is_nobody_s_and_a_start_what_is_half_written(
    store: Contents, keep: Keep, tmp_path: Path
) -> None:
    digest = keep(b"kept", "one")
    lost = keep(b"lost", "one")
    (tmp_path / "one" / lost).unlink()
    half = store.writer()
    half.write(b"half")
    again = Contents(store.folder)
    again.prepare()
    again.sweep()
    assert files(tmp_path) == [store.blob(digest), tmp_path / "one" / digest]
    half.close()


def test_one_whose_content_has_just_been_removed_keeps_its_own(store: Contents, keep: Keep, tmp_path: Path) -> None:
    digest = keep(b"x", "one")
    store.blob(digest).unlink()
    assert (tmp_path / "one" / digest).read_bytes() == b"x"
    keep(b"x", "other")
    assert store.blob(digest).exists()


def test_a_folder_that_is_moved_meanwhile_is_still_the_session_s(store: Contents, tmp_path: Path) -> None:
    links = folder(tmp_path, "one")
    (tmp_path / "one").rename(tmp_path / "~gone")
    (tmp_path / "one").mkdir()
    writer = store.writer()
    writer.write(b"late")
    digest = writer.keep(links)
    writer.close()
    assert files(tmp_path / "one") == []
    assert files(tmp_path / "~gone") == [tmp_path / "~gone" / digest]


def test_the_disk_is_not_filled_up(tmp_path: Path) -> None:
    store = Contents(tmp_path / "artifacts", free_bytes=1 << 62)
    store.prepare()
    with pytest.raises(NotKept, match="no room"):
        store.check_room(1)


def test_a_small_one_counts_as_what_a_file_costs() -> None:
    assert (charge(1), charge(LEAST_CHARGE + 1)) == (LEAST_CHARGE, LEAST_CHARGE + 1)


# The whole text --------------------------------------------------------------------------------------------------


def whole(store: Contents, tmp_path: Path, *texts: str, most: int = 1 << 30) -> str:
    text = FullText(store, most)
    text.begin(texts[:1])
    for each in texts[1:]:
        text.add(each)
    digest, size = text.finish(folder(tmp_path, "one"))
    content = (tmp_path / "one" / digest).read_bytes()
    assert len(content) == size
    assert files(store.folder / "tmp") == []
    return content.decode()


def test_text_is_whole_and_in_order(store: Contents, tmp_path: Path) -> None:
    texts = [f"{number} ä\n" * 5000 for number in range(100)]
    assert whole(store, tmp_path, *texts) == "".join(texts)
    assert whole(store, tmp_path, "small") == "small"
    assert whole(store, tmp_path, "\ud800") == "?"
    assert whole(store, tmp_path) == ""


def test_text_ends_where_it_has_to_and_says_so(store: Contents, tmp_path: Path) -> None:
    found = whole(store, tmp_path, "x" * PIECE, "y" * PIECE, "z", most=PIECE + 10)
    assert found == "x" * PIECE + "y" * 10 + f"\n[the text goes on here: {PIECE - 10 + 1:,} bytes more were left out]\n"


def test_a_disk_that_cannot_keep_up_costs_a_part_that_is_told(store: Contents, tmp_path: Path) -> None:
    text = FullText(store, 1 << 30)
    slow = threading.Event()
    for _ in range(2):
        store.threads.submit(slow.wait)
    for _ in range(MOST_WAITING // PIECE + 4):
        text.add("x" * PIECE)
    slow.set()
    digest, _ = text.finish(folder(tmp_path, "one"))
    found = (tmp_path / "one" / digest).read_text()
    assert found.endswith(f"\n[{2 * PIECE:,} characters are missing here: the disk could not keep up]\n")
    assert not text.whole


def test_what_there_was_before_is_never_too_much_and_its_want_is_told(store: Contents, tmp_path: Path) -> None:
    text = FullText(store, 1 << 30)
    slow = threading.Event()
    for _ in range(2):
        store.threads.submit(slow.wait)
    text.begin(["x" * PIECE] * (MOST_WAITING // PIECE + 4))
    text.add("y")
    slow.set()
    _, size = text.finish(folder(tmp_path, "one"))
    assert (size, text.whole) == (MOST_WAITING + 4 * PIECE + 1, True)
    late = FullText(store, 1 << 30)
    late.begin(["rest"], whole=False)
    digest, _ = late.finish(folder(tmp_path, "one"))
    assert (tmp_path / "one" / digest).read_text() == "[what came before is not kept any more]\nrest"
    assert not late.whole


def test_text_that_nobody_finishes_leaves_nothing(store: Contents) -> None:
    text = FullText(store, 1 << 30)
    text.add("x" * 2 * PIECE)
    text.abandon()
    store.threads.shutdown()
    assert files(store.folder) == []
