"""JupyterLab as a test sees it: a tab with one notebook open."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

ENDED = re.compile(r"^\[\d+\]:$")


class LabPage:
    def __init__(self, page: Page) -> None:
        self.page = page
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        self.cells = self.panel.locator(".jp-Notebook .jp-CodeCell")
        self.kernel = self.panel.locator(".jp-Notebook-ExecutionIndicator")

    def open(self, address: str, cells: int) -> LabPage:
        """Nothing but this notebook, whatever was open before, once all of its cells are there."""
        self.page.goto(f"{address}&reset")
        return self.connected(cells)

    def connected(self, cells: int) -> LabPage:
        expect(self.cells).to_have_count(cells)
        expect(self.kernel).to_have_attribute("data-status", "idle")
        return self

    def write(self, code: str) -> Locator:
        """In a new cell at the end."""
        before = self.cells.count()
        self.cells.last.locator(".jp-InputPrompt").click()
        self.page.keyboard.press("b")
        expect(self.cells).to_have_count(before + 1)
        cell = self.cells.nth(before)
        cell.locator(".cm-content").click()
        # Not key by key: Lab closes brackets and indents by itself.
        self.page.keyboard.insert_text(code)
        return cell

    def start(self, code: str) -> Locator:
        cell = self.write(code)
        self.page.keyboard.press("Control+Enter")
        return cell

    def run(self, code: str) -> Locator:
        """The cell, when it has ended."""
        return self.ended(self.start(code))

    def ended(self, cell: Locator) -> Locator:
        expect(cell.locator(".jp-InputPrompt")).to_have_text(ENDED)
        return cell

    @staticmethod
    def output(cell: Locator) -> Locator:
        return cell.locator(".jp-OutputArea-output")

    def choose(self, menu: str, item: str) -> None:
        self.page.locator(".lm-MenuBar-itemLabel").get_by_text(menu, exact=True).click()
        self.page.locator(".lm-Menu-itemLabel").get_by_text(item, exact=True).click()

    def confirm(self, name: str) -> None:
        self.page.locator(".jp-Dialog").get_by_role("button", name=name).click()
