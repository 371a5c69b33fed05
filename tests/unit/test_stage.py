"""Where a path of the host can be reached from inside; the binding itself is for the live tests."""

from __future__ import annotations

import os

import pytest

from kernels.stage import Stage


@pytest.fixture
def stage() -> Stage:
    found = Stage()
    found._aliases.update({"/root/env": "/mnt/0", "/root/data": "/mnt/1", "/root/data 2": "/mnt/2"})
    return found


@pytest.mark.parametrize(
    ("path", "reached"),
    [
        ("/root/env", "/mnt/0"),
        ("/root/env/bin/python", "/mnt/0/bin/python"),
        ("/root/data/sessions/a/workspace", "/mnt/1/sessions/a/workspace"),
        ("/root/data 2/x", "/mnt/2/x"),
    ],
)
def test_what_is_bound_is_reached_by_its_alias(stage: Stage, path: str, reached: str) -> None:
    assert stage.reach(path) == reached


@pytest.mark.parametrize(
    "path", ["/usr/bin/env", "/root", "/root/environment", "/root/env2/bin", "/root/databases", "/", "", "root/env"]
)
def test_other_paths_are_where_they_are(stage: Stage, path: str) -> None:
    assert stage.reach(path) == path


def test_without_root_nothing_is_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    stage = Stage()
    stage.set(["/root/env"])
    assert stage.reach("/root/env/bin") == "/root/env/bin"
