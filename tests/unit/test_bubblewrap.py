"""A sandbox is what its arguments say: they are read here as a list, name by name. Nothing is built."""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelgw.errors import IsolationUnavailable
from kernelgw.sandbox import bubblewrap
from kernelgw.sandbox.bubblewrap import ETC, arguments, write_etc
from kernelgw.sandbox.policy import HOME, USER_ID, WORKSPACE, Limits, Policy

POLICY = Policy(
    workspace=Path("/data/sessions/a/workspace"),
    environment=Path("/data/environments/default"),
    etc=Path("/data/etc"),
    uid=1_870_003,
    tmp_bytes=11_000_000,
    home_bytes=22_000_000,
    shm_bytes=33_000_000,
    read_only=((Path("/opt/fonts"), "/opt/letters"),),
)
# Of bubblewrap's options, how many values each takes.
TAKES: dict[str, int] = {
    **dict.fromkeys(("--disable-userns", "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"), 0),
    **{f"--unshare-{name}": 0 for name in ("user", "pid", "net", "ipc", "uts", "cgroup")},
    **dict.fromkeys(("--uid", "--gid", "--hostname", "--proc", "--dev", "--perms", "--size", "--tmpfs"), 1),
    **dict.fromkeys(("--remount-ro", "--chdir"), 1),
    **dict.fromkeys(("--ro-bind", "--bind", "--symlink"), 2),
}


def options(words: list[str]) -> Iterator[tuple[str, ...]]:
    """(option, values…); an option that is not known here is a failure, so that a new one is looked at."""
    rest = iter(words)
    for word in rest:
        yield (word, *itertools.islice(rest, TAKES[word]))


@pytest.fixture
def before() -> list[tuple[str, ...]]:
    return list(options(arguments(POLICY).before))


@pytest.mark.parametrize("name", ["user", "pid", "net", "ipc", "uts", "cgroup"])
def test_every_namespace_is_unshared_by_name(before: list[tuple[str, ...]], name: str) -> None:
    assert (f"--unshare-{name}",) in before


@pytest.mark.parametrize("option", ["--disable-userns", "--die-with-parent", "--new-session", "--clearenv"])
def test_what_is_closed_off(before: list[tuple[str, ...]], option: str) -> None:
    assert (option,) in before


def test_inside_it_is_an_ordinary_user_on_a_machine_without_a_name_of_its_own(before: list[tuple[str, ...]]) -> None:
    assert {("--uid", str(USER_ID)), ("--gid", str(USER_ID)), ("--hostname", "sandbox")} <= set(before)
    assert USER_ID != 0


def test_of_the_host_there_is_what_is_declared_and_nothing_else(before: list[tuple[str, ...]]) -> None:
    declared = {"/usr", *(str(path) for path in (POLICY.workspace, POLICY.environment, POLICY.etc))}
    declared |= {"/dev/null", *bubblewrap.SETTINGS, *(str(path) for path, _ in POLICY.read_only)}
    # Where /bin and the like are directories of their own, as before the merge of /usr.
    declared |= {f"/{name}" for name in ("bin", "sbin", "lib", "lib64", "lib32") if not Path("/", name).is_symlink()}
    bound = {values[1] for values in before if values[0].endswith("bind")}
    bound |= {source for _, source, _ in arguments(POLICY).binds}
    assert bound <= declared
    assert "/usr" in bound


def test_only_the_workspace_is_bound_for_writing(before: list[tuple[str, ...]]) -> None:
    assert not [values for values in before if values[0] == "--bind"]
    binds = arguments(POLICY).binds
    assert [bind for bind in binds if bind[0] != "ro"] == [("rw", str(POLICY.workspace), WORKSPACE)]
    assert set(binds) == {
        ("rw", "/data/sessions/a/workspace", WORKSPACE),
        ("ro", "/data/environments/default", "/data/environments/default"),
        ("ro", "/data/etc", "/etc"),
        ("ro", "/opt/fonts", "/opt/letters"),
    }


