"""One chat, four languages: Python makes a CSV, Node reads it, Bash counts it, and a page shows it."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

PYTHON = """
import csv, random

random.seed(7)
with open("sales.csv", "w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["city", "month", "amount"])
    for city in ("Köln", "Lyon", "Oslo"):
        for month in range(1, 13):
            writer.writerow([city, month, random.randrange(50, 200)])
print("sales.csv is written")
"""
JAVASCRIPT = """
const fs = require('fs');

const [, ...rows] = fs.readFileSync('sales.csv', 'utf8').trim().split(/\\r?\\n/).map((line) => line.split(','));
const totals = {};
for (const [city, , amount] of rows) totals[city] = (totals[city] ?? 0) + Number(amount);
fs.writeFileSync('totals.json', JSON.stringify(totals));
console.log(JSON.stringify(totals));
"""
BASH = """
echo "rows: $(($(wc -l < sales.csv) - 1))"
cut -d, -f1 sales.csv | tail -n +2 | sort | uniq -c
ls *.csv *.json
"""
# What a model would write into the page, having seen what Node printed.
HTML = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Sales by city</title></head>
<body>
<h1>Sales by city</h1>
<svg id="chart" width="400" height="120" role="img" aria-label="A bar for each city"></svg>
<script>
  const totals = TOTALS;
  const most = Math.max(...Object.values(totals));
  document.getElementById("chart").innerHTML = Object.entries(totals).map(([city, total], row) => `
    <text x="0" y="${row * 40 + 25}">${city}</text>
    <rect x="60" y="${row * 40 + 8}" width="${300 * total / most}" height="24" fill="teal"></rect>`).join("");
  console.log("cities:", Object.keys(totals).join(", "));
</script>
</body>
</html>
"""


class Chat:
    """A session, by `POST /api/execute`: files stay from one language to the next."""

    def __init__(self, url: str, token: str, session_id: str) -> None:
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        self.session_id = session_id

    def run(self, language: str, code: str) -> dict[str, Any]:
        body = {"code": code, "language": language, "session_id": self.session_id}
        answer = self.http.post("/api/execute", json=body)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        print(f"── {found['language']} ({found['engine']}, {found['duration_s']:.3f} s) ──")
        print(found["output"] if found["success"] else found["error"])
        if not found["success"]:
            raise SystemExit(1)
        return found

    def end(self) -> None:
        self.http.delete(f"/v1/sessions/{self.session_id}").raise_for_status()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=os.environ.get("KERNELGW_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--token", default=os.environ.get("KERNELGW_TOKEN", ""))
    parser.add_argument("--save", metavar="FILE", type=Path, help="write the page here, to open it in a browser")
    options = parser.parse_args(arguments)
    chat = Chat(options.url, options.token, f"polyglot-{uuid.uuid4().hex[:8]}")
    try:
        chat.run("python", PYTHON)
        totals = json.loads(chat.run("javascript", JAVASCRIPT)["output"])
        chat.run("bash", BASH)
        page = chat.run("html", HTML.replace("TOTALS", json.dumps(totals, ensure_ascii=False)))
        if options.save is not None:
            options.save.write_text(page["outputs"][0]["data"]["text/html"], encoding="utf-8")
    except httpx.HTTPStatusError as error:
        print(error.response.text, file=sys.stderr)
        return 2
    except httpx.TransportError as error:
        print(f"No answer from {options.url} ({error}). Is `kernelgw serve` running?", file=sys.stderr)
        return 2
    finally:
        with contextlib.suppress(httpx.HTTPError):
            chat.end()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
