"""The examples in several languages, as their readers run them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .client import House
from .gateway import Gateway
from .test_examples import EXAMPLES, NOBODY, start

pytestmark = pytest.mark.live

POLYGLOT = (sys.executable, str(EXAMPLES / "polyglot.py"))


def test_polyglot(house: House, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = start([*POLYGLOT, "--save", str(page)], house.gateway.url)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    headings = re.findall(r"^── (\w+) \((\w+), ", done.stdout, re.MULTILINE)
    assert headings == [("python", "kernel"), ("javascript", "kernel"), ("bash", "kernel"), ("html", "browser")]
    assert "rows: 36\n     12 Köln\n     12 Lyon\n     12 Oslo\nsales.csv\ntotals.json\n" in done.stdout
    (totals,) = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    shown = re.search(r"const totals = (\{.*\});", page.read_text())
    assert shown is not None
    assert json.loads(shown[1]) == totals
    assert list(totals) == ["Köln", "Lyon", "Oslo"]
    left = house.client.get("/v1/sessions").json()["sessions"]
    assert not [session["id"] for session in left if session["id"].startswith("polyglot-")]


def test_polyglot_without_a_gateway_says_so() -> None:
    away = start(POLYGLOT, NOBODY)
    assert away.returncode == 2
    assert "kernelgw serve" in away.stderr


def node_with_types() -> str | None:
    """One that runs TypeScript."""
    for program in filter(None, (shutil.which("node"), *map(str, Path(sys.prefix).rglob("bin/node")))):
        tried = subprocess.run([program, "--experimental-strip-types", "-e", "0"], capture_output=True)
        if tried.returncode == 0:
            return program
    return None


# The page's own part of it is called with the app's part in place of the network.
USES = """
import { GET, POST, executeRealCode } from "EXAMPLE";
const fetched = globalThis.fetch;
globalThis.fetch = (path, options) =>
  path === "/api/execute" ? POST(new Request("http://app" + path, options)) : fetched(path, options);
console.log(JSON.stringify([
  await (await GET(new Request("http://app/api/execute"))).json(),
  await executeRealCode("print('Hello from Python')", "python"),
  await executeRealCode("1 / 0", "python"),
  await executeRealCode("x", "klingon"),
  await executeRealCode("<p>x</p>"),
]));
"""


@pytest.mark.skipif(node_with_types() is None, reason="there is no Node here that runs TypeScript")
def test_the_terminal_s_function(shared_gateway: Gateway, tmp_path: Path) -> None:
    uses = tmp_path / "uses.mjs"
    uses.write_text(USES.replace("EXAMPLE", (EXAMPLES / "execute.ts").as_uri()))
    done = start(
        [node_with_types() or "", "--experimental-strip-types", "--no-warnings", str(uses)], shared_gateway.url
    )
    assert done.returncode == 0, done.stderr
    health, right, wrong, refused, page = json.loads(done.stdout)
    assert health["status"] == "ok"
    assert (right["success"], right["output"], right["error"]) == (True, "Hello from Python\n", None)
    assert (wrong["success"], "ZeroDivisionError" in wrong["error"]) == (False, True)
    assert (refused["success"], "klingon" in refused["error"]) == (False, True)
    assert (page["success"], page["engine"]) == (True, "browser")