@pytest.mark.parametrize("name", ["sys", "run", "var", "root", "home", "etc"])
def test_these_of_the_host_are_absent(before: list[tuple[str, ...]], name: str) -> None:
    sources = [values[1] for values in before if values[0] in ("--ro-bind", "--bind")]
    assert not [source for source in sources if source == f"/{name}" or source.startswith(f"/{name}/")]


def test_settings_of_the_kernel_are_covered_in_the_new_proc(before: list[tuple[str, ...]]) -> None:
    for path in ("/proc/sys/kernel", "/proc/sys/fs/mqueue"):
        assert before.index(("--proc", "/proc")) < before.index(("--ro-bind", path, path))


def test_what_proc_tells_of_file_systems_is_hidden(before: list[tuple[str, ...]]) -> None:
    assert ("--tmpfs", "/proc/fs") in before


def test_proc_and_dev_are_new_ones(before: list[tuple[str, ...]]) -> None:
    assert {("--proc", "/proc"), ("--dev", "/dev")} <= set(before)


@pytest.mark.parametrize(
    ("place", "size", "mode"),
    [("/tmp", 11_000_000, "1777"), (HOME, 22_000_000, "700"), ("/dev/shm", 33_000_000, "1777")],
)
def test_what_is_in_memory_has_the_policy_s_size(
    before: list[tuple[str, ...]], place: str, size: int, mode: str
) -> None:
    index = before.index(("--tmpfs", place))
    # Both apply to the next operation only.
    assert set(before[index - 2 : index]) == {("--perms", mode), ("--size", str(size))}


def test_no_memory_is_without_a_size(before: list[tuple[str, ...]]) -> None:
    count = sum(1 for values in before if values[0] == "--tmpfs")
    assert count == sum(1 for values in before if values[0] == "--size") >= 3


def test_what_lies_in_another_mount_comes_after_it(before: list[tuple[str, ...]]) -> None:
    assert before.index(("--dev", "/dev")) < before.index(("--tmpfs", "/dev/shm"))


def test_last_of_all_dev_and_the_root_become_read_only() -> None:
    assert list(options(arguments(POLICY).finish)) == [
        ("--remount-ro", "/dev"),
        ("--remount-ro", "/"),
        ("--chdir", WORKSPACE),
    ]


def test_limits_as_rlimits() -> None:
    limits = Limits(memory_bytes=123, open_files=45, file_bytes=67)
    counted, uncounted = limits.as_rlimits(True), limits.as_rlimits(False)
    assert uncounted == {**counted, "data": 123}
    assert (counted["nofile"], counted["fsize"], counted["core"]) == (45, 67, 1)
    assert all(hasattr(resource, f"RLIMIT_{name.upper()}") for name in uncounted)


def test_a_session_may_have_less_and_not_more() -> None:
    # Temporary files are a part of the memory.
    less = Limits(memory_bytes=1 << 30, cpus=1.5, tmp_bytes=1 << 28)
    assert Limits().but({"memory_bytes": 1 << 30, "cpus": 1.5}) == less
    with pytest.raises(ValueError, match="processes may be 256 at most"):
        Limits().but({"processes": 257})
    with pytest.raises(ValueError, match="cpus"):
        Limits(cpus=1).but({"cpus": 2})


def test_without_the_program_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(IsolationUnavailable) as refused:
        bubblewrap.find()
    assert "install bubblewrap" in refused.value.hint


