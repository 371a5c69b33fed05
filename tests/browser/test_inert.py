"""Text that would be more than text, and messages from those who have nothing to say to the page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.live import proc
from tests.live.client import House
from tests.live.gateway import TOKEN

from .chat import Chat
from .relay import Relay
from .test_hostile import NewContext, plain_page, shown, url

pytestmark = pytest.mark.browser

# What a terminal would obey, a reader be deceived by, or a parser take for the end of something.
CONTROLS = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
OBEYED = {
    "title": "\x1b]0;hacked\x07",
    "link": "\x1b]8;;javascript:window.hacked=1\x1b\\link\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;aGFja2Vk\x07",
    "picture": "\x1b]1337;File=inline=1:AAAA\x07",
    "device control": "\x1bP+q544e\x1b\\",
    "report": "\x1b[6n\x1b[c\x1b[5n",
    "clear": "\x1b[2J\x1b[H\x1b[3J\x1bc",
    "alternate screen": "\x1b[?1049h\x1b[?25l",
    "colour as style": "\x1b[38;2;1;1;1;background:url(//evil.example)m",
    "endless parameter": "\x1b[" + "9" * 5000 + "C",
    "unfinished": "\x1b]0;" + "x" * 5000,
    "eight bit": "\x9b31m\x9d0;hacked\x9c",
}
RUNNING = {
    "application/javascript": "window.hacked = 1",
    "text/javascript": "window.hacked = 1",
    "application/vnd.jupyter.widget-view+json": {"model_id": "x", "version_major": 2},
    "application/vnd.bokehjs_exec.v0+json": "window.hacked = 1",
    "application/xhtml+xml": "<script xmlns='http://www.w3.org/1999/xhtml'>window.hacked = 1</script>",
    "application/vnd.vegalite.v5+json": {"usermeta": {"embedOptions": {"loader": {"target": "_top"}}}},
    "text/vnd.graphviz": "<script>window.hacked = 1</script>",
}
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.prop("OU10")
def test_control_characters_are_neither_obeyed_nor_hidden(chat: Chat) -> None:
    title = chat.page.title()
    everything = "".join(OBEYED.values()) + CONTROLS + "\x1b[0m"
    code = f"""
import os  # {TURNING}
for n in range(3):
    os.write(1, {everything!r}.encode() + b"\\xff\\xfe\\xed\\xa0\\x80 end\\n")
