"""Whatever user code puts into a message, what goes over the wire is JSON that the gateway can read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from kernels.packing import pack

PLAIN: tuple[Any, ...] = (
    {},
    {"text": "ä\u2028\x00\U0001f600", "n": [1, 2.5, None, True]},
    {"a": {"b": [{"c": []}]}},
    {"text": "x" * 1_000_000},
)
# \udc80 to \udcff stand for bytes of file names that are no UTF-8: the surrogates that really occur.
SURROGATES = ("\ud800", "\udfff", "\udc80", "\udcff", "file\udcff.txt", "a\ud83dz", "\udc80\udc81\ud800ä")


@pytest.mark.parametrize("value", PLAIN, ids=range(len(PLAIN)))
def test_json_goes_as_it_is(value: Any) -> None:
    assert orjson.loads(pack(value)) == value


@pytest.mark.parametrize("text", SURROGATES, ids=ascii)
def test_a_lone_surrogate_becomes_a_question_mark_wherever_it_is(text: str) -> None:
    clean = text.encode(errors="replace").decode()
    assert "?" in clean
    assert orjson.loads(pack(text)) == clean
    assert orjson.loads(pack({"text": text, "other": "ä"})) == {"text": clean, "other": "ä"}
    assert orjson.loads(pack({"data": {text: [{"deep": (text, 1, None)}]}})) == {
        "data": {clean: [{"deep": [clean, 1, None]}]}
    }


def test_what_is_around_a_surrogate_stays() -> None:
    assert orjson.loads(pack({"text": "before\udcffafter \U0001f600"})) == {"text": "before?after \U0001f600"}


def test_dates_go_as_text() -> None:
    assert orjson.loads(pack({"date": datetime(2030, 1, 2, tzinfo=UTC)}))["date"].startswith("2030-01-02T00:00:00")


@pytest.mark.parametrize("text", ["plain", "file\udcff.txt"], ids=ascii)
@pytest.mark.parametrize("number", [float("nan"), float("inf"), 2**70])
@pytest.mark.filterwarnings("ignore:Message serialization failed")
def test_numbers_that_json_does_not_have_do_not_lose_the_message(text: str, number: float) -> None:
    found = orjson.loads(pack({"text": text, "n": number}))
    assert found["text"] == text.encode(errors="replace").decode()


@pytest.mark.parametrize("text", ["plain", "\udcff"], ids=ascii)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        pack({"text": text, "value": object()})
