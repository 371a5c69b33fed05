"""The peers' venvs: made on demand under a cache folder, kept until peers.toml or the interpreter changes."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Environment:
    root: Path

    def command(self, name: str) -> str:
        return str(self.root / "bin" / name)

    def environ(self, scratch: Path) -> dict[str, str]:
        """The machine's environment, with this venv first and nothing of the user's Jupyter set-up in it."""
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON", "KERNELGW", "MPL"))}
        return keep | {
            "PATH": f"{self.root / 'bin'}:{keep.get('PATH', '')}",
            "HOME": str(scratch),
            "IPYTHONDIR": str(scratch / "ipython"),
            "JUPYTER_CONFIG_DIR": str(scratch / "config"),
            "JUPYTER_DATA_DIR": str(scratch / "data"),
            "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
            "JUPYTER_PLATFORM_DIRS": "1",
            # Kept with the venv: matplotlib's font list is made once, not in a sample.
            "MPLCONFIGDIR": str(self.root / "matplotlib"),
        }


def cache_folder() -> Path:
    return Path(os.environ.get("KERNELGW_BENCH_CACHE") or Path.home() / ".cache" / "kernelgw-bench")


def environment(peer: str) -> Environment:
    """The peer's venv, made if it is not there as it should be. Raises CalledProcessError when pip fails."""
    data = _declared()
    wanted = [*data["kernel"], *data["peers"][peer]["packages"]]
    root = _root(peer)
    digest = hashlib.sha256(json.dumps([sys.version, str(root), wanted]).encode()).hexdigest()
    stamp = root / "made-from"
    if not stamp.exists() or stamp.read_text() != digest:
        _make(peer, root, wanted)
        stamp.write_text(digest)
    return Environment(root)


def show_versions() -> dict[str, dict[str, str]]:
    """The versions worth telling, by peer and package; of the peers whose venv has been made."""
    peers = _declared()["peers"]
    made = {peer: _root(peer) / "bin" / "python" for peer in peers if (_root(peer) / "made-from").exists()}
    return {peer: versions_in(python, peers[peer]["show"]) for peer, python in made.items()}


def _declared() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("peers.toml").read_text())


def _root(peer: str) -> Path:
    return cache_folder() / peer


def _make(peer: str, root: Path, wanted: list[str]) -> None:
    print(f"installing peer {peer} into the cache: {' '.join(wanted)}", file=sys.stderr, flush=True)
    shutil.rmtree(root, ignore_errors=True)
    venv.create(root, with_pip=True)
    python = str(root / "bin" / "python")
    _pip(peer, [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", *wanted])
    # Fonts are listed here, once, so that no first picture pays for it.
    environ = os.environ | {"MPLCONFIGDIR": str(root / "matplotlib")}
    subprocess.run([python, "-c", "import matplotlib.font_manager"], check=True, env=environ)


def _pip(peer: str, command: list[str]) -> None:
    """Runs pip and shows each package as it comes; all that it said, when it fails."""
    said: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if found := re.match(r"Collecting (\S+)|(Installing) collected", line):
                print(f"  {peer}: {found[1] or 'installing all'}", file=sys.stderr, flush=True)
    if process.returncode:
        sys.stderr.writelines(said[-30:])
        raise subprocess.CalledProcessError(process.returncode, command)


def versions_in(python: Path, packages: list[str]) -> dict[str, str]:
    code = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    command = [str(python), "-I", "-c", code, *packages]
    versions: dict[str, str] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return versions
