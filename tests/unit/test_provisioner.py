"""What a notebook's kernel may have of the host: its folder or not, its slot, what a kernelspec may say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernelgw.errors import GatewayError
from kernelgw.kernel.plain import CHANNELS, Door
from kernelgw.provisioner import slot as slots
from kernelgw.provisioner.house import Wish
from kernelgw.provisioner.lending import NotLent, kept, private_in
from kernelgw.provisioner.slot import UIDS, claim
from kernelgw.settings import BadSetting

PROJECT = Path("/srv/people/ada/project")


@pytest.mark.parametrize(
    "private", ["/srv/people/ada/project", "/srv/people/ada/project/.local/share", "/srv/people/ada/project/run/x"]
)
def test_a_folder_with_something_private_in_it_is_not_lent(private: str) -> None:
    with pytest.raises(NotLent, match="cannot be a kernel's workspace: /srv/people/ada/project"):
        kept(PROJECT, [Path("/tmp"), Path(private)], [])


def test_private_places_elsewhere_are_no_matter() -> None:
    assert kept(PROJECT, map(Path, ("/srv/people/ada", "/srv/people/ada/project2", "/tmp")), []) == ()


def test_the_root_is_never_lent() -> None:
    with pytest.raises(NotLent):
        kept(Path("/"), [Path("/home/ada")], [])


@pytest.mark.parametrize(
    ("programs", "names"),
    [
        (["/usr", "/srv/people/ada/.venv"], ()),
        (["/srv/people/ada/project/.venv"], (".venv",)),
        # All that is above it, or another could be put in its place.
        (["/srv/people/ada/project/tools/venv/x", "/srv/people/ada/project/.venv"], (".venv", "tools")),
        (["/srv/people/ada/project/a/1", "/srv/people/ada/project/a/2"], ("a",)),
    ],
)
def test_programs_in_it_stay_as_they_are(programs: list[str], names: tuple[str, ...]) -> None:
    assert kept(PROJECT, [], map(Path, programs)) == names


def test_a_folder_that_is_a_program_itself_is_not_lent() -> None:
    with pytest.raises(NotLent, match="programs"):
        kept(PROJECT, [], [PROJECT])


def test_a_link_to_what_is_private_counts_as_that(tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    (folder / "secrets").mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder / "secrets")
    with pytest.raises(NotLent):
        kept(folder, [tmp_path / "link"], [])


# Slots


def test_each_process_has_a_slot_of_its_own(tmp_path: Path) -> None:
    """A lock is of whoever opened the file, so one process can hold several here."""
    first, second = claim(tmp_path), claim(tmp_path)
    assert (first.number, second.number) == (0, 1)
    assert second.first_uid(1000) == first.first_uid(1000) + UIDS == 1001 + UIDS
    (first.folder / "left").write_text("x")
    first.give_back()
    assert not first.folder.exists()
    third = claim(tmp_path)
    assert third.number == 0
    second.give_back()
    third.give_back()


def test_what_a_killed_process_left_is_still_there_for_the_next(tmp_path: Path) -> None:
    first = claim(tmp_path)
    (first.sockets / "old").mkdir()
    (first.folder / "left").write_text("x")
    os.close(first.lock)
    second = claim(tmp_path)
    assert second.folder == first.folder
    assert (second.folder / "left").exists()
    # But its sockets are nobody's.
    assert list(second.sockets.iterdir()) == []
    second.give_back()


def test_a_deep_data_directory_has_its_sockets_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("d" * 60)
    slot = claim(deep)
    longest = slot.sockets / slots.SOCKET
    assert not slot.sockets.is_relative_to(deep)
    assert len(os.fsencode(longest)) < 107
    assert slot.sockets.stat().st_mode & 0o777 == 0o700
    slot.give_back()
    assert not slot.sockets.exists()


def test_there_are_only_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SLOTS", 2)
    taken = [claim(tmp_path), claim(tmp_path)]
    with pytest.raises(GatewayError, match="2 processes have kernels here"):
        claim(tmp_path)
    for each in taken:
        each.give_back()


# What a kernelspec may say


def test_wishes_become_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The gateway's own settings are no reason to have no sandbox.
    monkeypatch.setenv("KERNELGW_ISOLATION", "none")
    monkeypatch.setenv("KERNELGW_PROCESSES", "100")
    slot = claim(tmp_path)
    settings = Wish(limits={"memory_bytes": 1 << 30}).settings(slot)
    assert (settings.isolation, settings.memory_bytes, settings.processes) == ("auto", 1 << 30, 100)
    assert settings.data_dir == slot.folder / "auto-cwd"
    assert settings.workspaces == "directory"
    assert Wish(workspace="empty").settings(slot).workspaces == "auto"
    slot.give_back()


@pytest.mark.parametrize(
    "wish",
    [
        Wish(isolation="gvisor"),
        Wish(isolation=""),
        Wish(workspace="home"),
        Wish(limits={"port": 1}),
        Wish(limits={"memory_bytes": 1}),
        Wish(limits={"cpus": float("nan")}),
    ],
    ids=str,
)
def test_wishes_that_cannot_be(wish: Wish) -> None:
    with pytest.raises(BadSetting):
        wish.settings()


def test_a_door_as_connection_files_describe_it() -> None:
    door = Door(Path("/run/x"), "key", "hmac-sha256")
    assert door.ip == "/run/x/k"
    assert {name.removesuffix("_port") for name in door.ports} == set(CHANNELS)
    assert sorted(door.ports.values()) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("data", "folder"),
    [("data", "data"), ("data", "data/run"), ("project/.data", "project"), ("project/a/b/c/data", "project")],
)
def test_where_a_gateway_s_data_is_nothing_is_lent(tmp_path: Path, data: str, folder: str) -> None:
    (tmp_path / data / "workspaces").mkdir(parents=True)
    (tmp_path / data / "run").mkdir()
    (tmp_path / data / "house").touch()
    (tmp_path / "beside").mkdir()
    with pytest.raises(NotLent):
        kept(tmp_path / folder, private_in(tmp_path / folder), [])
    assert kept(tmp_path / "beside", private_in(tmp_path / "beside"), []) == ()


@pytest.mark.parametrize("folder", ["/etc", "/etc/ssl", "/usr/local/lib", "/var/lib"])
def test_root_lends_nothing_of_the_machine_s_own(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.setattr("kernelgw.provisioner.lending._below", lambda _: iter(()))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(NotLent):
        kept(Path(folder), private_in(Path(folder)), [])
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert kept(Path(folder), private_in(Path(folder)), []) == ()


def test_a_user_who_is_in_no_list_lends_as_others_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
    assert kept(tmp_path, private_in(tmp_path), []) == ()
