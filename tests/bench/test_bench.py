"""The measuring tools themselves: a wrong ruler would go unnoticed. Nothing here is timed."""

import json
from pathlib import Path

import pytest

from tests.bench import report
from tests.bench.model import Record, Scenario, Target, conclude, summarize
from tests.bench.scenarios import ALL
from tests.bench.scenarios.output import KILOBYTES, Seen
from tests.bench.systems.base import WrongResult
from tests.bench.wire.jupyter import Codec
from tests.bench.wire.sse import events


def scenario(better: str, target: Target) -> Scenario:
    assert better in ("lower", "higher")
    return Scenario("x", "X", "ms", "lower" if better == "lower" else "higher", target, lambda lab, record: None)


def line(number: int) -> str:
    return f"{number:07d} {'x' * 991}\n"


def test_percentiles_are_values_that_were_measured() -> None:
    summary = summarize([float(value) for value in range(100, 0, -1)])
    assert (summary.n, summary.p50, summary.p95, summary.p99) == (100, 50.5, 95.0, 99.0)
    assert (summary.lowest, summary.highest) == (1.0, 100.0)


@pytest.mark.parametrize(
    ("better", "ours", "peer", "factor", "met"),
    [
        ("lower", 4.0, 44.0, 8.0, True),
        ("lower", 4.0, 20.0, 8.0, False),
        ("lower", 6.0, 99.0, 8.0, False),
        ("higher", 5.0, 1.0, 4.0, True),
        ("higher", 4.0, 1.0, 3.0, False),
    ],
)
def test_a_target_is_a_limit_and_a_factor(better: str, ours: float, peer: float, factor: float, met: bool) -> None:
    record = Record(samples={"kernelgw": [ours], "kernel_gateway": [peer]})
    assert conclude(scenario(better, Target(5.0, "kernel_gateway", factor)), record).met is met


def test_an_error_of_ours_is_a_missed_target_and_goes_on_to_the_next() -> None:
    def lose() -> None:
        raise WrongResult("a byte is missing")

    record = Record(samples={"kernelgw": [1.0]})
    with record.attempt("kernelgw"):
        lose()
    result = conclude(scenario("lower", Target(5.0)), record)
    assert not result.met
    assert result.errors == {"kernelgw": "WrongResult: a byte is missing"}


def test_a_peer_that_lost_output_gets_no_ratio() -> None:
    record = Record(samples={"kernelgw": [1.0], "jupyter_server": [9.0]}, incomparable={"jupyter_server"})
    assert conclude(scenario("lower", Target(5.0)), record).ratios == {}


def test_events_are_read_from_pieces_cut_anywhere() -> None:
    stream = b': keep-alive\n\nid: 7\nevent: output.stream\ndata: {"text":"a"}\n\nid: 8\ndata: {}\n\n'
    for size in (1, 5, 1000):
        found = list(events(stream[at : at + size] for at in range(0, len(stream), size)))
        assert [(event.id, event.type, event.data) for event in found] == [
            (7, "output.stream", {"text": "a"}),
            (8, "message", {}),
        ]


@pytest.mark.parametrize("v1", [True, False])
def test_messages_survive_their_framing(v1: bool) -> None:
    codec = Codec("session", v1)
    asked, opcode, payload = codec.request("execute_request", {"code": "1"})
    message = codec.decode(opcode, payload)
    assert (message.channel, message.type, message.content) == ("shell", "execute_request", {"code": "1"})
    assert asked.startswith("session_")


def test_a_hole_is_noticed_unless_a_gap_was_told() -> None:
    seen = Seen()
    seen.text(line(0) + line(1)[:10])
    seen.text(line(1)[10:])
    with pytest.raises(WrongResult, match="no gap"):
        seen.text(line(3))

    seen = Seen()
    seen.text(line(0) + line(1)[:10])
    seen.gap()
    seen.text(line(5)[500:] + "".join(line(number) for number in range(KILOBYTES - 3, KILOBYTES)))
    seen.finish()
    assert seen.gaps == 1


def test_output_that_stops_early_is_noticed() -> None:
    seen = Seen()
    seen.text(line(0))
    with pytest.raises(WrongResult, match="no gap"):
        seen.finish()


def test_the_report_keeps_the_words_and_replaces_the_tables(tmp_path: Path) -> None:
    result = conclude(scenario("lower", Target(5.0)), Record(samples={"kernelgw": [1.0], "raw": [3.0]})).as_json()
    result |= {"date": "2026-01-01", "commit": "abc", "load_before": 0.5}
    machine = {"cpu": "a cpu", "cores": 2, "memory_gb": 24, "system": "Linux 6", "python": "3.11"}
    page = tmp_path / "performance.md"
    page.write_text(f"words\n{report.BEGIN}\nold\n{report.END}\nmore words\n")
    whole = report.merge(tmp_path / "performance.json", machine, {}, [result])
    report.write_json(tmp_path / "performance.json", whole)
    report.write_markdown(page, whole, ["x"])
    text = page.read_text()
    assert text.startswith("words\n")
    assert text.endswith("\nmore words\n")
    assert "old" not in text
    assert "3.00 (3.00×)" in text
    assert json.loads((tmp_path / "performance.json").read_text())["results"]["x"]["ratios"] == {"raw": 3.0}


def test_scenarios_have_names_of_their_own() -> None:
    assert len({scenario.name for scenario in ALL}) == len(ALL)
