"""POST /api/execute, as its tests call it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .client import JSON, House, problem

PATH = "/api/execute"
FIELDS = {
    *("success", "output", "error", "error_details", "stderr", "session_id", "session_ended", "execution_id", "status"),
    *("language", "engine", "reason", "outputs", "artifacts", "files", "execution_count", "duration_s", "state_lost"),
}
Execute = Callable[..., JSON]


def executing(house: House) -> Execute:
    """Runs code by it, and checks what every answer has."""

    def execute(code: str, **body: Any) -> JSON:
        response = house.client.post(PATH, json={"code": code, **body})
        assert response.status_code == 200, response.text
        found: JSON = response.json()
        assert found.keys() == FIELDS
        assert isinstance(found["output"], str)
        assert (found["error"] is None) is found["success"]
        return found

    return execute


def sessions(house: House) -> list[JSON]:
    found: list[JSON] = house.client.get("/v1/sessions").json()["sessions"]
    return found


def refused(house: House, status: int, why: str, **body: Any) -> JSON:
    """Refused in the gateway's own form, which has besides what callers of this path look for."""
    response = house.client.post(PATH, json=body)
    error = problem(response, status, why)
    answer = response.json()
    assert answer["success"] is False
    assert answer["output"] == ""
    assert answer["message"] == f"{error['message']} {error['hint']}"
    return error
