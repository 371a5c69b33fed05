"""What is written over, and what never is."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from kernelgw.lab.notebooks import Notebooks, folder_at


def notebook(*sources: str) -> dict[str, Any]:
    cells = [{"id": f"c{n}", "cell_type": "code", "source": source, "outputs": []} for n, source in enumerate(sources)]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


@pytest.fixture
def notebooks(tmp_path: Path) -> Notebooks:
    return Notebooks(tmp_path)


def change(path: Path, *sources: str) -> None:
    # As Lab saves it: lists of lines.
    content = notebook(*sources)
    for cell in content["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
    path.write_text(json.dumps(content))


def test_what_nobody_changed_is_kept_up_to_date(notebooks: Notebooks, tmp_path: Path) -> None:
    assert notebooks.place("chat", notebook("1")) == "chat.ipynb"
    assert notebooks.place("chat", notebook("1", "2")) == "chat.ipynb"
    notebooks.renew("chat.ipynb", notebook("1", "2", "3"))
    assert len(json.loads((tmp_path / "chat.ipynb").read_text())["cells"]) == 3
    assert notebooks.chat_of("chat.ipynb") == "chat"
    # Another Lab, later.
    assert Notebooks(tmp_path).place("chat", notebook("4")) == "chat.ipynb"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".kernelgw.json", "chat.ipynb"]


def test_what_is_the_same_is_not_written_again(notebooks: Notebooks, tmp_path: Path) -> None:
    notebooks.place("chat", notebook("1"))
    before = (tmp_path / "chat.ipynb").stat()
    notebooks.renew("chat.ipynb", notebook("1"))
    after = (tmp_path / "chat.ipynb").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_what_somebody_changed_is_never_written(notebooks: Notebooks, tmp_path: Path) -> None:
    notebooks.place("chat", notebook("1"))
    change(tmp_path / "chat.ipynb", "# mine\n1")
    mine = (tmp_path / "chat.ipynb").read_bytes()
    notebooks.renew("chat.ipynb", notebook("1", "2"))
    assert notebooks.place("chat", notebook("1", "2")) == "chat (2).ipynb"
    change(tmp_path / "chat (2).ipynb", "# mine as well")
    assert notebooks.place("chat", notebook("1", "2")) == "chat (3).ipynb"
    assert (tmp_path / "chat.ipynb").read_bytes() == mine
    assert notebooks.chat_of("chat.ipynb") == "chat"


def test_one_that_was_changed_is_taken_when_nothing_is_missing_in_it(notebooks: Notebooks, tmp_path: Path) -> None:
    notebooks.place("chat", notebook("1", "a = 2\nb"))
    change(tmp_path / "chat.ipynb", "# mine", "1", "a = 2\nb\n", "3")
    assert notebooks.place("chat", notebook("1", "a = 2\nb", "3")) == "chat.ipynb"
    assert notebooks.place("chat", notebook("1", "a = 2\nb", "4")) == "chat (2).ipynb"


def test_others_files_are_not_the_chat_s(notebooks: Notebooks, tmp_path: Path) -> None:
    change(tmp_path / "chat.ipynb", "1")
    assert notebooks.place("chat", notebook("1")) == "chat (2).ipynb"
    assert notebooks.chat_of("chat.ipynb") is None
    notebooks.renew("chat.ipynb", notebook("2"))
    assert "".join(json.loads((tmp_path / "chat.ipynb").read_text())["cells"][0]["source"]) == "1"


def test_two_chats_never_share_a_file(notebooks: Notebooks) -> None:
    assert notebooks.place(".chat", notebook("1")) == "_.chat.ipynb"
    assert notebooks.place("_.chat", notebook("1")) == "_.chat (2).ipynb"
    assert notebooks.place(".chat", notebook("1")) == "_.chat.ipynb"


def test_one_that_was_deleted_is_written_again_at_the_next_start(notebooks: Notebooks, tmp_path: Path) -> None:
    notebooks.place("chat", notebook("1"))
    (tmp_path / "chat.ipynb").unlink()
    notebooks.renew("chat.ipynb", notebook("2"))
    assert not (tmp_path / "chat.ipynb").exists()
    assert notebooks.place("chat", notebook("3")) == "chat.ipynb"


def test_a_record_that_cannot_be_read_costs_no_file(notebooks: Notebooks, tmp_path: Path) -> None:
    notebooks.place("chat", notebook("1"))
    (tmp_path / ".kernelgw.json").write_text("{")
    assert notebooks.place("chat", notebook("2")) == "chat (2).ipynb"


def test_chats_are_for_one_user_alone(tmp_path: Path) -> None:
    folder = folder_at(tmp_path / "a" / "b")
    Notebooks(folder).place("chat", notebook("1"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "chat.ipynb").stat().st_mode) == 0o600