print("\\ud800 half of a pair")
display({{"text/plain": {everything!r}}}, raw=True)
display({{"application/json": {{{TURNING!r}: {TURNING!r}}}}}, raw=True)
display({{"text/markdown": {TURNING!r} + " **bold**"}}, raw=True)
print({("access = 'user" + TURNING[4] + TURNING[5] + "# admin'")!r})
raise ValueError({everything!r})
"""
    cell = chat.run(code, "failed")
    outputs = cell.locator(".outputs")
    expect(outputs.locator(".stdout").last).to_contain_text("‹U+202E›‹U+2066›# admin")
    expect(outputs.locator(".stdout").first).to_contain_text("\ufffd")
    expect(outputs.locator(".json-leaf")).to_contain_text("‹U+202A›")
    expect(outputs.locator(".markdown")).to_contain_text("‹U+2069› bold")
    expect(outputs.locator("a, script, iframe, img")).to_have_count(0)
    # As it stands in the document, nothing is left that could turn or hide what is beside it.
    for part in (outputs, cell.locator("pre.code")):
        content = part.evaluate("element => element.textContent")
        assert not UNPRINTABLE.search(content), UNPRINTABLE.findall(content)
    expect(outputs.locator("[style*=url]")).to_have_count(0)
    assert chat.page.title() == title
    assert chat.page.evaluate("typeof hacked") == "undefined"
    expect(chat.printed(chat.run("print('still here')"))).to_have_text(["still here"])


@pytest.mark.prop("OU10")
def test_right_to_left_is_still_readable(chat: Chat) -> None:
    """Only what turns others is written out; letters and their own marks are not."""
    words = "שלום \u200fعالم\u200e é 👩\u200d💻"
    expect(chat.printed(chat.run(f"print({words!r})"))).to_have_text([words])


@pytest.mark.prop("OU01")
def test_types_that_would_run_elsewhere_do_not(chat: Chat) -> None:
    for type_, content in RUNNING.items():
        cell = chat.run(f"display({{{type_!r}: {content!r}}}, raw=True)")
        expect(cell.locator(".outputs-list > *").first).to_be_visible()
        expect(cell.locator(".outputs").locator("script, iframe, object, embed, svg")).to_have_count(0)
    assert chat.page.evaluate("typeof hacked") == "undefined"
    # In the frame for HTML it does run, so that running is what was prevented.
    cell = chat.run(shown("<b id=ran></b><script>window.hacked = 1; ran.textContent = window.hacked</script>"))
    expect(cell.locator("iframe").content_frame.locator("#ran")).to_have_text("1")


@pytest.mark.prop("OU11")
def test_a_flood_of_messages_is_nothing(chat: Chat) -> None:
    chat.run(shown("<b>quiet</b>"))
    quiet = chat.cells.first.locator("iframe")
    expect(quiet.content_frame.locator("b")).to_have_text("quiet")
    height = quiet.evaluate("frame => frame.style.height")
    flood = """<b id=n></b><script>
    const junk = [null, 1, "height", {}, [], {type: "height"}, {type: "height", height: "x"},
      {type: "height", height: NaN}, {type: "height", height: {}}, {type: "show", html: "<i>shown</i>"},
      {type: "token"}, "x".repeat(1e5)];
    let n = 0;
    const post = () => {
      for (let i = 0; i < 1000; i++) parent.postMessage(junk[n++ % junk.length], "*");
      document.getElementById("n").textContent = n;
      if (n < 20000) setTimeout(post);
    };
    post();
    </script>"""
    cell = chat.run(shown(flood))
    expect(cell.locator("iframe").content_frame.locator("#n")).to_have_text("20000")
    assert quiet.evaluate("frame => frame.style.height") == height
    expect(chat.page.locator("i")).to_have_count(0)
    expect(chat.printed(chat.run("print('still here')"))).to_have_text(["still here"])


@pytest.mark.prop("OU11")
def test_a_frame_speaks_for_itself_only(chat: Chat) -> None:
    """Siblings can be reached as windows; what they are told by each other they do not do."""
    chat.run(shown("<b>victim</b>"))
    victim = chat.cells.first.locator("iframe")
    expect(victim.content_frame.locator("b")).to_have_text("victim")
    height = victim.evaluate("frame => frame.style.height")
    attack = """<b id=tried>0</b><script>
    setInterval(() => {
      for (let i = 0; i < parent.length; i++) {
        parent[i].postMessage({type: "show", html: "<i>hacked</i>"}, "*");
        parent[i].postMessage({type: "height", height: 700}, "*");
      }
      tried.textContent = Number(tried.textContent) + 1;
    }, 1);
    </script>"""
    attacker = chat.run(shown(attack))
    expect(attacker.locator("iframe").content_frame.locator("#tried")).not_to_have_text("0")
    # One that is made now, and waits for what it is to show, is told by them before it is by the page.
    late = chat.run(shown("<b>late</b>"))
    expect(late.locator("iframe").content_frame.locator("b")).to_have_text("late")
    expect(victim.content_frame.locator("b")).to_have_text("victim")
    assert victim.evaluate("frame => frame.style.height") == height


@pytest.mark.prop("OU11", "OU01")
def test_pages_of_others_get_no_hold_of_it(chat: Chat, new_context: NewContext, nowhere: str, elsewhere: Relay) -> None:
    stranger = plain_page(new_context(), nowhere)
    target = url(elsewhere)
    # Framed it shows nothing, opened it lets go of who opened it.
    stranger.set_content(f"<iframe src='{target}/'></iframe>")
    proc.wait_until(lambda: "/" in elsewhere.asked(), 10, elsewhere.asked)
    stranger.wait_for_load_state()
    assert stranger.frames[1].locator("#code").count() == 0
    with stranger.context.expect_page() as opened:
        stranger.evaluate("target => { window.opened = open(target) }", f"{target}/?token={TOKEN}")
    expect(opened.value.get_by_label("Code to run")).to_be_visible()
    proc.wait_until(lambda: stranger.evaluate("window.opened.closed"), 10, "the window to be let go of")
    assert opened.value.evaluate("window.opener") is None


@pytest.mark.prop("GA03")
def test_pages_of_others_cannot_call(new_context: NewContext, nowhere: str, elsewhere: Relay, house: House) -> None:
    """In a real browser: with the token even, and in every way that needs no leave."""
    stranger = plain_page(new_context(), nowhere)
    target = f"{url(elsewhere)}/v1/sessions/forged"
    attempt = """async ([target, token]) => {
      const tries = {
        simple: () => fetch(target + "/executions", {method: "POST", body: '{"code": "1"}'}),
        opaque: () => fetch(target + "/executions", {method: "POST", mode: "no-cors", body: '{"code": "1"}'}),
        preflight: () => fetch(target, {method: "PUT", headers: {Authorization: `Bearer ${token}`}}),
        query: () => fetch(`${target}/executions?token=${token}`, {method: "POST", body: '{"code": "1"}'}),
        read: () => fetch(`${target}?token=${token}`),
      };
      const results = {};
      for (const [name, go] of Object.entries(tries)) {
        try { const answer = await go(); results[name] = `${answer.type} ${answer.status}`; }
        catch (error) { results[name] = error.name; }
      }
      return results;
    }"""
    results = stranger.evaluate(attempt, [target, TOKEN])
    # They went out, as below; the browser gives none of the answers away.
    assert results == dict.fromkeys(("simple", "opaque", "preflight", "query", "read"), "TypeError")
    form = f"<form method=post enctype=text/plain action='{target}/executions?token={TOKEN}'>"
    stranger.set_content(f'{form}<input name=\'{{"code": "1", "x": "\' value=\'"}}\'></form>')
    stranger.evaluate("document.forms[0].submit()")
    expect(stranger.locator("body")).to_contain_text("origin_not_allowed")
    assert house.client.get("/v1/sessions/forged").status_code == 404
    # The form was answered, so such requests get there; a browser may give up others after a closed connection.
    assert any("forged" in path for path in elsewhere.asked())
