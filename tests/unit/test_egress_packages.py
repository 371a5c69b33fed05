"""What sessions are told of pip's and npm's set-up here: the real programs are asked, with set-ups of their own."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kernelgw.egress.names import split
from kernelgw.egress.packages import Packages, configured
from kernelgw.egress.rules import BadRule

SetUp = Callable[..., Packages]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SetUp:
    """Asks pip and npm as they are set up by these files and variables alone."""
    for name in [*os.environ]:
        if name.upper().startswith(("PIP_", "NPM_CONFIG_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    # An empty configuration file of one's own does not keep pip from reading the system's; none at all does.
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)

    def ask(pip: str | None = None, npm: str | None = None, *further: str, **variables: str) -> Packages:
        if pip is not None:
            (tmp_path / "pip.conf").write_text(pip)
            monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
        if npm is not None:
            (tmp_path / "npmrc").write_text(npm)
            monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(tmp_path / "npmrc"))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return configured(further)

    return ask


def section(text: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    assert parser.sections() == ["global"]
    return dict(parser["global"])


def trusted(packages: Packages) -> set[str]:
    assert not packages.rules.allow
    assert not packages.rules.everything
    return {str(rule) for rule in packages.rules.trusted}


NPM = "registry=https://npm.example.org/repo/\n"


def test_a_company_s_mirror(asked: SetUp) -> None:
    found = asked(
        "[global]\nindex-url = https://pypi.example.org:8443/simple\nextra-index-url = http://more.test/simple\n"
        "trusted-host = more.test\ncert = /nowhere.pem\ntimeout = 3\n",
        "registry=https://npm.example.org/repo/\n@team:registry=http://127.0.0.1:4873/\n//npm.example.org/:_authToken=s3cret\n",
    )
    assert trusted(found) == {"pypi.example.org:8443", "more.test:80", "npm.example.org:443", "127.0.0.1:4873"}
    assert section(found.pip_conf) == {
        "index-url": "https://pypi.example.org:8443/simple",
        "extra-index-url": "http://more.test/simple",
        "trusted-host": "more.test",
    }
    assert sorted(found.npmrc.splitlines()) == [
        "@team:registry=http://127.0.0.1:4873/",
        "registry=https://npm.example.org/repo/",
    ]
    assert (found.notes, found.whole) == ((), True)
    assert found.rules.permits(split("pypi.example.org:8443"))
    assert not found.rules.permits(split("pypi.example.org:443"))


def test_pip_and_npm_read_what_is_written_for_them(asked: SetUp, tmp_path: Path) -> None:
    found = asked(
        "[global]\nindex-url = https://pypi.example.org/simple\nextra-index-url =\n    https://a.test/simple\n    https://b.test/s\n",
        NPM + "@team:registry=https://team.test/\n",
    )
    (tmp_path / "session.conf").write_text(found.pip_conf)
    (tmp_path / "session.npmrc").write_text(found.npmrc)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "session.conf")}
    command = [sys.executable, "-I", "-m", "pip", "config", "list"]
    listed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=30).stdout
    assert "global.index-url='https://pypi.example.org/simple'\n" in listed
    assert "global.extra-index-url='https://a.test/simple https://b.test/s'\n" in listed
    environment["NPM_CONFIG_GLOBALCONFIG"] = str(tmp_path / "session.npmrc")
    for name, wanted in (("registry", "https://npm.example.org/repo/"), ("@team:registry", "https://team.test/")):
        command = ["npm", "config", "get", name]
        got = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=30).stdout
        assert got.strip() == wanted


@pytest.mark.parametrize(
    ("pip", "variables", "index", "extra"),
    [
        ("", {"PIP_INDEX_URL": "https://e.test/simple"}, "https://e.test/simple", None),
        ("[global]\nindex-url=https://g.test/s\n", {"PIP_INDEX_URL": "https://e.test/s"}, "https://e.test/s", None),
        ("[global]\nindex-url=https://g.test/s\n[install]\nindex-url=https://i.test/s\n", {}, "https://i.test/s", None),
        (
            "[install]\nindex-url=https://i.test/s\nextra-index-url=https://x.test/s\n",
            {"PIP_EXTRA_INDEX_URL": "https://y.test/s https://z.test/s", "PIP_INDEX_URL": "https://e.test/s"},
            "https://e.test/s",
            "https://y.test/s https://z.test/s",
        ),
        (
            "[download]\nindex-url=https://d.test/s\n[global]\nindex-url=https://g.test/s\n",
            {},
            "https://g.test/s",
            None,
        ),
    ],
)
def test_what_takes_precedence_does_so_here(
    asked: SetUp, pip: str, variables: dict[str, str], index: str, extra: str | None
) -> None:
    found = asked(pip, NPM, **variables)
    settings = section(found.pip_conf)
    assert (settings["index-url"], settings.get("extra-index-url")) == (index, extra)
    wanted = {f"{urlsplit(url).hostname}:443" for url in (index, *(extra or "").split())}
    assert trusted(found) == wanted | {"npm.example.org:443"}


def test_without_a_set_up_it_is_what_pip_and_npm_come_with(asked: SetUp) -> None:
    found = asked("", "")
    assert section(found.pip_conf) == {}
    assert found.whole
    assert len(trusted(found)) == 3
    assert all(rule.ports == {443} and not rule.below for rule in found.rules.trusted)
    assert urlsplit(found.npmrc.partition("=")[2]).hostname in {rule.host for rule in found.rules.trusted}


def test_places_on_this_machine_s_disk_are_left_out_and_said(asked: SetUp) -> None:
    usual = asked("", "")
    found = asked("[global]\nextra-index-url = file:///opt/a/simple file:///opt/b/simple\nfind-links = /opt/wheels\n")
    assert trusted(found) == trusted(usual)
    assert section(found.pip_conf) == {}
    assert len(found.notes) == 1
    assert "cannot reach" in found.notes[0]
    assert "/opt" not in found.notes[0] + found.pip_conf


def test_an_index_on_disk_is_not_replaced_by_the_public_one(asked: SetUp) -> None:
    found = asked("[global]\nindex-url = file:///opt/simple\n", NPM)
    assert trusted(found) == {"npm.example.org:443"}
    assert section(found.pip_conf) == {"no-index": "true"}
    found = asked(
        "[global]\nindex-url = file:///opt/simple\nextra-index-url = https://a.test/s https://b.test/s\n", NPM
    )
    assert trusted(found) == {"npm.example.org:443", "a.test:443", "b.test:443"}
    assert section(found.pip_conf) == {"index-url": "https://a.test/s", "extra-index-url": "https://b.test/s"}


def test_no_index_stays_no_index(asked: SetUp) -> None:
    found = asked("[global]\nno-index = yes\nindex-url = https://a.test/s\nfind-links = /opt/wheels\n", NPM)
    assert trusted(found) == {"npm.example.org:443"}
    assert section(found.pip_conf) == {"no-index": "true"}
    assert found.whole


def test_users_and_passwords_stay_here_and_that_is_said(asked: SetUp) -> None:
    found = asked(
        "[global]\nindex-url = https://user:s3cret@pypi.example.org/simple\n",
        "registry=https://u:s3cret@npm.example.org/\n",
    )
    assert "s3cret" not in repr(found)
    assert section(found.pip_conf)["index-url"] == "https://pypi.example.org/simple"
    # npm's later versions do not show such a URL at all.
    assert found.npmrc in ("registry=https://npm.example.org/\n", "")
    assert "the user and password in the URL of pypi.example.org are not given to sessions" in found.notes
    assert [note for note in found.notes if "npm" in note]


@pytest.mark.parametrize(
    "url", ["https://", "https://a b/", "https://[::1/s", "https://a.test:99999/s", "https://127.1/s"]
)
def test_what_is_no_place_at_all_breaks_nothing(asked: SetUp, url: str) -> None:
    found = asked(f"[global]\nindex-url = https://pypi.example.org/s\nextra-index-url = {url}\n", NPM)
    assert {"pypi.example.org:443", "npm.example.org:443"} <= trusted(found)
    assert found.notes
    assert section(found.pip_conf)["index-url"] == "https://pypi.example.org/s"


def test_what_pip_cannot_read_is_said_and_asked_again(asked: SetUp) -> None:
    found = asked("nonsense without a section\n", NPM)
    assert not found.whole
    assert "pip" in " ".join(found.notes)
    assert trusted(found) >= {"npm.example.org:443"}


def test_without_npm_there_is_only_pip(asked: SetUp) -> None:
    found = asked("[global]\nindex-url = https://pypi.example.org/s\n", None, PATH="/nonexistent")
    assert (trusted(found), found.npmrc, found.whole) == ({"pypi.example.org:443"}, "", True)


def test_the_gateway_s_own_settings_are_nobody_s_business(asked: SetUp, tmp_path: Path) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text('#!/bin/sh\nenv | grep -q ^KERNELGW_ && exit 1\necho \'{"registry": "https://npm.example.org/"}\'\n')
    npm.chmod(0o755)
    found = asked("", None, KERNELGW_TOKEN="s3cret", PATH=f"{npm.parent}:{os.environ['PATH']}")
    assert found.npmrc == "registry=https://npm.example.org/\n"


def test_the_operator_s_further_hosts(asked: SetUp) -> None:
    found = asked("[global]\nindex-url = https://pypi.example.org/s\n", NPM, "files.example.org", "*.cdn.test:8443")
    assert trusted(found) == {"pypi.example.org:443", "npm.example.org:443", "files.example.org", "*.cdn.test:8443"}
    with pytest.raises(BadRule):
        asked(None, None, "http://files.example.org")
