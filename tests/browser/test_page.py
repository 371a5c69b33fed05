"""What a person does on the page at `/`, and what they see."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.live.client import Session
from tests.live.gateway import TOKEN

from .chat import Chat
from .conftest import NewChat

pytestmark = pytest.mark.browser

WAIT_FOR_GO = """
import os, time
while not os.path.exists("go"):
    time.sleep(0.02)
"""
PICTURE = """
import matplotlib.pyplot as plt
plt.plot([1, 4, 2])
plt.show()
"""
TABLE = """
import pandas as pd
pd.DataFrame({"city": ["Lima", "Oslo", "Pune"], "people": [10_092_000, 717_710, 7_764_000]}).set_index("city")
"""
DISPLAY_ID = """
handle = display("0 of 3", display_id=True)
for done in range(1, 4):
    handle.update(f"{done} of 3")
"""
CLEAR_OUTPUT = """
from IPython.display import clear_output
for done in range(4):
    clear_output(wait=True)
    print(f"{done} of 3")
"""
TQDM = """
from tqdm import tqdm
for _ in tqdm(range(300), mininterval=0, ncols=60):
    pass
"""
WIDE = """
from IPython.display import Markdown
print("x" * 3000)
print("\\n".join(" ".join(["word"] * 200) for _ in range(3)))
display({"key" * 100: {"inner": "value" * 200}}, pd.DataFrame([range(1000, 1040)]), Markdown("`" + "m" * 500 + "`"))
plt.figure(figsize=(22, 3))
plt.plot([1, 2])
plt.show()
raise ValueError("long" * 300)
"""


def decoded(picture: Locator) -> None:
    expect(picture).to_be_visible()
    picture.evaluate("image => image.decode()")
    assert picture.evaluate("image => image.naturalWidth") > 0


def test_token_leaves_the_address(chat: Chat) -> None:
    expect(chat.page.get_by_role("heading", name="Run some code")).to_be_visible()
    assert "?" not in chat.page.url
    assert TOKEN not in chat.page.url
    assert chat.page.evaluate("Object.values(sessionStorage)") == [TOKEN]
    assert chat.page.evaluate("[localStorage.length, document.cookie, history.state]") == [0, "", None]
    chat.page.reload()
    expect(chat.printed(chat.run("print(6 * 7)"))).to_have_text(["42"])


def test_typed_code_runs_with_ctrl_enter(chat: Chat) -> None:
    expect(chat.code).to_be_focused()
    chat.page.keyboard.type("for i in range(3):\nprint(i * 7)")
    chat.page.keyboard.press("Control+Enter")
    cell = chat.ended(chat.cells.first)
    # The field indents by itself.
    expect(cell.get_by_label("Code", exact=True)).to_have_text("for i in range(3):\n    print(i * 7)")
    assert cell.locator(".stdout").inner_text() == "0\n7\n14"
    expect(chat.code).to_be_empty()
    expect(cell.locator(".status")).to_have_text(re.compile(r"^completed in \d+ ms$|^completed in [\d.]+ s$"))
    expect(chat.page.get_by_role("status")).to_have_text("Cell 1: completed")


def test_error_has_its_colours(chat: Chat) -> None:
    cell = chat.run("prices = {'tea': 3}\nprices['coffee']", "failed")
    error = cell.locator(".error")
    expect(error).to_contain_text("KeyError")
    expect(error).to_contain_text("'coffee'")
    assert "\x1b" not in error.inner_text()
    colours = error.locator("span[class*=ansi-fg]").evaluate_all("all => all.map(e => getComputedStyle(e).color)")
    plain = error.evaluate("element => getComputedStyle(element).color")
    assert len({*colours, plain}) >= 3
    expect(chat.printed(chat.run("print(prices)"))).to_have_text(["{'tea': 3}"])


def test_picture(chat: Chat) -> None:
    picture = chat.run(PICTURE).locator(".outputs img")
    expect(picture).to_have_count(1)
    decoded(picture)


def test_table(chat: Chat) -> None:
    frame = chat.run(TABLE).locator("iframe")
    expect(frame).to_have_attribute("sandbox", "allow-scripts")
    table = frame.content_frame.locator("table")
    expect(table.locator("thead tr").first.locator("th")).to_have_text(["", "people"])
    expect(table.locator("tbody th")).to_have_text(["Lima", "Oslo", "Pune"])
    expect(table.locator("tbody td")).to_have_text(["10092000", "717710", "7764000"])
    # The frame is as high as what it shows.
    box, outer = table.bounding_box(), frame.bounding_box()
    assert box is not None
    assert outer is not None
    assert outer["y"] <= box["y"]
    expect(frame).to_have_js_property("offsetHeight", round(outer["height"]))
    assert box["y"] + box["height"] <= outer["y"] + outer["height"] < box["y"] + box["height"] + 30


def test_svg_is_a_picture_and_its_script_is_dead(chat: Chat) -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40" onload="parent.hacked = 1">'
        '<script>parent.hacked = 1</script><rect width="60" height="40" fill="teal"/></svg>'
    )
    cell = chat.run(f"display({{'image/svg+xml': {svg!r}, 'text/plain': 'a bar'}}, raw=True)")
    decoded(cell.get_by_role("img", name="a bar"))
    assert cell.locator("svg, script").count() == 0
    assert chat.page.evaluate("typeof hacked") == "undefined"


def test_input_is_answered_in_the_page(chat: Chat) -> None:
    cell = chat.start("from getpass import getpass\nname, word = input('Your name? '), getpass('Word? ')")
    field = cell.get_by_label("Your name?")
    expect(field).to_be_focused()
    field.fill("Ana")
    field.press("Enter")
    secret = cell.get_by_label("Word?")
    expect(secret).to_have_attribute("type", "password")
    secret.fill("sesame")
    cell.get_by_role("button", name="Send").click()
    outputs = chat.ended(cell).locator(".outputs")
    expect(outputs).to_contain_text("Your name? Ana")
    expect(outputs).not_to_contain_text("sesame")
    expect(chat.printed(chat.run("print(name, word)"))).to_have_text(["Ana sesame"])


def test_stop(chat: Chat) -> None:
    expect(chat.button("Stop")).to_be_hidden()
    cell = chat.start("x = 5\nprint('on and on')\nwhile True:\n    pass")
    expect(chat.printed(cell)).to_have_text(["on and on"])
    chat.button("Stop").click()
    chat.ended(cell, "interrupted")
    expect(cell.locator(".error")).to_contain_text("KeyboardInterrupt")
    expect(chat.button("Stop")).to_be_hidden()
    expect(chat.printed(chat.run("print(x)"))).to_have_text(["5"])


def test_restart(chat: Chat) -> None:
    chat.run("x = 5; open('kept', 'w').close()")
    chat.button("Restart").click()
    chat.page.get_by_role("dialog").get_by_role("button", name="Restart").click()
    expect(chat.page.locator(".divider")).to_contain_text("Restarted")
    cell = chat.run("import os\nprint(os.path.exists('kept'), 'x' in globals())")
    expect(chat.printed(cell)).to_have_text(["True False"])


@pytest.mark.parametrize(
    ("code", "last"),
    [(DISPLAY_ID, r"^'3 of 3'$"), (CLEAR_OUTPUT, r"^3 of 3$"), (TQDM, r"^100%.*300/300.*it/s\]$")],
    ids=["display_id", "clear_output", "tqdm"],
)
def test_progress_ends_as_one_line(chat: Chat, code: str, last: str) -> None:
    rows = chat.run(code).locator(".outputs .row")
    expect(rows).to_have_text([re.compile(last)])


def test_reload_in_the_middle(chat: Chat, session: Session) -> None:
    chat.run("print('first')")
    cell = chat.start(f"for i in range(1000):\n    print('before', i){WAIT_FOR_GO}print('after')")
    expect(chat.printed(cell).last).to_have_text("before 999")
    chat.page.reload()
    first, running = chat.cells.first, chat.cells.nth(1)
    expect(chat.printed(chat.ended(first))).to_have_text(["first"])
    expect(running).to_have_attribute("data-status", "running")
    expect(chat.printed(running).last).to_have_text("before 999")
    session.touch("go")
    printed = chat.printed(chat.ended(running)).all_inner_texts()
    assert printed == [*(f"before {i}" for i in range(1000)), "after"]
    expect(chat.cells).to_have_count(2)


def test_wrong_token_shows_the_form(new_chat: NewChat) -> None:
    chat = new_chat(token="wrong")
    chat.allow("token refused")
    form = chat.page.get_by_role("dialog", name="Access token")
    expect(form).to_contain_text("That token was not accepted.")
    form.get_by_label("Token").fill("wrong again")
    form.get_by_role("button", name="Continue").click()
    expect(form).to_be_visible()
    form.get_by_label("Token").fill(TOKEN)
    form.get_by_role("button", name="Continue").click()
    expect(form).to_be_hidden()
    expect(chat.printed(chat.run("print('in')"))).to_have_text(["in"])


def test_phone_has_no_sideways_scroll(new_chat: NewChat) -> None:
    width = 360
    chat = new_chat(viewport={"width": width, "height": 740}, is_mobile=True, has_touch=True)
    for code in (PICTURE, TABLE):
        chat.run(code)
    chat.code.fill(WIDE)
    chat.button("Run").tap()
    cell = chat.ended(chat.cells.nth(2), "failed")
    decoded(cell.locator("img"))
    expect(cell.locator(".error")).to_be_visible()
    expect(cell.locator("iframe").content_frame.locator("td").last).to_have_text("1039")
    measures = "[document.documentElement.scrollWidth, innerWidth, visualViewport.width, visualViewport.scale]"
    assert chat.page.evaluate(measures) == [width, width, width, 1]
    chat.page.evaluate("scrollTo(500, scrollY)")
    assert chat.page.evaluate("scrollX") == 0


def test_two_tabs_on_one_session(chat: Chat, new_chat: NewChat, session: Session) -> None:
    one = chat.start(f"x = 1\nprint('waiting'){WAIT_FOR_GO}print('done')")
    expect(chat.printed(one)).to_have_text(["waiting"])
    other = new_chat(beside=chat)
    seen = other.cells.first
    expect(other.printed(seen)).to_have_text(["waiting"])
    two = other.start("x += 1\nprint(x)")
    session.touch("go")
    for cell in (one, seen):
        expect(chat.printed(chat.ended(cell))).to_have_text(["waiting", "done"])
    expect(other.printed(other.ended(two))).to_have_text(["2"])
    expect(chat.printed(chat.run("print(x + 1)"))).to_have_text(["3"])
    for tab in (chat, other):
        tab.page.reload()
        expect(tab.printed(tab.page.locator("#cells"))).to_have_text(["waiting", "done", "2", "3"])


def test_many_lines_leave_the_page_usable(chat: Chat) -> None:
    chat.run("first = 1")
    flood = chat.start("for i in range(20_000):\n    print('line', i, flush=True)")
    again = chat.cells.first.get_by_role("button", name="Edit again")
    again.click()
    expect(chat.code).to_have_value("first = 1")
    expect(chat.printed(chat.ended(flood)).last).to_have_text("line 19999")
    expect(flood.locator(".stdout .note")).to_have_text("15,001 earlier lines are kept on the server")
    assert chat.printed(flood).count() == 20_000 - 15_001
    chat.code.fill("")
    again.click()
    expect(chat.code).to_have_value("first = 1")
