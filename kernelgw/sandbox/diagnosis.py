"""Why no sandbox can be built here, in words that name the very option that is missing.

`observe` looks, `explain` is pure. Asked by bubblewrap.probe when something failed, and wherever a system call filter
is in force before ours.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

TRIAL = Path(__file__).with_name("trial.py")
TRIAL_TIMEOUT_S = 10
PROC = Path("/proc")
REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSYS)
DOCKER, PODMAN, KUBERNETES = "Docker", "Podman", "Kubernetes"
PROFILE = "docker/seccomp.json"

# What each engine calls the option; the last is for no engine at all, where systemd may have been told such things.
OPTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "seccomp": {
            DOCKER: f"--security-opt seccomp={PROFILE}",
            PODMAN: f"--security-opt seccomp={PROFILE}",
            KUBERNETES: "securityContext.seccompProfile {type: Localhost, localhostProfile: kernelgw.json}, "
            f"being {PROFILE} on the node",
            "": "no RestrictNamespaces= and no SystemCallFilter= in the service's unit",
        },
        "proc": {
            DOCKER: "--security-opt systempaths=unconfined",
            PODMAN: "--security-opt unmask=ALL",
            KUBERNETES: "securityContext.procMount: Unmasked, with hostUsers: false",
            "": "no ProtectKernelTunables=, ProtectKernelLogs=, ProtectProc=, ProcSubset= or InaccessiblePaths= "
            "below /proc in the service's unit",
        },
        "apparmor": {
            DOCKER: "--security-opt apparmor=unconfined",
            PODMAN: "--security-opt apparmor=unconfined",
            KUBERNETES: "securityContext.appArmorProfile {type: Unconfined}",
            "": "a profile that grants `userns` and `mount`",
        },
        "selinux": {
            DOCKER: "--security-opt label=disable",
            PODMAN: "--security-opt label=disable",
            KUBERNETES: "securityContext.seLinuxOptions {type: container_engine_t}",
            "": "a domain that may make user namespaces and mount",
        },
    }
)


@dataclass(frozen=True, slots=True)
class Facts:
    """`steps`: what trial.py printed. `container`: the engine, "other", or "" on a machine itself. `covered`: paths
    below /proc with something over them. Of sysctls, None where this kernel has none of that name."""

    steps: Mapping[str, int]
    container: str = ""
    filtered: bool = False
    label: str = ""
    covered: tuple[str, ...] = ()
    max_user_namespaces: int | None = None
    unprivileged_userns_clone: int | None = None
    apparmor_restrict_unprivileged_userns: int | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`missing` is one of OPTIONS, or a sysctl's name, or "" when nobody knows; `words` a sentence, `hint` the step."""

    missing: str
    words: str
    hint: str


def explain(facts: Facts) -> Diagnosis | None:
    """None when every step was done."""
    failed = next(((name, code) for name, code in facts.steps.items() if code != 0), None)
    if failed is None:
        return None
    step, code = failed
    return (
        _by_sysctl(facts, step, code) or _by_label(facts, code) or _by_proc(facts, step) or _by_filter(facts, *failed)
    )


def _by_sysctl(facts: Facts, step: str, code: int) -> Diagnosis | None:
    if step == "unshare" and code == errno.ENOSPC:
        if facts.max_user_namespaces == 0:
            return _sysctl("user.max_user_namespaces", "forbids user namespaces", 65536, 0)
        return _sysctl("user.max_user_namespaces", "has been reached, or namespaces lie too deep in each other", 65536)
    if step == "unshare" and code == errno.EPERM and facts.unprivileged_userns_clone == 0:
        return _sysctl("kernel.unprivileged_userns_clone", "keeps user namespaces for root", 1, 0)
    # There the namespace can be made, and nothing be done in it.
    after = step in ("unshare", "map", "namespaces", "mount", "sethostname") and code in (errno.EPERM, errno.EACCES)
    restricted = facts.label.startswith(("unconfined", "unprivileged_userns")) or not facts.label
    if after and restricted and facts.apparmor_restrict_unprivileged_userns:
        return _sysctl("kernel.apparmor_restrict_unprivileged_userns", "takes all rights from user namespaces", 0, 1)
    return None


