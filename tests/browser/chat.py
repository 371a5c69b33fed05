"""The page as a test sees it: a tab that runs cells, and that must not complain meanwhile."""

from __future__ import annotations

import re
from types import MappingProxyType

from playwright.sync_api import ConsoleMessage, Error, Locator, Page, expect

# All that a browser may complain about, by name. The first is always allowed; tests ask for the others.
COMPLAINTS = MappingProxyType(
    {
        "new session": re.compile(r"status of 404 .* /v1/sessions/[^/]+/history$"),
        "token refused": re.compile(r"status of 401 .* /v1/sessions/[^/]+/history$"),
        "policy": re.compile(r"violates the (?:document's|following) Content Security Policy"),
        "sandbox": re.compile(r"^Blocked (?:form submission|opening|script execution)|^Unsafe attempt to initiate nav"),
    }
)


class Chat:
    """One tab on one session."""

    def __init__(self, page: Page, session: str) -> None:
        self.page = page
        self.session = session
        self.code = page.get_by_label("Code to run")
        self.cells = page.locator("#cells > .cell")
        self._complaints: list[str] = []
        self._allowed = ["new session"]
        page.on("console", self._heard)
        page.on("pageerror", self._failed)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            where = re.sub(r"^\w+://[^/]+", "", message.location["url"])
            self._complaints.append(f"{message.text.strip()} {where}")

    def _failed(self, error: Error) -> None:
        self._complaints.append(f"not caught: {error}")

    def allow(self, *names: str) -> None:
        self._allowed += names

    def complaints(self) -> list[str]:
        """Those that nobody expected."""
        allowed = [COMPLAINTS[name] for name in self._allowed]
        return [text for text in self._complaints if not any(pattern.search(text) for pattern in allowed)]

    def open(self, base: str, token: str) -> Chat:
        self.page.goto(f"{base}/?token={token}#s={self.session}")
        return self

    def start(self, code: str) -> Locator:
        """Runs code in a new cell, which it returns at once."""
        before = self.cells.count()
        self.code.fill(code)
        self.code.press("Control+Enter")
        expect(self.cells).to_have_count(before + 1)
        return self.cells.nth(before)

    def run(self, code: str, status: str = "completed") -> Locator:
        """The same, when it has ended."""
        return self.ended(self.start(code), status)

    def ended(self, cell: Locator, status: str = "completed") -> Locator:
        expect(cell).to_have_attribute("data-status", re.compile("completed|failed|interrupted|timed_out|killed"))
        expect(cell).to_have_attribute("data-status", status)
        return cell

    @staticmethod
    def printed(cell: Locator) -> Locator:
        """The lines of its stdout."""
        return cell.locator(".stdout .row")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)
