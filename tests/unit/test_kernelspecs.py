"""`kernelgw kernelspec`: what it writes for Jupyter's clients, and what it leaves alone."""

from __future__ import annotations

import json
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.provisioning.factory import KernelProvisionerFactory

from kernelgw import cli, kernelspecs

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share/jupyter"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "user"))
    monkeypatch.setenv("KERNELGW_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


def install(*options: str) -> int:
    return cli.main(["kernelspec", "install", *options])


def written(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "kernel.json").read_text())
    return found


def config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = written(folder)["metadata"]["kernel_provisioner"]["config"]
    return found


def test_installed_it_is_found_with_its_provisioner(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install("--prefix", str(prefix)) == 0
    folder = prefix / "share/jupyter/kernels/kernelgw-python"
    assert str(folder) in capsys.readouterr().out
    spec = KernelSpecManager().get_kernel_spec("kernelgw-python")
    assert spec.language == "python"
    assert KernelProvisionerFactory.instance().is_provisioner_available(spec)
    assert spec.argv[0] == sys.executable
    assert config(folder) == {
        "environment": "default",
        "language": "python",
        "workspace": "cwd",
        "isolation": "auto",
        "network": "off",
        "limits": {},
    }


def test_what_it_is_told(prefix: Path) -> None:
    options = ["--workspace", "empty", "--network", "example.org,*.example.net", "--name", "other", "--user"]
    options += ["--limit", "memory_bytes=1073741824", "--limit", "cpus=0.5", "--data-dir", str(prefix / "own")]
    assert install(*options) == 0
    assert config(prefix / "user/kernels/other") == {
        "environment": "default",
        "language": "python",
        "workspace": "empty",
        "isolation": "auto",
        "network": {"allow": ["example.org", "*.example.net"]},
        "limits": {"memory_bytes": 1 << 30, "cpus": 0.5},
        "data_dir": str(prefix / "own"),
    }


def test_no_isolation_is_warned_of(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install("--prefix", str(prefix), "--isolation", "none") == 0
    assert "unprotected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--env", "none-such"], "no environment is called 'none-such'"),
        (["--limit", "memory_bytes"], "--limit is NAME=NUMBER"),
        (["--limit", "memory_bytes=lots"], "--limit is NAME=NUMBER"),
        (["--limit", "memory_bytes=1"], "memory_bytes cannot be 1"),
        (["--limit", "port=80"], "there is none called port"),
        (["--name", "not a name"], "cannot be installed"),
    ],
)
def test_what_cannot_be_is_said_at_once(
    prefix: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install("--prefix", str(prefix), *options) == 2
    assert words in capsys.readouterr().err
    assert not (prefix / "share").exists()


def test_where_there_is_no_jupyter_it_says_what_to_install(
    prefix: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jupyter_client.kernelspec", None)
    assert install("--prefix", str(prefix)) == 2
    assert 'pip install "kernelgw[jupyter]"' in capsys.readouterr().err


def test_list_and_remove_know_only_ours(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install("--prefix", str(prefix), "--limit", "processes=64") == 0
    others = prefix / "share/jupyter/kernels/python3"
    others.mkdir()
    (others / "kernel.json").write_text(json.dumps({"argv": ["x"], "display_name": "x", "language": "python"}))
    capsys.readouterr()
    assert cli.main(["kernelspec", "list"]) == 0
    listed = capsys.readouterr().out
    assert "kernelgw-python" in listed
    assert '"processes": 64' in listed
    assert "python3" not in listed
    assert cli.main(["kernelspec", "remove", "python3"]) == 1
    assert others.is_dir()
    assert cli.main(["kernelspec", "remove", "kernelgw-python"]) == 0
    assert not (prefix / "share/jupyter/kernels/kernelgw-python").exists()


def test_the_entry_point_is_the_one_that_kernelspecs_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["jupyter_client.kernel_provisioners"]
    assert set(points) == {kernelspecs.PROVISIONER}
    (found,) = entry_points(group="jupyter_client.kernel_provisioners", name=kernelspecs.PROVISIONER)
    assert found.load().__name__ == "Provisioner"
