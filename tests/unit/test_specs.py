"""Which kernelspecs become languages, and why others do not."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from kernelgw.environments import Environment
from kernelgw.kernel.specs import find_specs, languages_of
from kernelgw.languages import Language

GOOD = {"argv": ["python", "-m", "k", "{connection_file}"], "display_name": "K", "language": "klang"}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    prefix = tmp_path / "env"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/python").symlink_to("/usr/bin/env")
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\n")
    return Environment("e", prefix, (), {}, "")


def put(folder: Path, name: str, **changes: Any) -> None:
    where = folder / name
    where.mkdir(parents=True)
    (where / "kernel.json").write_text(json.dumps({**GOOD, **changes}))


def found(environment: Environment, tmp_path: Path) -> dict[str, Language]:
    return {each.name: each for each in find_specs(environment, tmp_path / "data")}


def test_what_a_language_takes_of_it(environment: Environment, tmp_path: Path) -> None:
    put(environment.prefix / "share/jupyter/kernels", "k", env={"A": "1"}, interrupt_mode="message")
    put(tmp_path / "data/kernelspecs", "own", metadata={"kernelgw": {"start_s": 5}})
    specs = found(environment, tmp_path)
    assert list(specs) == ["k", "own"]
    k = specs["k"]
    assert (k.title, k.kernel, k.driver, k.aliases, k.known_as) == ("K", "k", "kernelspec", (), "klang")
    assert k.options["argv"] == ("python", "-m", "k", "{connection_file}")
    assert (k.options["env"], k.options["interrupt_mode"]) == ({"A": "1"}, "message")
    assert "start_s" not in k.options
    assert (specs["own"].options["start_s"], specs["own"].options["interrupt_mode"]) == (5, "signal")
    languages = languages_of(environment, tmp_path / "data")
    assert languages.find("k") == k
    assert {each.name for each in languages} == set(languages.names) >= {"k", "own", "python"}


def test_the_operator_s_hides_the_environment_s(environment: Environment, tmp_path: Path) -> None:
    put(environment.prefix / "share/jupyter/kernels", "k", display_name="theirs")
    put(tmp_path / "data/kernelspecs", "k", display_name="own")
    assert found(environment, tmp_path)["k"].title == "own"


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("a", {"argv": []}, "argv is not a list of texts"),
        ("a", {"argv": ["python", 1]}, "argv is not a list of texts"),
        ("a", {"argv": "python"}, "argv is not a list of texts"),
        ("a", {"env": {"A": 1}}, "env is not an object of texts"),
        ("a", {"interrupt_mode": "shout"}, "neither signal nor message"),
        ("a", {"metadata": []}, "metadata is no object"),
        ("a", {"argv": ["nowhere"]}, "there is no program nowhere"),
        ("a", {"argv": ["/opt/k"]}, "sessions do not see /opt/k"),
        ("a", {"argv": ["/usr/bin/../../opt/k"]}, "sessions do not see"),
        ("a", {"argv": ["/usr/bin/nowhere"]}, "there is no program /usr/bin/nowhere"),
        ("a", {"metadata": {"kernel_provisioner": {"provisioner_name": "p"}}}, "provisioner of its own"),
        ("bash", {}, "its name is Bash's here"),
        ("JS", {}, "its name is JavaScript's here"),
    ],
)
def test_what_cannot_be_used_is_left_out_and_named(
    environment: Environment,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    changes: dict[str, Any],
    why: str,
) -> None:
    put(tmp_path / "data/kernelspecs", name, **changes)
    put(tmp_path / "data/kernelspecs", "good")
    with caplog.at_level(logging.WARNING, "kernelgw.kernel"):
        assert list(found(environment, tmp_path)) == ["good"]
    (record,) = caplog.records
    assert str(tmp_path / "data/kernelspecs" / name / "kernel.json") in record.getMessage()
    assert why in record.getMessage()


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff", "null"])
def test_what_is_no_kernel_json(
    environment: Environment, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    put(tmp_path / "data/kernelspecs", "a")
    (tmp_path / "data/kernelspecs/a/kernel.json").write_bytes(text.encode(errors="surrogateescape"))
    assert found(environment, tmp_path) == {}
    assert "is left out" in caplog.text


def test_python_s_own_and_ours_are_left_out_without_a_word(
    environment: Environment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = environment.prefix / "share/jupyter/kernels"
    put(folder, "python3", argv=["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"])
    put(folder, "kernelgw-bash", argv=["python", "-I", "-m", "kernelgw.kernelspecs", "{connection_file}"])
    assert found(environment, tmp_path) == {}
    assert caplog.text == ""


def test_nobody_s_home_is_looked_into(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HOME", "JUPYTER_PATH", "JUPYTER_DATA_DIR", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    for place in (".local/share/jupyter/kernels", "kernels", "jupyter/kernels"):
        put(tmp_path / "home" / place, "k")
    assert found(environment, tmp_path) == {}
