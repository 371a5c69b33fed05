"""JupyterLab at a running chat, as a data scientist sees it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, expect

from tests.live.client import House, Session
from tests.live.gateway import Gateway
from tests.live.lab import Lab

from .labpage import LabPage
from .relay import relay

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]
OpenLab = Callable[[Lab, str, int], LabPage]
PLOT = """
import matplotlib.pyplot as plt
prices = {"tea": 3}
plt.plot([1, 4, 2])
plt.show()
"""
SLIDER = """
from ipywidgets import interact, IntSlider
interact(lambda n: print("square", n * n), n=IntSlider(5, 0, 10));
"""
PROGRESS = """
from ipywidgets import IntProgress
bar = IntProgress(value=1, max=5)
bar
"""
# An array as the bytes that it is: the protocol without buffers could not carry it.
IMAGE = """
import base64
from ipywidgets import Image
Image(value=base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAEElEQVR4nGM4EaABQQxwFgBO1AeBToSARAAAAABJRU5ErkJggg=="))
"""


@pytest.fixture(scope="module")
def shared_lab(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), gateway.url) as lab:
        yield lab


@pytest.fixture
def open_lab(new_context: Callable[..., BrowserContext]) -> OpenLab:
    def open_(lab: Lab, chat: str, cells: int) -> LabPage:
        assert lab.entry(chat) is not None
        address = f"{lab.base}/lab/tree/{chat}.ipynb?token={lab.token}"
        return LabPage(new_context(viewport={"width": 1300, "height": 900}).new_page()).open(address, cells)

    return open_


@pytest.fixture
def chat(session: Session) -> Session:
    session.run(PLOT)
    session.run("print(prices)")
    return session


@pytest.fixture
def page(shared_lab: Lab, chat: Session, open_lab: OpenLab) -> LabPage:
    return open_lab(shared_lab, chat.id, 2)


def decoded(picture: Locator) -> None:
    picture.evaluate("image => image.decode()")
    assert picture.evaluate("image => image.naturalWidth") > 0


# the chat


def test_the_chat_so_far_is_there_and_its_variables_too(chat: Session, page: LabPage) -> None:
    expect(page.cells).to_have_count(2)
    decoded(page.output(page.cells.first).locator("img"))
    expect(page.output(page.cells.nth(1))).to_have_text("{'tea': 3}\n")
    cell = page.run("prices['coffee'] = 5; sorted(prices)")
    expect(page.output(cell)).to_have_text("['coffee', 'tea']")
    # One count for both.
    expect(cell.locator(".jp-InputPrompt")).to_have_text("[3]:")
    assert chat.value("print(prices)") == "{'tea': 3, 'coffee': 5}\n"
    history = chat.client.get(f"{chat.path}/history").json()["executions"]
    assert [each.get("by") for each in history] == [None, None, "jupyter", None]
    assert history[2]["code"] == "prices['coffee'] = 5; sorted(prices)"


def test_each_live_chat_is_in_the_list_of_what_runs(house: House, page: LabPage) -> None:
    other = house.session()
    other.run("1")
    page.page.get_by_role("tab", name=re.compile("Running")).click()
    # Lab looks again by itself every few seconds.
    running = page.page.get_by_role("region", name="Kernels Section")
    expect(running.get_by_text(other.id).first).to_be_visible()


def test_an_error_stands_in_colour_and_the_kernel_goes_on(page: LabPage) -> None:
    cell = page.run("prices['cocoa']")
    expect(page.output(cell)).to_contain_text("KeyError")
    expect(page.output(page.run("len(prices)"))).to_have_text("1")


def test_input_is_asked_for_in_the_notebook(page: LabPage) -> None:
    cell = page.start("print(input('name? ')[::-1])")
    cell.locator(".jp-Stdin-input").fill("ada")
    cell.locator(".jp-Stdin-input").press("Enter")
    expect(page.output(page.ended(cell)).last).to_have_text("ada\n"[::-1].strip())


# widgets


def test_a_slider_changes_the_output(page: LabPage) -> None:
    cell = page.run(SLIDER)
    expect(cell.locator(".widget-output")).to_have_text("square 25\n")
    handle = cell.locator(".noUi-handle")
    handle.focus()
    handle.press("ArrowRight")
    expect(cell.locator(".widget-output")).to_have_text("square 36\n")


def test_a_progress_bar_moves_whoever_moves_it(chat: Session, page: LabPage) -> None:
    bar = page.run(PROGRESS).locator(".progress-bar")
    expect(bar).to_have_attribute("style", re.compile(r"width: 20%"))
    page.run("bar.value = 2")
    expect(bar).to_have_attribute("style", re.compile(r"width: 40%"))
    chat.run("bar.value = 4")
    expect(bar).to_have_attribute("style", re.compile(r"width: 80%"))


def test_bytes_of_a_widget_arrive_as_bytes(page: LabPage) -> None:
    picture = page.run(IMAGE).locator("img.widget-image")
    expect(picture).to_be_visible()
    decoded(picture)
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [3, 2]
    expect(page.output(page.run("'still there'"))).to_have_text("'still there'")


# the end


def test_shut_down_kernel_lets_go_of_the_chat(chat: Session, page: LabPage) -> None:
    page.run("z = 7")
    page.choose("Kernel", "Shut Down Kernel")
    expect(page.panel.locator(".jp-KernelName")).to_have_text("No Kernel")
    assert chat.value("print(z, prices)") == "7 {'tea': 3}\n"
    assert chat.look()["generation"] == 1
    # Whoever opens it again is at the chat again, and sees what it did since.
    page.page.reload()
    expect(page.output(page.connected(4).run("z + 1"))).to_have_text("8")


def test_lab_ends_and_comes_back_and_the_chat_was_there_all_along(
    chat: Session, gateway: Gateway, open_lab: OpenLab, tmp_path: Path
) -> None:
    with Lab(tmp_path / "lab", gateway.url) as lab:
        open_lab(lab, chat.id, 2).run("z = 7")
    assert chat.value("print(z, prices)") == "7 {'tea': 3}\n"
    with Lab(tmp_path / "lab", gateway.url) as lab:
        page = open_lab(lab, chat.id, 4)
        expect(page.output(page.run("z + 1"))).to_have_text("8")
    assert chat.look()["generation"] == 1


def test_the_gateway_is_restarted_under_an_open_notebook(open_lab: OpenLab, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Gateway(data, pool_size=0, on_stop="keep") as first, relay(first.url) as way:
        chat = House(first, "restart").session()
        chat.run("prices = {'tea': 3}")
        with Lab(tmp_path / "lab", way.url) as lab:
            page = open_lab(lab, chat.id, 1)
            page.run("z = 7")
            assert first.process is not None
            first.process.terminate()
            assert first.process.wait(20) == 0
            cell = page.start("z + len(prices)")
            with Gateway(data, pool_size=0) as second:
                way.lead_to(second.url)
                expect(page.output(page.ended(cell))).to_have_text("8")
                with second.client() as client:
                    assert Session(client, chat.id).look()["generation"] == 1
                    Session(client, chat.id).delete()
        chat.client.close()