def test_a_program_that_cannot_build_one_is_refused_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: this one never can' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "find", lambda: str(program))
    with pytest.raises(IsolationUnavailable, match="cannot build a sandbox here: bwrap: this one never can") as refused:
        bubblewrap.probe()
    assert "user namespaces" in refused.value.hint
    program.write_text('#!/bin/sh\nfor word in $*; do echo "$word"; done >"$0.said"\n/usr/bin/env >"$0.env"\n')
    assert bubblewrap.probe() == str(program)
    assert set(bubblewrap.NAMESPACES) <= set((tmp_path / "bwrap.said").read_text().split())
    # Nothing but what the shell adds by itself.
    assert {line.partition("=")[0] for line in (tmp_path / "bwrap.env").read_text().splitlines()} <= {
        "PWD",
        "_",
        "SHLVL",
    }


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host's /etc to copy from."""
    folder = tmp_path / "host-etc"
    folder.mkdir()
    monkeypatch.setattr(
        bubblewrap, "Path", lambda first, *rest: Path(folder if first == "/etc" else first, *rest), raising=True
    )
    return folder


def put(path: Path, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("secret" if not mode & 0o004 else "public")
    path.chmod(mode)


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_its_etc_tells_nothing_of_the_host(etc: Path, tmp_path: Path) -> None:
    for name in ("passwd", "hosts", "resolv.conf", "hostname", "shadow", "group", "environment"):
        put(etc / name)
    write_etc(tmp_path / "etc")
    assert files(tmp_path / "etc") == dict(ETC)
    host = os.uname().nodename
    assert host == "sandbox" or not [text for text in ETC.values() if host in text.split()]


def test_its_user_is_in_its_passwd_and_group() -> None:
    assert ETC["passwd"].startswith(f"user:x:{USER_ID}:{USER_ID}:user:{HOME}:")
    assert f"user:x:{USER_ID}:" in ETC["group"]
    assert "root" not in ETC["passwd"]


def test_certificates_and_fonts_are_shared(etc: Path, tmp_path: Path) -> None:
    shared = ("ssl/certs/ca.crt", "ssl/openssl.cnf", "fonts/fonts.conf", "mime.types", "localtime")
    for name in shared:
        put(etc / name)
    write_etc(tmp_path / "etc")
    assert set(files(tmp_path / "etc")) == {*ETC, *shared}


def test_private_keys_and_what_others_may_not_read_stay_where_they_are(etc: Path, tmp_path: Path) -> None:
    put(etc / "ssl/private/server.key")
    put(etc / "ssl/certs/server.key", 0o640)
    put(etc / "ssl/certs/owner.key", 0o600)
    put(etc / "ssl/closed/inner.crt")
    (etc / "ssl/closed").chmod(0o750)
    (etc / "ssl/certs/link.crt").symlink_to("owner.key")
    (etc / "ssl/certs/dangling.crt").symlink_to("nowhere")
    put(etc / "ssl/certs/ca.crt")
    write_etc(tmp_path / "etc")
    assert set(files(tmp_path / "etc")) == {*ETC, "ssl/certs/ca.crt"}
    assert not (tmp_path / "etc/ssl/certs/link.crt").is_symlink()


@pytest.mark.parametrize("name", ["mime.types", "localtime"])
def test_a_file_that_others_may_not_read_is_not_made_readable(etc: Path, tmp_path: Path, name: str) -> None:
    put(etc / name, 0o600)
    write_etc(tmp_path / "etc")
    assert set(files(tmp_path / "etc")) == set(ETC)


def test_a_folder_that_others_may_not_read_is_not_copied(etc: Path, tmp_path: Path) -> None:
    put(etc / "ssl/openssl.cnf")
    (etc / "ssl").chmod(0o700)
    write_etc(tmp_path / "etc")
    assert set(files(tmp_path / "etc")) == set(ETC)


def test_all_of_it_can_be_read_by_the_session_s_uid_and_be_written_again(etc: Path, tmp_path: Path) -> None:
    put(etc / "ssl/certs/ca.crt")
    before = os.umask(0o077)
    try:
        write_etc(tmp_path / "etc")
        write_etc(tmp_path / "etc")
    finally:
        os.umask(before)
    for path in (tmp_path / "etc", *(tmp_path / "etc").rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o004, path
        assert not mode & 0o022, path
        assert not path.is_dir() or mode & 0o001, path
