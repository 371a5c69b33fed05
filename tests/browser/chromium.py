"""The system's own Chromium; none is ever downloaded."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

MISSING = "There is no chromium here. Install it: apt-get update && apt-get install -y chromium"
# It must not talk to anybody but the gateway, nor need a graphics card.
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A headless one. While it is open no other event loop can run in this thread."""
    path = shutil.which("chromium")
    if path is None:
        raise RuntimeError(MISSING)
    with sync_playwright() as playwright:
        # Chromium's own sandbox refuses to be set up by root.
        browser = playwright.chromium.launch(
            executable_path=path, args=list(FLAGS), chromium_sandbox=os.geteuid() != 0, timeout=30_000
        )
        try:
            yield browser
        finally:
            browser.close()
