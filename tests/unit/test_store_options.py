"""Where history is stored, as options say it; and what the gateway's own process has to do with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from kernelgw.cli import main
from kernelgw.settings import BadSetting, Settings
from kernelgw.store.options import has_password, open_store, url_of
from kernelgw.store.wire import Frames, Head, frame


def test_the_default_is_a_file_in_the_data_directory(tmp_path: Path) -> None:
    folder = tmp_path / "with space, 100% and ?"
    url = make_url(url_of(Settings(data_dir=folder)))
    assert url.get_backend_name() == "sqlite"
    assert url.database == str(folder / "store" / "history.sqlite")


def test_postgresql_is_used_by_its_driver() -> None:
    for given in ("postgresql://user@host/db", "postgresql+psycopg://user@host/db"):
        assert url_of(Settings(store=given)) == "postgresql+psycopg://user@host/db"


@pytest.mark.parametrize("store", ["mysql://user:secret@host/db", "postgres", "", "postgresql://", "secret"])
def test_others_are_refused_without_repeating_them(store: str) -> None:
    with pytest.raises(BadSetting) as caught:
        url_of(Settings(store=store))
    assert "secret" not in str(caught.value)


def test_without_a_store(tmp_path: Path) -> None:
    assert open_store(Settings(data_dir=tmp_path, store="none")) is None
    assert open_store(Settings(data_dir=tmp_path, keep="memory")) is None
    assert not [*tmp_path.iterdir()]


def test_a_data_directory_keeps_its_name(tmp_path: Path) -> None:
    for _ in range(2):
        assert open_store(Settings(data_dir=tmp_path)) is not None
    name = (tmp_path / "house").read_text()
    assert len(name) == 32
    with pytest.raises(BadSetting, match="cannot be written"):
        open_store(Settings(data_dir=tmp_path / "not" / "there"))


@pytest.mark.parametrize(
    ("url", "has"),
    [
        ("postgresql://user:secret@host/db", True),
        ("postgresql://user@/db?password=secret", True),
        ("postgresql://user@host/db", False),
        ("postgresql://[", True),
        ("sqlite", False),
        ("none", False),
    ],
)
def test_passwords_are_seen(url: str, has: bool) -> None:
    assert has_password(url) is has


def test_a_password_on_the_command_line_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--store", "postgresql://user:secret@host/db"]) == 2
    said = capsys.readouterr().err
    assert "KERNELGW_STORE" in said
    assert "secret" not in said


def test_the_gateway_itself_knows_nothing_of_databases() -> None:
    code = (
        "import sys, kernelgw.cli, kernelgw.server; print(*({'sqlalchemy', 'alembic', 'sqlite3'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_frames_come_whole_in_whatever_pieces(size: int) -> None:
    sent: list[tuple[Head, bytes]] = [({"n": 1}, b""), ({"n": 2, "text": "☃"}, b"\0" * 100), ({}, b"x" * 5000)]
    data = b"".join(frame(head, payload[:3], payload[3:]) for head, payload in sent)
    frames = Frames()
    found = [each for at in range(0, len(data), size) for each in frames.take(data[at : at + size])]
    assert found == sent
