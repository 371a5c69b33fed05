"""What holds the repository itself together: version, locks, set-up, container."""

import re
import subprocess
from pathlib import Path

import pytest

import kernelgw

ROOT = Path(__file__).parents[2]
LOCKS = sorted(
    [
        *ROOT.glob("requirements/*.txt"),
        *ROOT.glob("kernels/environments/*.txt"),
        *ROOT.glob("tests/live/environments/*.txt"),
    ]
)
LOCK_LINE = re.compile(r"#.*| +# .*| +--hash=sha256:[0-9a-f]{64}( \\)?|[a-z0-9.-]+==[\w.!+]+( ; .+)? \\|")


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", lock.read_text(), re.MULTILINE))


def test_version_is_the_head_of_the_changelog() -> None:
    head = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert head
    assert head[1] == kernelgw.__version__


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_locks_have_hashes_and_name_no_place(lock: Path) -> None:
    text = lock.read_text()
    assert [line for line in text.splitlines() if not LOCK_LINE.fullmatch(line)] == []
    assert len(re.findall(r"==.*\n +--hash", text)) == len(pins(lock)) > 0
    assert not re.search(r"://|(^|\s|=)/\w|\bfile:|--(extra-)?index-url|--find-links", text)


def test_the_two_locks_of_the_gateway_agree() -> None:
    gateway, dev = (pins(ROOT / "requirements" / name) for name in ("gateway.txt", "dev.txt"))
    assert gateway.items() <= dev.items()


def test_set_up_is_sound_bash() -> None:
    for script in (ROOT / "scripts" / "setup.sh", ROOT / ".ci" / "run"):
        subprocess.run(["bash", "-n", script], check=True)
        assert script.stat().st_mode & 0o111


def test_every_documented_make_target_exists() -> None:
    documented = set(re.findall(r"`make (\w+)", (ROOT / "CONTRIBUTING.md").read_text()))
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert documented <= targets
    assert {"setup", "serve", "test", "check", "bench", "clean"} <= targets


def test_the_container_is_built_in_stages_and_runs_as_a_user() -> None:
    text = (ROOT / "Dockerfile").read_text()
    base, builder, final = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    assert re.search(r"^ARG BASE=debian:bookworm", text, re.MULTILINE)
    # The interpreter of one and the same stage, or the venv leads nowhere.
    assert [part.splitlines()[0] for part in (base, builder, final)] == ["${BASE} AS base", "base AS builder", "base"]
    user = re.findall(r"^USER (\S+)", final, re.MULTILINE)
    assert user
    assert user[-1] not in ("root", "0")
    # Both the venv and the environment in it would break when moved.
    source, target = re.findall(r"^COPY --from=builder (\S+) (\S+)", final, re.MULTILINE)[0]
    assert source == target
    assert f"-m venv {source}" in builder
    assert "bubblewrap" in base
    assert final.rindex("ENTRYPOINT") > final.index("HEALTHCHECK")
