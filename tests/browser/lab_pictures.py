"""The pictures in docs/lab.md: `python -m tests.browser.lab_pictures docs/images` starts all that it needs."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.live.client import Session
from tests.live.gateway import Gateway
from tests.live.lab import Lab

from .chromium import chromium
from .labpage import LabPage

SIZE = {"width": 1240, "height": 860}
OTHERS = ("onboarding-7", "support-118")
CHAT = "rides-2026"
BY_THE_BOT = (
    """\
import numpy as np, pandas as pd, matplotlib.pyplot as plt
rng = np.random.default_rng(7)
rides = pd.DataFrame({"day": pd.date_range("2026-01-01", periods=365)})
rides["warmth"] = (10 - 9 * np.cos((rides.index - 20) / 58) + rng.normal(0, 3, 365)).round(1)
rides["rides"] = (420 + 38 * rides["warmth"] + rng.normal(0, 70, 365)).clip(0).astype(int)
print(f"{len(rides)} days, {rides['rides'].sum():,} rides")""",
    """\
plt.figure(figsize=(7.6, 2.4))
plt.scatter(rides["day"], rides["rides"], c=rides["warmth"], cmap="coolwarm", s=11)
plt.plot(rides["day"], rides["rides"].rolling(28, center=True).mean(), color="0.2");""",
)
BY_HAND = """\
# looking at the bot's own data
rides.nsmallest(4, "rides")"""
SLIDER = """\
from ipywidgets import interact

@interact(days=(1, 90), warmest=(0.0, 25.0))
def smooth(days=28, warmest=19.0):
    shown = rides[rides["warmth"] <= warmest]
    plt.figure(figsize=(7.6, 2.9))
    plt.scatter(shown["day"], shown["rides"], c=shown["warmth"], cmap="coolwarm", s=11)
    plt.plot(shown["day"], shown["rides"].rolling(days, center=True).mean(), color="0.2")
    plt.show()"""


def take(browser: Browser, lab: Lab, cells: int, code: str, out: Path) -> None:
    context = browser.new_context(viewport=SIZE)  # type: ignore[arg-type]
    page = LabPage(context.new_page()).open(lab.address, cells)
    cell = page.run(code)
    if "interact" in code:
        expect(cell.locator("img")).to_have_count(1)
        handle = cell.locator(".noUi-handle").first
        handle.focus()
        for _ in range(6):
            handle.press("ArrowLeft")
        expect(cell.locator(".widget-readout").first).to_have_text("22")
        page.connected(cells + 1)
    cell.scroll_into_view_if_needed()
    page.page.screenshot(path=out, animations="disabled", caret="hide")
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.lab_pictures")
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        Path(folder).chmod(0o711)
        expect.set_options(timeout=30_000)
        with Gateway(Path(folder, "data")) as gateway, gateway.client() as client:
            for name in OTHERS:
                Session(client, name).run("1")
            for code in BY_THE_BOT:
                Session(client, CHAT).run(code)
            with Lab(Path(folder, "lab"), gateway.url, (CHAT,)) as lab:
                take(browser, lab, 2, BY_HAND, out / "lab.png")
                take(browser, lab, 3, SLIDER, out / "lab-slider.png")
            for name in (*OTHERS, CHAT):
                Session(client, name).delete()


if __name__ == "__main__":
    main()
