"""The image, built once; a container of it as it is meant to run. Nothing of either is left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import proc

from . import base, compose, machine
from .podman import BUILD_TIMEOUT_S, Podman, limits

IMAGE = "localhost/kernelgw"
TOKEN = "container-test-token"
NEEDED = ("podman", "runc", "debootstrap")


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    if os.geteuid() != 0:
        pytest.skip("containers are built and run as root here: debootstrap and podman with runc take it")
    missing = [name for name in NEEDED if shutil.which(name) is None]
    assert not missing, f"scripts/setup.sh test installs what is missing: {', '.join(missing)}"
    # Not pytest's own folder, whose long name leaves no room for the paths of sockets.
    podman = Podman(Path(tempfile.mkdtemp(prefix="kgw-", dir="/var/tmp")))
    try:
        yield podman
    finally:
        podman.remove_everything()


@pytest.fixture(scope="session")
def image(podman: Podman) -> str:
    """Built from the Dockerfile as it is, on a Debian made here, with the environment that is built soonest."""
    podman.run("import", str(base.tarball()), "localhost/debian", timeout=BUILD_TIMEOUT_S)
    settings = podman.folder / "machine"
    settings.mkdir()
    podman.run(
        "build",
        *("--isolation=chroot", "--network=host", "--layers=false", "--format=docker", "--pull-never"),
        *("--build-arg=BASE=localhost/debian", "--build-arg=ENVIRONMENT=plain", f"--tag={IMAGE}"),
        *machine.volumes(settings),
        str(compose.ROOT),
        timeout=BUILD_TIMEOUT_S,
    )
    return IMAGE


@pytest.fixture(scope="session")
def options() -> list[str]:
    """Those of the compose file. No network: a gateway that can be asked from within needs none."""
    # Asked for one limit, podman raises the other to what it likes.
    processes = limits()["nproc"]
    ours = ["--network=none", f"--env=KERNELGW_TOKEN={TOKEN}", f"--ulimit=nproc={processes}:{processes}"]
    return [*ours, *compose.options(compose.service())]


@pytest.fixture(scope="session")
def container(podman: Podman, image: str, options: list[str]) -> str:
    """The name of one that has become healthy."""
    podman.run("run", "--detach", "--name=shipped", *options, image)
    status = "nothing"

    def healthy() -> bool:
        nonlocal status
        assert podman.inspect("shipped")["State"]["Running"], podman.try_("logs", "shipped")[1]
        code, status = podman.try_("healthcheck", "run", "shipped")
        return code == 0

    proc.wait_until(healthy, 60, lambda: status)
    return "shipped"
