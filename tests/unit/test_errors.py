"""The error tree is as its docstring draws it, and each error tells a caller what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson
import pytest

from kernelgw import errors
from kernelgw.api.problems import problem
from kernelgw.errors import GatewayError


def below(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


ALL = list(below(GatewayError))
every_error = pytest.mark.parametrize("kind", [GatewayError, *ALL])


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+) +(\d+)", errors.__doc__ or "")
    assert drawn == [(kind.__name__, str(kind.status)) for kind in ALL]


def test_all_errors_stand_in_the_one_module() -> None:
    assert {kind.__module__ for kind in ALL} == {"kernelgw.errors"}


def test_codes_are_unique_and_say_the_class() -> None:
    codes = [kind.code for kind in ALL]
    assert len(set(codes)) == len(codes)
    assert GatewayError.code not in codes
    assert codes == [re.sub(r"(?<=.)(?=[A-Z])", "_", kind.__name__).lower() for kind in ALL]


@every_error
def test_each_has_a_fitting_status_and_a_next_step(kind: type[GatewayError]) -> None:
    assert 400 <= kind.status < 600
    assert len(kind.hint) > 10
    assert kind.hint.endswith(".")


@every_error
def test_as_json(kind: type[GatewayError]) -> None:
    assert kind("What happened.", limit=3).as_json() == {
        "error": {"code": kind.code, "message": "What happened.", "hint": kind.hint, "details": {"limit": 3}}
    }


def test_a_hint_of_its_own_replaces_the_class_s_and_an_empty_one_does_not() -> None:
    assert errors.BadRequest("m", "Do this.").as_json()["error"]["hint"] == "Do this."
    assert errors.BadRequest("m", "").as_json()["error"]["hint"] == errors.BadRequest.hint


def test_the_message_is_what_is_printed() -> None:
    assert str(errors.BadRequest("What happened.", "Hint.", a=1)) == "What happened."


@every_error
def test_as_an_answer(kind: type[GatewayError]) -> None:
    error = kind("What happened.")
    answer = problem(error)
    assert answer.status_code == kind.status
    assert answer.headers["content-type"] == "application/json"
    assert orjson.loads(bytes(answer.body)) == error.as_json()
    assert ("www-authenticate" in answer.headers) == (kind.status == 401)
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize(("seconds", "header"), [(5, "5"), (0.2, "1"), (0, "0")])
def test_when_to_come_again_is_a_whole_number_of_seconds(seconds: float, header: str) -> None:
    assert problem(errors.HouseFull("Full.", retry_after_s=seconds)).headers["retry-after"] == header
