"""Small programs of the kind that models write, each through `POST /api/execute` as a front end calls it.

They stand in tests/programs, with what has to become of them in `expected.toml`; what it says stands in the first one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .client import JSON, House
from .gateway import Gateway

pytestmark = pytest.mark.live

PROGRAMS = Path(__file__).parents[1] / "programs"
# From the request to the answer.
MOST_S = 10
FEWEST = {"python": 15, "javascript": 15, "typescript": 4, "bash": 15, "html": 15}
KEYS = frozenset({"success", "output", "error", "name", "mime", "made", "html", "stdin", "language", "reason"})


def expected(language: str) -> dict[str, dict[str, Any]]:
    return tomllib.loads((PROGRAMS / language / "expected.toml").read_text())


def programs(language: str) -> Iterator[Path]:
    return (path for path in sorted((PROGRAMS / language).iterdir()) if path.name != "expected.toml")


ALL = [path for language in FEWEST for path in programs(language)]
every_program = pytest.mark.parametrize("path", ALL, ids=[f"{path.parent.name}-{path.stem}" for path in ALL])


def test_there_are_enough_and_each_has_its_outcome() -> None:
    assert len(ALL) >= 60
    for language, fewest in FEWEST.items():
        names = [path.stem for path in programs(language)]
        assert len(names) >= fewest
        assert sorted(names) == sorted(expected(language))
        assert all(set(wanted) <= KEYS for wanted in expected(language).values())


@pytest.fixture
def caller(shared_gateway: Gateway) -> Iterator[httpx.Client]:
    with shared_gateway.client(timeout=MOST_S) as client:
        yield client


@every_program
@pytest.mark.parametrize("asked", ["named", "auto"])
def test_programs(house: House, caller: httpx.Client, path: Path, asked: str) -> None:
    language = path.parent.name
    wanted = expected(language)[path.stem]
    body: JSON = {"code": path.read_text(), "timeout_s": MOST_S}
    # What a page's script or its style is, is for "auto" to find out.
    body["language"] = language if asked == "named" and path.suffix not in (".css", ".js") else "auto"
    if language == "javascript" and asked == "named":
        body["language"] = language
    if "stdin" in wanted:
        body["stdin"] = wanted["stdin"]
    response = caller.post("/api/execute", json=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    check(answer, wanted, language)


def check(answer: JSON, wanted: dict[str, Any], language: str) -> None:
    success = wanted.get("success", True)
    assert answer["success"] is success, answer
    assert answer["language"] == wanted.get("language", language), answer["reason"]
    assert wanted.get("reason", "") in answer["reason"]
    for text in wanted.get("output", ()):
        assert text in answer["output"], answer["output"][-2000:]
    if success:
        assert answer["error"] is None
    else:
        assert answer["error_details"]["name"] == wanted.get("name", answer["error_details"]["name"])
        for text in wanted.get("error", ()):
            assert text in answer["error"], answer["error"]
    shown = {kind for each in answer["outputs"] for kind in each.get("data", {})}
    assert set(wanted.get("mime", ())) <= shown
    made = {entry["name"] for entry in answer["artifacts"] if entry["base64"] or entry["size"] == 0}
    assert set(wanted.get("made", ())) <= made
    if "html" in wanted:
        assert answer["engine"] == "browser"
        (output,) = answer["outputs"]
        assert output["metadata"]["text/html"]["isolated"]
        assert "postMessage" in output["data"]["text/html"]
        assert all(text in output["data"]["text/html"] for text in wanted["html"])
