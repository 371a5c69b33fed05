"""Outputs are made by code that nobody has read: the page shows them and is not touched by them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.live import proc
from tests.live.client import House
from tests.live.gateway import TOKEN

from .chat import COMPLAINTS, Chat
from .conftest import NewChat
from .hostile import BREAK_OUT, NAVIGATIONS, REQUESTS, breaking_out, requesting
from .relay import Relay

pytestmark = pytest.mark.browser

NewContext = Callable[..., BrowserContext]


def shown(html: str) -> str:
    return f"display({{'text/html': {html!r}}}, raw=True)"


def url(relay: Relay, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{relay.port}"


def plain_page(context: BrowserContext, nowhere: str) -> Page:
    page = context.new_page()
    page.goto(nowhere)
    return page


def missed(relay: Relay, name: str) -> set[str]:
    """The kinds of requests that have not been made under that name."""
    return REQUESTS.keys() - {
        query for path, _, query in (url.partition("?") for url in relay.asked()) if path == f"/{name}"
    }


@pytest.mark.prop("OU01", "OU02")
def test_frame_cannot_break_out(new_chat: NewChat, wire: Relay, house: House) -> None:
    chat = new_chat(url(wire))
    chat.allow("policy", "sandbox")
    chat.run(shown("<b>a sibling</b>"))
    name = f"{chat.session}.marker"
    cell = chat.run(shown(breaking_out(url(wire), name, TOKEN)))
    report = cell.locator("iframe").content_frame.locator("#report")
    expect(report).not_to_be_empty()
    results = json.loads(report.inner_text())
    assert results.keys() == BREAK_OUT.keys()
    assert results.pop("nothing forbidden") == "got 42"
    assert {what: result for what, result in results.items() if not result.startswith("refused: ")} == {}
    # The wire does show what the page asks for, and nothing of what the frame wanted is there.
    assert f"/v1/sessions/{chat.session}/executions" in wire.asked()
    assert [path for path in wire.asked() if name in path] == []
    assert house.client.get(f"/v1/sessions/{name}").status_code == 404
    assert chat.page.context.pages == [chat.page]
    # The same call from the page itself is answered, so that it could have been.
    path = f"v1/sessions/{name}?token={TOKEN}"
    assert chat.page.evaluate("async path => (await fetch(path, {method: 'PUT'})).status", path) == 201


@pytest.mark.prop("OU01")
def test_frame_reaches_no_host(chat: Chat, new_context: NewContext, nowhere: str, elsewhere: Relay) -> None:
    chat.allow("policy")
    base = url(elsewhere, "localhost")
    end = "<script>document.write('<b id=end>42</b>')</script>"
    cell = chat.run(shown(requesting(base, "frame") + end))
    expect(cell.locator("iframe").content_frame.locator("#end")).to_have_text("42")
    page = plain_page(new_context(), nowhere)
    assert elsewhere.connections == 0
    page.set_content(requesting(base, "plain"))
    proc.wait_until(lambda: not missed(elsewhere, "plain"), 10, lambda: missed(elsewhere, "plain"))
    assert missed(elsewhere, "frame") == REQUESTS.keys()


@pytest.mark.prop("OU02")
@pytest.mark.parametrize("name", NAVIGATIONS)
def test_frame_leads_nobody_away(
    chat: Chat, new_context: NewContext, nowhere: str, elsewhere: Relay, name: str
) -> None:
    html, complaint = NAVIGATIONS[name]
    chat.allow(complaint)
    before = chat.page.url
    with chat.page.expect_console_message(lambda message: COMPLAINTS[complaint].search(message.text) is not None):
        chat.run(shown(html.replace("TARGET", f"{url(elsewhere)}/frame")))
    expect(chat.printed(chat.run("print('still here')"))).to_have_text(["still here"])
    assert chat.page.url == before
    assert chat.page.context.pages == [chat.page]
    assert elsewhere.connections == 0
    page = plain_page(new_context(), nowhere)
    page.set_content(html.replace("TARGET", f"{url(elsewhere)}/plain"))
    proc.wait_until(lambda: "/plain" in str(elsewhere.asked()), 10, "a plain page goes there")


@pytest.mark.prop("OU11")
def test_frame_cannot_fill_the_page(chat: Chat) -> None:
    high = "<script>setInterval(() => parent.postMessage({type: 'height', height: 1e7}, '*'), 10)</script>"
    chat.run(shown(f"{high}<b>high</b>"))
    frame = chat.cells.first.locator("iframe")
    expect(frame).to_have_css("height", "720px")
    busy = chat.run(shown("<b>busy</b><script>setTimeout(() => { for (;;); }, 50)</script>"))
    expect(busy.locator("iframe")).to_be_visible()
    expect(chat.printed(chat.run("print('the page goes on')"))).to_have_text(["the page goes on"])


@pytest.mark.prop("OU01", "OU10")
def test_text_is_never_markup(chat: Chat) -> None:
    markup = "<img src=x onerror='window.hacked = 1'><script>window.hacked = 1</script>"
    cell = chat.run(
        f"""
markup = {markup!r}
print(markup)
display({{"text/plain": markup}}, raw=True)
display({{"text/latex": markup}}, raw=True)
display({{"text/markdown": markup + "\\n\\n[a link](javascript:window.hacked=1) ![x](x)"}}, raw=True)
display({{"application/json": {{markup: markup}}}}, raw=True)
display({{"image/png": "", "text/plain": markup}}, raw=True)
raise type(markup, (Exception,), {{}})(markup)
""",
        "failed",
    )
    outputs = cell.locator(".outputs")
    for place in (".stdout", ".plain", ".latex", ".markdown", ".json", ".error"):
        expect(outputs.locator(place).first).to_contain_text("<script>window.hacked = 1</script>")
    expect(outputs.locator("script, iframe, [onerror]")).to_have_count(0)
    expect(outputs.locator("a[href^=javascript]")).to_have_count(0)
    assert chat.page.evaluate("typeof hacked") == "undefined"
