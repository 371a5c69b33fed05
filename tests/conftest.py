"""Counts properties of isolation over all tests; on a whole run, one that is mandatory and not shown is a failure."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.security.matrix import absent
from tests.security.report import Count

COUNT = pytest.StashKey[Count]()
PROPERTIES = pytest.StashKey[tuple[str, ...]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COUNT] = Count()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    ids = {str(id_) for mark in item.iter_markers("prop") for id_ in mark.args}
    if ids and (report.when == "call" or not report.passed):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        item.config.stash[COUNT].add(ids, report.outcome, str(reason))
    return report


def _is_whole(config: pytest.Config) -> bool:
    chosen = (config.option.keyword, config.option.markexpr, config.option.lf, config.option.collectonly)
    return not any(chosen) and config.args == config.getini("testpaths")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    count = config.stash[COUNT]
    if count.outcomes:
        terminalreporter.section("properties of isolation")
        for line in (*(f"not tried here: {way}" for way in absent()), *count.lines()):
            terminalreporter.line(line)
        if _is_whole(config) and (missing := count.missing()):
            terminalreporter.line(f"not shown, though they must be: {', '.join(missing)}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _is_whole(session.config) and not session.shouldstop and session.config.stash[COUNT].missing():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
