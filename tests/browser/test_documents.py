"""What /api/execute gives to a browser, in a real one: in a frame that can do nothing, telling what happens there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.live.client import House

pytestmark = pytest.mark.browser

PROGRAMS = sorted(
    path for path in (Path(__file__).parents[1] / "programs" / "html").iterdir() if path.suffix != ".toml"
)
HOST = """<!doctype html><title>host</title><iframe sandbox="allow-scripts"></iframe><script>
window.told = [];
const frame = document.querySelector("iframe");
window.loaded = new Promise((resolve) => addEventListener("message", (event) => {
  if (event.source !== frame.contentWindow || event.data?.source !== "kernelgw") return;
  told.push(event.data);
  if (event.data.type === "ready") resolve();
}));
</script>"""
TOLD = """async (html) => {
  document.querySelector("iframe").srcdoc = html;
  await window.loaded;
  return window.told;
}"""


@pytest.fixture
def page(new_context: Callable[..., BrowserContext]) -> Page:
    page = new_context().new_page()
    page.set_content(HOST)
    return page


def told(page: Page, house: House, code: str, **body: Any) -> list[dict[str, Any]]:
    answer = house.client.post("/api/execute", json={"code": code, **body}).json()
    assert answer["engine"] == "browser", answer
    found: list[dict[str, Any]] = page.evaluate(TOLD, answer["outputs"][0]["data"]["text/html"])
    return found


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_programs_run_without_complaint(page: Page, house: House, path: Path) -> None:
    found = told(page, house, path.read_text())
    errors = [f"{each['name']}: {each['message']}" for each in found if each["type"] == "error"]
    wrong = ["ReferenceError: undefinedFunction is not defined"] if path.stem == "error_on_purpose" else []
    assert errors == wrong


def test_console_and_errors_are_told_in_order(page: Page, house: House) -> None:
    code = """document.title = 'x';
console.log('one', {a: [1]}, document.createElement('p'));
console.warn(new Error('careful').message);
Promise.reject(new TypeError('later'));
document.body.append(Object.assign(new Image(), {src: 'data:image/png;base64,x'}));
null.length;
"""
    found = told(page, house, code)
    assert [each["type"] for each in found][:3] == ["console", "console", "error"]
    assert found[0]["text"] == 'one {"a":[1]} <p></p>'
    assert (found[1]["level"], found[1]["text"]) == ("warn", "careful")
    assert found[2]["name"] == "TypeError"
    assert found[2]["line"] > 1
    assert "null" in found[2]["message"]
    assert {each["message"] for each in found if each["type"] == "error"} >= {"later", "data:image/png;base64,x"}


def test_modules_and_their_faults(page: Page, house: House) -> None:
    code = "const x = await Promise.resolve(7);\nconsole.log(x);\nthrow new RangeError('far');"
    found = told(page, house, code, language="browser")
    assert [each.get("text", each.get("message")) for each in found if each["type"] != "ready"] == ["7", "far"]


def test_the_frame_has_no_way_to_the_page_around_it(page: Page, house: House) -> None:
    code = """<script>
for (const [name, act] of Object.entries({
  dom: () => parent.document.title, storage: () => localStorage.length, cookie: () => document.cookie,
})) { try { act(); console.log(name, 'reached'); } catch (error) { console.log(name, error.name); } }
</script>"""
    found = [each["text"] for each in told(page, house, code) if each["type"] == "console"]
    assert found == ["dom SecurityError", "storage SecurityError", "cookie SecurityError"]
