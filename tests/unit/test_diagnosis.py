"""Facts in, words out: why no sandbox can be built, and the very option that is missing. tests/security has the same
for real, as far as one machine can be all of these."""

from __future__ import annotations

import errno
import re
from dataclasses import replace
from pathlib import Path

import pytest

from kernelgw.sandbox import diagnosis, trial
from kernelgw.sandbox.diagnosis import DOCKER, KUBERNETES, OPTIONS, PODMAN, Facts, explain

NAMES = [name for name, _ in trial.steps()]
ENGINES = (DOCKER, PODMAN, KUBERNETES)
MOUNTINFO = """\
67 44 254:0 / / ro,relatime - ext4 /dev/vda rw
69 67 0:42 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
48 69 0:42 /sys /proc/sys ro,nosuid,nodev,noexec,relatime - proc proc rw
50 69 0:43 /null /proc/keys rw,nosuid,noexec - tmpfs tmpfs rw
51 69 0:43 /null /proc/keys rw,nosuid,noexec - tmpfs tmpfs rw
52 67 0:44 / /processes rw - tmpfs tmpfs rw
"""


def failed(step: str, code: int, **facts: object) -> Facts:
    """Everything before that step was done."""
    steps = {**dict.fromkeys(NAMES[: NAMES.index(step)], 0), step: code}
    return replace(Facts(steps, filtered=True), **facts)  # type: ignore[arg-type]


def test_where_everything_was_done_nothing_is_missing() -> None:
    assert explain(Facts(dict.fromkeys(NAMES, 0), DOCKER, True, "docker-default", ("/proc/sys",), 0, 0, 1)) is None


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS])
@pytest.mark.parametrize("step", [name for name in NAMES if name != "proc"])
def test_a_filter_that_refuses_a_step_is_named_with_its_call(step: str, code: int) -> None:
    found = explain(failed(step, code, container=DOCKER))
    assert found is not None
    assert found.missing == "seccomp"
    assert {"map": "uid_map", "namespaces": "unshare"}.get(step, step) in found.words
    assert "--security-opt seccomp=docker/seccomp.json" in found.hint


FOUND = {
    "seccomp": failed("unshare", errno.EPERM),
    "proc": failed("proc", errno.EPERM, covered=("/proc/sys", "/proc/keys")),
    "apparmor": failed("mount", errno.EACCES, label="docker-default (enforce)"),
    "selinux": failed("mount", errno.EACCES, label="system_u:system_r:container_t:s0:c1,c2"),
}


@pytest.mark.parametrize("missing", OPTIONS)
@pytest.mark.parametrize("engine", ENGINES)
def test_each_engine_s_own_option_is_named_and_no_other(missing: str, engine: str) -> None:
    found = explain(replace(FOUND[missing], container=engine))
    assert found is not None
    assert found.missing == missing
    assert OPTIONS[missing][engine] in found.hint
    assert not [other for other in ENGINES if other != engine and f"{other}:" in found.hint]
    assert "docs/containers.md" in found.hint


@pytest.mark.parametrize("missing", OPTIONS)
def test_in_a_container_of_somebody_else_all_three_are_named(missing: str) -> None:
    found = explain(replace(FOUND[missing], container="other"))
    assert found is not None
    assert all(f"{engine}: {OPTIONS[missing][engine]}" in found.hint for engine in ENGINES)


@pytest.mark.parametrize(
    ("missing", "words"),
    [("seccomp", "RestrictNamespaces="), ("proc", "ProtectKernelTunables="), ("apparmor", "userns")],
)
def test_outside_of_containers_it_is_the_service_that_forbids(missing: str, words: str) -> None:
    found = explain(FOUND[missing])
    assert found is not None
    assert words in found.hint
    assert not re.search("Docker|Podman|Kubernetes", found.hint)


@pytest.mark.parametrize("missing", OPTIONS)
@pytest.mark.parametrize("engine", [DOCKER, PODMAN])
def test_the_page_for_operators_has_the_option(missing: str, engine: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "containers.md").read_text()
    flag, option = OPTIONS[missing][engine].split()
    assert f"{flag} {option}" in page
    assert f"`{option}`" in page


def test_what_covers_proc_is_said() -> None:
    found = explain(replace(FOUND["proc"], container=PODMAN))
    assert found is not None
    assert "/proc/sys, /proc/keys" in found.words


@pytest.mark.parametrize(
    ("facts", "command"),
    [
        (failed("unshare", errno.ENOSPC, max_user_namespaces=0), "user.max_user_namespaces=65536"),
        (failed("unshare", errno.ENOSPC, max_user_namespaces=7), "user.max_user_namespaces=65536"),
        (failed("unshare", errno.EPERM, unprivileged_userns_clone=0), "kernel.unprivileged_userns_clone=1"),
        (
            failed("map", errno.EPERM, apparmor_restrict_unprivileged_userns=1, label="unprivileged_userns (enforce)"),
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            failed("mount", errno.EACCES, apparmor_restrict_unprivileged_userns=1, label="unconfined"),
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ],
)
@pytest.mark.parametrize("engine", ["", *ENGINES])
def test_what_only_the_host_can_change_is_named_whatever_the_engine(facts: Facts, command: str, engine: str) -> None:
    found = explain(replace(facts, container=engine))
    assert found is not None
    assert found.hint == f"On the host: `sysctl -w {command}`."
    assert found.missing == command.partition("=")[0]
    assert found.missing in found.words


def test_a_profile_of_the_container_s_own_comes_before_the_host_s_rule_for_those_without() -> None:
    found = explain(replace(FOUND["apparmor"], container=DOCKER, apparmor_restrict_unprivileged_userns=1))
    assert found is not None
    assert found.missing == "apparmor"


def test_a_sysctl_that_allows_is_not_blamed() -> None:
    found = explain(
        failed("unshare", errno.EPERM, container=DOCKER, max_user_namespaces=100, unprivileged_userns_clone=1)
    )
    assert found is not None
    assert found.missing == "seccomp"


def test_what_nobody_can_explain_is_told_as_it_is() -> None:
    found = explain(failed("mount", errno.EPERM, filtered=False))
    assert found is not None
    assert found.missing == ""
    assert "mount (EPERM)" in found.words
    assert "user namespaces" in found.hint


def test_mounts_below_proc_are_found_each_once() -> None:
    assert diagnosis.covered(MOUNTINFO) == ("/proc/sys", "/proc/keys")


@pytest.mark.parametrize(
    ("environ", "mark", "engine"),
    [
        ({}, "", ""),
        ({"container": "podman"}, "", PODMAN),
        ({}, "run/.containerenv", PODMAN),
        ({}, ".dockerenv", DOCKER),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, ".dockerenv", KUBERNETES),
        ({"container": "lxc"}, "", "other"),
    ],
)
def test_engines_are_known_by_their_marks(environ: dict[str, str], mark: str, engine: str, tmp_path: Path) -> None:
    if mark:
        (tmp_path / mark).parent.mkdir(exist_ok=True)
        (tmp_path / mark).touch()
    assert diagnosis.container(environ, tmp_path) == engine


def test_it_is_known_whether_a_filter_is_in_force(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    for mode, filtered in (("0", False), ("2", True)):
        (tmp_path / "self/status").write_text(f"NoNewPrivs:\t1\nSeccomp:\t{mode}\nSeccomp_filters:\t{mode}\n")
        assert diagnosis.is_filtered(tmp_path) == filtered