def _sysctl(name: str, does: str, better: int, now: int | None = None) -> Diagnosis:
    value = "" if now is None else f"={now}"
    return Diagnosis(name, f"The sysctl {name}{value} {does}.", f"On the host: `sysctl -w {name}={better}`.")


def _by_label(facts: Facts, code: int) -> Diagnosis | None:
    """Both systems say EACCES, to what a seccomp filter and the kernel itself answer with EPERM."""
    if code != errno.EACCES or not facts.label:
        return None
    # user:role:type:level, against the one word of AppArmor's.
    kind, name = ("selinux", "SELinux") if facts.label.count(":") >= 2 else ("apparmor", "AppArmor")
    return _option(facts, kind, f"{name} ({facts.label}) refuses it")


def _by_proc(facts: Facts, step: str) -> Diagnosis | None:
    if step != "proc":
        return None
    seen = ", ".join(facts.covered[:3]) or "parts of it"
    words = f"/proc is masked here ({seen}), and the kernel then lets nobody mount a new one"
    return _option(facts, "proc", words)


def _by_filter(facts: Facts, step: str, code: int) -> Diagnosis:
    name = {"map": "writing uid_map", "namespaces": "unshare"}.get(step, step)
    if facts.filtered and code in REFUSED:
        return _option(facts, "seccomp", f"The seccomp profile in force here refuses {name}")
    return Diagnosis(
        "",
        f"The kernel refuses {name} ({errno.errorcode.get(code, code)}).",
        "Allow unprivileged user namespaces, or say `--isolation none` on a machine of your own.",
    )


def _option(facts: Facts, missing: str, words: str) -> Diagnosis:
    options = OPTIONS[missing]
    if not facts.container:
        return Diagnosis(missing, f"{words}.", f"It takes {options['']}.")
    names = [facts.container] if facts.container in options else [name for name in options if name]
    told = "; ".join(f"{name}: {options[name]}" for name in names)
    return Diagnosis(missing, f"{words}.", f"The missing option of {told}. docs/containers.md has all that it takes.")


def observe(proc: Path = PROC) -> Facts:
    """Takes some 50 ms; changes nothing. Raises OSError, ValueError, subprocess.SubprocessError."""
    command = [sys.executable, "-I", "-S", str(TRIAL)]
    result = subprocess.run(command, env={}, capture_output=True, text=True, timeout=TRIAL_TIMEOUT_S, check=True)
    return Facts(
        json.loads(result.stdout),
        container(),
        is_filtered(proc),
        _text(proc / "self/attr/current"),
        covered(_text(proc / "self/mountinfo")),
        _number(proc / "sys/user/max_user_namespaces"),
        _number(proc / "sys/kernel/unprivileged_userns_clone"),
        _number(proc / "sys/kernel/apparmor_restrict_unprivileged_userns"),
    )


def container(environ: Mapping[str, str] | None = None, root: Path = Path("/")) -> str:
    """As facts have it: by the marks that engines leave for this."""
    environ = os.environ if environ is None else environ
    named = environ.get("container", "")
    if "KUBERNETES_SERVICE_HOST" in environ:
        return KUBERNETES
    if named == "podman" or (root / "run/.containerenv").exists():
        return PODMAN
    if (root / ".dockerenv").exists():
        return DOCKER
    return "other" if named else ""


def is_filtered(proc: Path = PROC) -> bool:
    """Whether a seccomp filter is in force on this very process."""
    return "\nSeccomp:\t2\n" in (proc / "self/status").read_text()


def covered(mountinfo: str) -> tuple[str, ...]:
    """Paths below /proc that are mounts of their own."""
    places = (line.split()[4] for line in mountinfo.splitlines())
    return tuple(dict.fromkeys(place for place in places if place.startswith("/proc/")))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip("\0\n")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
