"""A Debian of nothing but itself as a container image's base, made once and kept for later runs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

SUITE = "bookworm"


def tarball() -> Path:
    """Its root as a tar file in a cache folder. Takes a minute and a half where there is none yet."""
    mirror = _mirror()
    kept = _cache() / f"{SUITE}-{hashlib.sha256(mirror.encode()).hexdigest()[:12]}.tar"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="kernelgw-base-", dir=kept.parent) as folder:
            root, made = Path(folder, "root"), Path(folder, kept.name)
            # As container images of Debian have it: what is thrown away when it fails need not be on disk at once.
            hasty = root / "etc/dpkg/dpkg.cfg.d/hasty"
            hasty.parent.mkdir(parents=True)
            hasty.write_text("force-unsafe-io\n")
            _run("debootstrap", "--variant=minbase", SUITE, str(root), mirror)
            # Packages are of no further use once they are installed.
            _run("tar", "--create", "--exclude=./var/cache/apt/archives/*.deb", "--file", made, "-C", root, ".")
            made.rename(kept)
    return kept


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "kernelgw-tests")


def _mirror() -> str:
    """Where this machine's own packages of Debian come from, by apt's word."""
    form = "$(ORIGIN) $(RELEASE) $(COMPONENT) $(REPO_URI)"
    lines = _run("apt-get", "indextargets", "--format", form, "Created-By: Packages").splitlines()
    found = [line.split() for line in lines]
    # Security updates and the like have names with something after the suite's.
    mirrors = [parts[-1] for parts in found if parts[-2] == "main" and parts[0] == "Debian" and parts[1].isalpha()]
    assert mirrors, f"apt knows of no mirror of Debian: {lines}"
    return mirrors[0]


def _run(*command: str | Path) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command[0]}: {result.stdout[-2000:]}{result.stderr[-2000:]}"
    return result.stdout
