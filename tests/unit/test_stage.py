"""Where a path of the host can be reached from inside; the binding itself is for the live tests."""

from __future__ import annotations

import os

import pytest

from kernels.stage import Stage


@pytest.fixture
def stage() -> Stage:
    found = Stage()
    found._aliases.update({"/srv/env": "/mnt/0", "/srv/data": "/mnt/1", "/srv/data 2": "/mnt/2"})
    return found


@pytest.mark.parametrize(
    ("path", "reached"),
    [
        ("/srv/env", "/mnt/0"),
        ("/srv/env/bin/python", "/mnt/0/bin/python"),
        ("/srv/data/sessions/a/workspace", "/mnt/1/sessions/a/workspace"),
        ("/srv/data 2/x", "/mnt/2/x"),
    ],
)
def test_what_is_bound_is_reached_by_its_alias(stage: Stage, path: str, reached: str) -> None:
    assert stage.reach(path) == reached


@pytest.mark.parametrize(
    "path", ["/usr/bin/env", "/home", "/srv/environment", "/srv/env2/bin", "/srv/databases", "/", "", "root/env"]
)
def test_other_paths_are_where_they_are(stage: Stage, path: str) -> None:
    assert stage.reach(path) == path


def test_without_root_nothing_is_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    stage = Stage()
    stage.set(["/srv/env"])
    assert stage.reach("/srv/env/bin") == "/srv/env/bin"
