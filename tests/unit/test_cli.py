"""The command line refuses in a sentence and with status 2, before anything is started."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelgw import cli, server
from kernelgw.errors import IsolationUnavailable
from kernelgw.operate import address
from kernelgw.settings import PREFIX, Settings, names


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in names():
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not the one of whoever runs this."""
    monkeypatch.setenv("KERNELGW_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Settings that would have been served with; nothing is."""
    found: list[Settings] = []

    def serve(settings: Settings) -> int:
        found.append(settings)
        return 0

    monkeypatch.setattr(server, "serve", serve)
    return found


Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "", "127.0.0.1.example.org"])
def test_beyond_loopback_it_does_not_start_without_a_token(host: str, served: list[Settings], capsys: Captured) -> None:
    assert cli.main(["serve", "--host", host]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"kernelgw: refusing to listen on {host} without a token")
    assert "--token" in said
    assert served == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_loopback_it_makes_a_token_when_none_is_given(host: str, served: list[Settings], tmp_path: Path) -> None:
    """Once for each data directory: whoever comes back after a restart has the old one."""
    for name in ("one", "one", "two"):
        assert cli.main(["serve", "--host", host, "--data-dir", str(tmp_path / name)]) == 0
    one, again, two = (settings.token for settings in served)
    assert one == again != two
    assert min(len(one), len(two)) >= 32
    assert (tmp_path / "one" / "token").stat().st_mode & 0o777 == 0o600


def test_a_gateway_that_keeps_nothing_keeps_no_token(served: list[Settings], tmp_path: Path) -> None:
    for _ in range(2):
        assert cli.main(["serve", "--keep", "memory", "--data-dir", str(tmp_path / "data")]) == 0
    assert served[0].token != served[1].token
    assert not (tmp_path / "data").exists()


def test_beyond_loopback_it_starts_with_a_token(served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["serve", "--host", "0.0.0.0", "--token", "t1"]) == 0
    monkeypatch.setenv("KERNELGW_TOKEN", "t2")
    assert cli.main(["serve", "--host", "0.0.0.0"]) == 0
    assert [settings.token for settings in served] == ["t1", "t2"]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("127.0.0.1:80", False),
        ("127.1", False),
    ],
)
def test_is_loopback(host: str, loopback: bool) -> None:
    assert cli._is_loopback(host) is loopback


def test_a_value_that_cannot_be_is_refused_by_name(served: list[Settings], capsys: Captured) -> None:
    assert cli.main(["serve", "--port", "http"]) == 2
    assert capsys.readouterr().err == "kernelgw: port cannot be 'http'; it is a int\n"
    assert served == []


def test_a_bad_file_is_refused_by_name(served: list[Settings], capsys: Captured, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("prot = 1")
    assert cli.main(["serve", "--config", str(path)]) == 2
    assert capsys.readouterr().err == f"kernelgw: {path}: no option is called prot\n"
    assert served == []


@pytest.mark.parametrize("arguments", [[], ["serve", "--no-such-option"], ["no-such-command"], ["run"]])
def test_a_command_line_that_is_none_is_status_2_too(arguments: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "usage: kernelgw" in capsys.readouterr().err


def test_an_error_of_ours_is_told_with_its_hint(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def serve(_: Settings) -> int:
        raise IsolationUnavailable("No sandbox here.")

    monkeypatch.setattr(server, "serve", serve)
    assert cli.main(["serve"]) == 2
    assert capsys.readouterr().err == f"kernelgw: No sandbox here.\nkernelgw: {IsolationUnavailable.hint}\n"


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(_: Settings) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "serve", serve)
    assert cli.main(["serve"]) == 130


def test_every_option_is_one_of_serve_and_in_its_help(served: list[Settings], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["serve", "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    for option in dataclasses.fields(Settings):
        assert f"--{option.name.replace('_', '-')} {option.name.upper()}" in said


def test_options_reach_the_server(served: list[Settings], tmp_path: Path) -> None:
    assert cli.main(["serve", "--port", "0", "--data-dir", str(tmp_path), "--isolation", "none"]) == 0
    assert (served[0].port, served[0].data_dir, served[0].isolation) == (0, tmp_path, "none")


@pytest.mark.parametrize(
    ("url", "token", "expected"),
    [
        ("http://127.0.0.1:8000/?token=abc", None, ("http://127.0.0.1:8000", "abc")),
        ("http://127.0.0.1:8000/?token=abc", "mine", ("http://127.0.0.1:8000", "mine")),
        ("https://host/below/it/", None, ("https://host/below/it", None)),
    ],
)
def test_an_address_as_serve_prints_it(url: str, token: str | None, expected: tuple[str, str | None]) -> None:
    assert address(url, token) == expected
