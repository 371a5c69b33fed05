"""`python -m tests.bench`: runs the scenarios, prints what comes, writes the report.

Exit status: 0; 1 when a result was wrong or a system failed; 2 with --check when a target was missed.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench import machine, report
from tests.bench.lab import Lab, say
from tests.bench.model import Record, Result, Scenario, conclude
from tests.bench.processes import adopt_orphans, end_leftovers
from tests.bench.scenarios import ALL

DOCS = machine.ROOT / "docs"
FAILED, MISSED = 1, 2


def main() -> int:
    options = parse()
    scenarios = chosen(options.only)
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="kgb-", ignore_cleanup_errors=True) as scratch:
        Path(scratch).chmod(0o711)
        lab = Lab(Path(scratch), options.quick, options.peers)
        try:
            results = [run(lab, scenario) for scenario in scenarios]
        finally:
            lab.stop()
            if left := end_leftovers():
                say(f"left running by the systems, and ended now: {', '.join(left)}")
    tables = [result.as_json() | source for result, source in results]
    whole = {"machine": machine.facts(), "versions": machine.versions(options.peers)}
    print(report.overview(tables))
    write(options, whole, tables)
    return status([result for result, _ in results], options.check)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures kernelgw and stock peers.")
    parser.add_argument("--only", metavar="NAME[,NAME]", help=", ".join(scenario.name for scenario in ALL))
    parser.add_argument("--quick", action="store_true", help="few samples, to see that all works; writes no docs")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="kernelgw alone; writes no docs")
    parser.add_argument("--check", action="store_true", help="exit status 2 when a target is missed")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the numbers here too, whatever the options")
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave docs/ as it is")
    return parser.parse_args()


def chosen(only: str | None) -> list[Scenario]:
    names = only.split(",") if only else [scenario.name for scenario in ALL]
    if unknown := set(names) - {scenario.name for scenario in ALL}:
        sys.exit(f"no scenario is called {', '.join(sorted(unknown))}")
    return [scenario for scenario in ALL if scenario.name in names]


def run(lab: Lab, scenario: Scenario) -> tuple[Result, dict[str, Any]]:
    say(f"{scenario.name}: {scenario.title}")
    source = machine.provenance()
    record = Record()
    with record.attempt(scenario.ours):
        scenario.run(lab, record)
    result = conclude(scenario, record)
    for name, summary in {"kernelgw": result.ours, **result.peers}.items():
        if summary is not None:
            say(f"  {name:24} p50 {report.number(summary.p50):>8} {result.unit:8} (n {summary.n})")
    for name, text in {**result.notes, **result.errors}.items():
        say(f"  {name:24} {text}")
    return result, source


def write(options: argparse.Namespace, whole: dict[str, Any], tables: list[dict[str, Any]]) -> None:
    """A scenario measured alone takes its place among the earlier ones; a short, lonely or failed run is no record."""
    if options.json:
        report.write_json(options.json, {**whole, "results": {table["name"]: table for table in tables}})
    failed = any(table["errors"] for table in tables)
    if options.write and options.peers and not options.quick and not failed:
        merged = report.merge(DOCS / "performance.json", whole["machine"], whole["versions"], tables)
        report.write_json(DOCS / "performance.json", merged)
        report.write_markdown(DOCS / "performance.md", merged, [scenario.name for scenario in ALL])


def status(results: list[Result], check: bool) -> int:
    failed = [f"{result.name}: {name}: {text}" for result in results for name, text in result.errors.items()]
    for line in failed:
        say(f"FAILED {line}")
    missed = [result.name for result in results if not result.met]
    if missed:
        say(f"targets missed: {', '.join(missed)}")
    if failed:
        return FAILED
    return MISSED if check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
