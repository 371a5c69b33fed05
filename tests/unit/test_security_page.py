"""The table in SECURITY.md says what code and tests say. `python -m tests.unit.test_security_page` writes it."""

from __future__ import annotations

import re
from pathlib import Path

from kernelgw.doctor import probes
from kernelgw.doctor.properties import GROUPS, PROPERTIES, Property

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "SECURITY.md"
BEGIN, END = "<!-- properties: begin -->", "<!-- properties: end -->"
AT_START = frozenset(id_ for name in probes.FILES for id_ in probes.ids(name)) - {"PR10"}
TRIED = AT_START | {"PR10"}
MARK = re.compile(r"mark\.prop\(([^)]*)\)")
# Where the marks come from a table: how its rows name them.
TABLES = {"test_filter.py": r'Probe\("([A-Z]{2}\d\d)"', "test_api.py": r'^ {8}"([A-Z]{2}\d\d)":'}
EVERY = "tests/security/test_properties.py"


def shown_by() -> dict[str, list[str]]:
    """Test files by property."""
    found: dict[str, list[str]] = {id_: [EVERY] if id_ in TRIED else [] for id_ in PROPERTIES}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        ids = set(re.findall(r"\b[A-Z]{2}\d\d\b", " ".join(MARK.findall(text))))
        if path.name in TABLES:
            ids |= set(re.findall(TABLES[path.name], (path.parent / "calls.py").read_text() + text, re.MULTILINE))
        for id_ in sorted(ids):
            found[id_].append(str(path.relative_to(ROOT)))
    return found


def row(each: Property, files: list[str]) -> str:
    names = ", ".join(file.removeprefix("tests/") for file in files)
    words = f"{each.words} (*{each.weaker}*)" if each.weaker else each.words
    if each.subject:
        words += f" (*nothing to show it of yet: {each.subject}*)"
    start = "start" if each.id in AT_START else ""
    return f"| {each.id} | {words} | {'must' if each.mandatory else ''} | {start} | {names} |"


def table() -> str:
    shown = shown_by()
    lines = []
    for group, title in GROUPS.items():
        lines += [f"\n**{title}**\n", "| | | | tried at | shown by tests/ |", "|---|---|---|---|---|"]
        lines += [row(each, shown[id_]) for id_, each in PROPERTIES.items() if id_.startswith(group)]
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def test_the_page_has_the_table() -> None:
    page = PAGE.read_text()
    assert page == with_table(page), "run python -m tests.unit.test_security_page"


def test_every_property_is_shown_by_a_test() -> None:
    assert [id_ for id_, files in shown_by().items() if not files] == []


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
