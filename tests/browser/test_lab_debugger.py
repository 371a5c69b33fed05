"""Lab's debugger at a chat's kernel: a breakpoint in a cell, what stands there, and on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.live.client import Session
from tests.live.gateway import Gateway
from tests.live.lab import Lab

from .labpage import LabPage

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]
CELL = "seen = prices['tea']\nseen += 1\nprint('reached', seen)"


def test_a_breakpoint_is_hit_and_left(
    session: Session, gateway: Gateway, new_context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    session.run("prices = {'tea': 3}")
    with Lab(tmp_path / "lab", gateway.url, (session.id,)) as lab:
        tab = new_context(viewport={"width": 1300, "height": 900}).new_page()
        page = LabPage(tab).open(lab.address, 1)
        cell = page.write(CELL)
        tab.get_by_role("button", name="Enable Debugger").click()
        gutter = cell.locator(".cm-breakpoint-gutter .cm-gutterElement")
        # One a line, and one that holds the width.
        expect(gutter).to_have_count(4)
        gutter.nth(2).click()
        expect(tab.locator(".jp-DebuggerBreakpoints-body")).to_contain_text("2")
        cell.locator(".cm-content").click()
        tab.keyboard.press("Control+Enter")
        expect(tab.locator(".jp-DebuggerCallstack")).to_contain_text("<module>")
        expect(tab.locator(".jp-DebuggerVariables-body").get_by_text(re.compile(r"^seen:?"))).to_be_visible()
        expect(page.output(cell)).to_have_count(0)
        tab.get_by_role("button", name=re.compile("Continue")).first.click()
        expect(page.output(page.ended(cell))).to_have_text("reached 4")
        tab.get_by_role("button", name="Disable Debugger").click()
        assert session.value("print(seen)") == "4\n"
