"""Outputs of an execution are what a notebook would show, kept within the limit by a rule that is told."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import nbformat
import pytest

from kernelgw.events.outputs import Item, Outputs, update
from kernelgw.events.translate import Happening, translate


def happening(msg_type: str, **content: Any) -> Happening:
    found = translate(msg_type, content)
    assert found is not None
    return found


def text(value: str, name: str = "stdout") -> Happening:
    return happening("stream", name=name, text=value)


def display(value: str, display_id: str | None = None) -> Happening:
    return happening("display_data", data={"text/plain": value}, transient={"display_id": display_id})


def result(value: str, count: int | None) -> Happening:
    return happening("execute_result", data={"text/plain": value}, metadata={}, execution_count=count)


def fault(value: str = "no") -> Happening:
    return happening("error", ename="ValueError", evalue=value, traceback=["Traceback", value])


def clear(wait: bool) -> Happening:
    return happening("clear_output", wait=wait)


def outputs(happenings: Sequence[Happening], limit: int = 1 << 20, first: int = 1) -> Outputs:
    found = Outputs(limit)
    for seq, item in enumerate(happenings, first):
        found.apply(seq, item)
    return found


def shown(found: Outputs) -> list[str]:
    """In a form that reads well in a test: `out:…`, `err:…`, the plain text of a display, `!value`."""
    lines = []
    for output in found.as_json():
        kind = output["output_type"]
        if kind == "stream":
            lines.append(f"{output['name'][3:]}:{output['text']}")
        else:
            lines.append(f"!{output['evalue']}" if kind == "error" else output["data"]["text/plain"])
    return lines


def valid(found: Outputs) -> None:
    plain = [{key: value for key, value in output.items() if key != "seq"} for output in found.as_json()]
    cell = {"cell_type": "code", "id": "c", "metadata": {}, "source": "", "execution_count": 1, "outputs": plain}
    nbformat.validate({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]})


def test_consecutive_pieces_of_a_stream_are_one_output_with_the_seq_of_the_first() -> None:
    assert outputs([text("a"), text("b\n"), text("c")], first=17).as_json() == [
        {"seq": 17, "output_type": "stream", "name": "stdout", "text": "ab\nc"}
    ]


def test_order_is_kept_between_streams_displays_results_and_errors() -> None:
    happenings = [text("a"), text("b", "stderr"), text("c"), display("d"), text("e"), result("f", 1), fault("g")]
    found = outputs(happenings)
    assert shown(found) == ["out:a", "err:b", "out:c", "d", "out:e", "f", "!g"]
    assert [output["seq"] for output in found.as_json()] == [1, 2, 3, 4, 5, 6, 7]


def test_an_error_s_name_value_and_traceback() -> None:
    assert outputs([fault("no")]).as_json() == [
        {"seq": 1, "output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": ["Traceback", "no"]}
    ]


def test_a_result_has_its_execution_count_and_a_display_has_none() -> None:
    one, two = outputs([result("1", 5), display("2")]).as_json()
    assert (one["output_type"], one["execution_count"]) == ("execute_result", 5)
    assert two == {"seq": 2, "output_type": "display_data", "data": {"text/plain": "2"}, "metadata": {}}


def test_what_is_no_output_leaves_no_trace() -> None:
    for msg_type in ("input_request", "comm_msg", "update_display_data"):
        assert shown(outputs([text("a"), happening(msg_type), text("b")])) == ["out:ab"]


def test_clear_at_once() -> None:
    assert shown(outputs([text("a"), display("b"), clear(wait=False)])) == []
    assert shown(outputs([text("a"), clear(wait=False), text("b")])) == ["out:b"]


def test_clear_with_wait_keeps_the_old_until_something_new_comes() -> None:
    assert shown(outputs([text("a"), clear(wait=True)])) == ["out:a"]
    assert shown(outputs([text("a"), clear(wait=True), clear(wait=True)])) == ["out:a"]
    for new, line in ((text("b"), "out:b"), (display("b"), "b"), (result("b", 1), "b"), (fault("b"), "!b")):
        assert shown(outputs([text("a"), clear(wait=True), new])) == [line]


def test_clear_with_wait_clears_once() -> None:
    assert shown(outputs([text("a"), clear(wait=True), text("b"), text("c")])) == ["out:bc"]


def test_a_clear_at_once_undoes_one_that_waits() -> None:
    assert shown(outputs([text("a"), clear(wait=True), clear(wait=False), text("b"), text("c")])) == ["out:bc"]


def test_what_is_no_output_does_not_end_the_wait() -> None:
    assert shown(outputs([text("a"), clear(wait=True), happening("input_request", prompt="?")])) == ["out:a"]


def test_an_update_replaces_what_is_shown_in_its_place() -> None:
    found = Outputs(1000)
    found.apply(1, text("before"))
    item = found.apply(2, display("old", "d"))
    found.apply(3, text("after"))
    assert isinstance(item, Item)
    data = {"text/html": "<b>new</b>"}
    update(item, happening("update_display_data", data=data, metadata={"m": 1}, transient={"display_id": "d"}))
    assert found.as_json()[1] == {"seq": 2, "output_type": "display_data", "data": data, "metadata": {"m": 1}}


def test_a_result_that_is_updated_stays_a_result() -> None:
    found = Outputs(1000)
    item = found.apply(1, result("old", 4))
    assert item is not None
    update(item, happening("update_display_data", data={"text/plain": "new"}))
    assert [(one["output_type"], one["execution_count"]) for one in found.as_json()] == [("execute_result", 4)]
    assert shown(found) == ["new"]


def test_an_update_does_not_change_the_event_that_was_told() -> None:
    told = display("old", "d")
    found = Outputs(1000)
    item = found.apply(1, told)
    assert item is not None
    update(item, happening("update_display_data", data={"text/plain": "new"}))
    assert told.data["data"] == {"text/plain": "old"}


MARKER = re.compile(r"\n\[([\d,]+) bytes of output left out here: the limit is ([\d,]+)\]\n")


def marked(found: Outputs) -> tuple[int, int]:
    markers = [output["text"] for output in found.as_json() if MARKER.search(output.get("text", ""))]
    assert len(markers) == 1
    match = MARKER.search(markers[0])
    assert match
    left_out, limit = (int(group.replace(",", "")) for group in match.groups())
    return left_out, limit


def test_within_the_limit_nothing_is_left_out() -> None:
    found = outputs([text("x" * 10) for _ in range(100)], limit=1000)
    assert shown(found) == ["out:" + "x" * 1000]


def test_beyond_the_limit_the_beginning_and_the_newest_stay() -> None:
    found = outputs([text(f"{number:09}\n") for number in range(1000)], limit=2000)
    head, marker, tail = found.as_json()
    assert head["text"] == "".join(f"{number:09}\n" for number in range(50))
    assert tail["text"] == "".join(f"{number:09}\n" for number in range(850, 1000))
    assert marker["name"] == "stderr"
    assert marked(found) == (8000, 2000)
    assert head["seq"] < marker["seq"] < tail["seq"]


def test_of_one_long_text_beginning_and_end_stay() -> None:
    whole = "".join(f"{number:09}\n" for number in range(1000))
    for pieces in ([whole], [whole[:7000], whole[7000:]], ["first\n", whole], [whole, "last\n"]):
        found = outputs([text(piece) for piece in pieces], limit=2000)
        head, marker, tail = (output["text"] for output in found.as_json())
        assert len(head) == 500
        assert 1400 < len(tail) <= 1500
        assert "".join(pieces).startswith(head)
        assert "".join(pieces).endswith(tail)
        assert MARKER.fullmatch(marker)
        assert marked(found)[0] == len("".join(pieces)) - len(head) - len(tail)


def test_all_text_goes_elsewhere_from_the_beginning_once_it_is_too_much() -> None:
    taken: list[str] = []
    found = Outputs(1000)

    def spill(before: list[str]) -> Callable[[str], None]:
        taken.extend(before)
        return taken.append

    found.spill = spill
    for number in range(10):
        found.apply(number, text("x" * 50))
        found.apply(number, display("d" * 30))
    assert taken == []
    for number in range(20):
        found.apply(number, text(f"{number:050}"))
    assert "".join(taken) == "x" * 500 + "".join(f"{number:050}" for number in range(20))
    found.whole_text = "the whole text is elsewhere"
    assert any("the limit is 1,000; the whole text is elsewhere]" in line for line in shown(found))
    found.seal()
    found.apply(99, text("late"))
    assert "late" not in taken


def test_displays_that_are_left_out_are_no_text() -> None:
    found = Outputs(1000)
    found.spill = lambda _: pytest.fail("no text was left out")
    for number in range(100):
        found.apply(number, display("d" * 30))
    assert marked(found)


def test_the_marker_counts_displays_and_errors_too() -> None:
    happenings = [text("h" * 20)]
    for _ in range(50):
        happenings += [text("s" * 10), display("d" * 10), fault("f" * 10), text("e" * 10, "stderr")]
    found = outputs(happenings, limit=100)
    kept = sum(len(one.get("text", "")) for one in found.as_json() if one["output_type"] == "stream")
    kept -= sum(len(match[0]) for one in found.as_json() for match in MARKER.finditer(one.get("text", "")))
    kept += sum(len("text/plain") + len(one["data"]["text/plain"]) for one in found.as_json() if "data" in one)
    faults = [one for one in found.as_json() if one["output_type"] == "error"]
    kept += sum(len("ValueError") + len("Traceback") + 2 * len(one["evalue"]) for one in faults)
    assert kept <= 100
    assert marked(found) == (sum(one.size for one in happenings) - kept, 100)


def test_the_newest_output_stays_however_large_and_gives_way_to_the_next() -> None:
    found = outputs([text("a"), display("x" * 5000)], limit=1000)
    assert shown(found) == ["out:a", "x" * 5000]
    found.apply(3, text("b"))
    assert shown(found)[0] == "out:a"
    assert shown(found)[-1] == "out:b"
    assert marked(found) == (5000 + len("text/plain"), 1000)


def test_a_clear_frees_the_room_and_takes_the_marker_away() -> None:
    found = outputs([text("x" * 100) for _ in range(100)], limit=1000)
    found.apply(101, clear(wait=False))
    found.apply(102, text("y" * 900))
    assert shown(found) == ["out:" + "y" * 900]


def test_an_update_counts_against_the_limit() -> None:
    found = Outputs(1000)
    for seq in range(1, 21):
        item = found.apply(seq, display("small", str(seq)))
        assert item is not None
        update(item, display("x" * 500, str(seq)))
    found.apply(21, text("end"))
    assert sum(map(len, shown(found))) < 2000


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_it_is_a_valid_notebook_in_order_and_within_the_limit(seed: int) -> None:
    random_ = random.Random(seed)
    found, seq = Outputs(500), 0
    for _ in range(200):
        seq += random_.randint(1, 3)
        size = random_.choice((0, 1, 10, 80))
        word = chr(random_.randint(97, 122)) * size
        found.apply(
            seq,
            random_.choice(
                (text(word), text(word, "stderr"), display(word), result(word, 3), fault(word))
                if random_.random() > 0.02
                else (clear(wait=True), clear(wait=False))
            ),
        )
        seqs = [output["seq"] for output in found.as_json()]
        # Twice only where one piece of text stands on both sides of what was left out.
        assert seqs == sorted(seqs)
        assert len(seqs) - len(set(seqs)) <= 2
        assert sum(len(MARKER.sub("", line)) for line in shown(found)) <= 500 + 4 * len(seqs)
    valid(found)


@pytest.mark.prop("OU03")
@pytest.mark.parametrize("one", [text("x"), text(""), display(""), happening("display_data", data={})])
def test_very_many_very_small_ones_are_too_many(one: Happening) -> None:
    limit = 800_000
    found = outputs([one] * 10_000, limit=limit)
    assert found.cost <= limit + found.size
    assert limit / 2 < found.cost
    # Both ends are still there, and where the rest was.
    assert found.as_json()[0]["seq"] == 1
    assert marked(found)[0] == one.size * 8000


def test_each_kind_of_output_is_valid_in_a_notebook() -> None:
    valid(outputs([text("a"), text("b", "stderr"), display("c"), result("d", 2), result("e", None), fault()]))
    valid(outputs([happening("display_data"), happening("execute_result"), happening("error"), happening("stream")]))
    valid(outputs([text("x" * 100) for _ in range(100)], limit=1000))
