"""The picture in the README: `python -m tests.browser.screenshot URL OUT [--dark]`, URL as `make serve` prints it.

A session is named by `#s=NAME` at the end of the URL; it should be a new one, and it is deleted afterwards."""

from __future__ import annotations

import argparse
from urllib.parse import parse_qs, urlsplit

import httpx
from playwright.sync_api import Page, expect

from .chat import Chat
from .chromium import chromium

SIZE = {"width": 1100, "height": 1240}
CELLS = (
    """\
import numpy as np, pandas as pd, matplotlib.pyplot as plt
rng = np.random.default_rng(7)
rides = pd.DataFrame({"day": pd.date_range("2026-01-01", periods=365)})
rides["warmth"] = (10 - 9 * np.cos((rides.index - 20) / 58) + rng.normal(0, 3, 365)).round(1)
rides["rides"] = (420 + 38 * rides["warmth"] + rng.normal(0, 70, 365)).clip(0).astype(int)
print(f"{len(rides)} days, {rides['rides'].sum():,} rides")""",
    'rides.nlargest(4, "rides")',
    """\
plt.figure(figsize=(8.4, 2.8))
plt.scatter(rides["day"], rides["rides"], c=rides["warmth"], cmap="coolwarm", s=12)
plt.plot(rides["day"], rides["rides"].rolling(28, center=True).mean(), color="0.2");""",
)


def take(page: Page, url: str, out: str) -> None:
    parts = urlsplit(url)
    token = parse_qs(parts.query)["token"][0]
    base = f"{parts.scheme}://{parts.netloc}"
    session = parse_qs(parts.fragment).get("s", ["screenshot"])[0]
    chat = Chat(page, session).open(base, token)
    try:
        for code in CELLS:
            cell = chat.run(code)
        cell.locator("img").evaluate("image => image.decode()")
        expect(page.locator("iframe").content_frame.locator("td").last).to_be_visible()
        expect(page.locator(".stderr")).to_have_count(0)
        over = page.evaluate("document.documentElement.scrollHeight - innerHeight")
        assert over == 0, f"{over} pixels do not fit on the screen"
        page.screenshot(path=out, animations="disabled", caret="hide")
    finally:
        headers = {"Authorization": f"Bearer {token}"}
        httpx.delete(f"{base}/v1/sessions/{session}", headers=headers, trust_env=False).raise_for_status()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshot")
    parser.add_argument("url")
    parser.add_argument("out")
    parser.add_argument("--dark", action="store_true")
    args = parser.parse_args()
    with chromium() as browser:
        page = browser.new_page(viewport=SIZE, color_scheme="dark" if args.dark else "light")  # type: ignore[arg-type]
        take(page, args.url, args.out)


if __name__ == "__main__":
    main()
