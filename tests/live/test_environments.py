"""An environment of one's own, by name."""

from pathlib import Path

import pytest

from kernelgw import environments

from .conftest import MakeGateway

DECLARATION = """
description = "Nothing but a kernel"
packages = ["ipykernel>=7.4", "orjson"]
preload = ["fractions", "no_such_module"]

[variables]
FLAVOUR = "sour"
"""
LOOK = "import os, sys; print(os.environ['FLAVOUR'], 'fractions' in sys.modules, sys.prefix)\nimport numpy"


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.timeout(240)
def test_a_session_chooses_its_environment(tmp_path: Path, make_gateway: MakeGateway) -> None:
    declared = tmp_path / "data" / "environments" / "plain.toml"
    declared.parent.mkdir(parents=True)
    declared.write_text(DECLARATION)
    environments.build("plain", lambda _: None, tmp_path / "data")

    with make_gateway(tmp_path / "data", pool_size=0).client() as http:
        created = http.put("/v1/sessions/own", json={"environment": "plain"})
        assert (created.status_code, created.json()["environment"]) == (201, "plain")
        mine = http.post("/v1/sessions/own/executions", json={"code": LOOK}).json()
        assert mine["error"]["name"] == "ModuleNotFoundError"
        assert mine["outputs"][0]["text"] == f"sour True {declared.with_suffix('')}\n"
        usual = {"code": "import numpy, os; 'FLAVOUR' in os.environ"}
        theirs = http.post("/v1/sessions/usual/executions", json=usual).json()
        assert theirs["outputs"][0]["data"]["text/plain"] == "False"
        for name in ("own", "usual"):
            assert http.delete(f"/v1/sessions/{name}").status_code == 204


def test_one_that_is_not_built_says_how_to_build_it(tmp_path: Path, make_gateway: MakeGateway) -> None:
    declared = tmp_path / "data" / "environments" / "plain.toml"
    declared.parent.mkdir(parents=True)
    declared.write_text(DECLARATION)
    with make_gateway(tmp_path / "data", pool_size=0).client() as http:
        answer = http.put("/v1/sessions/own", json={"environment": "plain"})
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "environment_not_built"
    assert "kernelgw.environments build plain" in answer.json()["error"]["message"]
