"""The router: which language code is in, by code as models write it."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

import pytest

from kernelgw.compat.router import Route, route
from kernelgw.compat.servers import serves
from kernelgw.errors import NothingToRun
from kernelgw.sessions.browser import ENGINE, document

TEXT = Path(__file__).with_name("snippets.txt").read_text()
# Each with a line before it: its name, and where it belongs, which is a language of a kernel's, `browser:` and one that
# a page has, or nothing.
SNIPPETS = re.findall(r"^=== (\w+) -> (\S+)\n([\s\S]*?)\n(?====|\Z)", TEXT, re.MULTILINE)
NOTHING = "nothing"


def where(found: Route) -> str:
    return f"browser:{found.language}" if found.engine == ENGINE else found.language


def test_there_are_enough_of_each() -> None:
    assert len(SNIPPETS) >= 80
    assert len({name for name, _, _ in SNIPPETS}) == len(SNIPPETS)


@pytest.mark.parametrize(("expected", "code"), [(e, c) for _, e, c in SNIPPETS], ids=[name for name, _, _ in SNIPPETS])
@pytest.mark.parametrize("asked", [None, "auto"])
def test_snippets(expected: str, code: str, asked: str | None) -> None:
    if expected == NOTHING:
        with pytest.raises(NothingToRun) as caught:
            route(code, asked)
        assert caught.value.hint
        return
    found = route(code, asked)
    assert where(found) == expected, found.reason
    assert found.reason[0].isupper()
    assert found.reason.endswith(".")
    assert found.code.strip() in code


PROGRAMS = sorted(path for path in (Path(__file__).parents[1] / "programs").glob("*/*") if path.suffix != ".toml")


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_programs(path: Path) -> None:
    found = route(path.read_text(), None)
    if path.parent.name == "html":
        assert where(found) == {".css": "browser:css", ".js": "browser:javascript"}.get(path.suffix, "browser:html")
    else:
        assert where(found) == path.parent.name, found.reason


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        *(("python", "python"), ("py", "python"), ("Python3", "python"), ("js", "javascript"), ("node", "javascript")),
        *(("ts", "typescript"), ("sh", "bash"), ("shell", "bash"), (" bash ", "bash"), ("zsh", "bash")),
        *(("html", "browser:html"), ("HTML5", "browser:html"), ("css", "browser:css"), ("svg", "browser:html")),
        *(("browser", "browser:javascript"), ("ruby", "ruby"), ("tsx", "typescript"), ("deno", "typescript")),
    ],
)
def test_what_is_asked_for_counts(asked: str, expected: str) -> None:
    found = route("whatever it is", asked)
    assert where(found) == expected
    assert asked.strip() in found.reason


def test_fences_come_off_also_when_a_language_is_asked_for() -> None:
    found = route("```python\nprint('x')\n```\n", "py")
    assert (found.language, found.code) == ("python", "print('x')\n")
    assert "fence" in found.reason
    assert route("text = '''\n```\n'''", "python").code == "text = '''\n```\n'''"
    with pytest.raises(NothingToRun):
        route("```python\n```", "python")


def test_words_around_fences_are_left_out_also_when_a_language_is_asked_for() -> None:
    code = "Here is the program:\n```bash\npip install x\n```\n```py\nprint('x')\n```\nIt prints x."
    assert route(code, "python").code == "print('x')\n"
    assert route(code, "sh").code == "pip install x\n"
    assert route(code, "javascript").code == code


def test_inner_fences_stay() -> None:
    found = route("````python\ntext = '''\n```\nx\n```\n'''\nprint(text)\n````", None)
    assert found.code == "text = '''\n```\nx\n```\n'''\nprint(text)\n"


def test_blocks_of_one_language_are_one_program() -> None:
    code = "First:\n```python\nx = 1\n```\nThen:\n```python\nprint(x)\n```\nOr so:\n```js\n1\n```\n"
    found = route(code, None)
    assert found.code == "x = 1\n\nprint(x)\n"
    assert "2 of 3 fenced blocks" in found.reason
    assert "1 in other languages left out" in found.reason


@pytest.mark.parametrize("code", ["x = 5", "foo(bar)", "result"])
def test_ambiguous_code_says_so_and_takes_the_default(code: str) -> None:
    assert not route(code, None).sure
    assert "python was taken" in route(code, None).reason
    assert route(code, None, default="javascript").language == "javascript"


@pytest.mark.parametrize(
    "code",
    [
        *("cat <<a\n" * 3000, "if x\n" * 5000, "\n" * 100_000, "/*" * 20_000, "`" * 20_001, "<!-- -->" * 3000 + "<"),
        *("class a " * 5000, "fn a(" * 5000, "(" * 50_000, "x." * 30_000 + "x", "```\n" * 9000, "a{" * 20_000),
        *("package a\n" * 3000, "<!doctype html>" * 3000, "{" * 50_000, "[" * 50_000, "~~~" * 9000, "\"' " * 9000),
        *("x = '" + "a" * 5_000_000 + "'", "# " * 2_000_000, "let a = " * 4000, "-" * 60_000 + "1", "a" * 100_000),
        *("```a\n" * 1_000_000, "```\na\n```\n" * 500_000, "\n<!doctype html>" * 300_000, "a b. " * 1_000_000),
        *(" " * 90_000 + "!", "a" + " " * 90_000 + "%", "~~~~ \n" * 500_000, "<!--" * 1_000_000, "A=b\n" * 1_000_000),
        *("<style>{" * 100_000, "import x\n" * 500_000, "if [ " * 100_000, "\u2028" * 100_000, "def f(" * 100_000),
    ],
    ids=lambda code: ascii(code[:12]),
)
def test_nothing_that_is_sent_holds_the_gateway_up(code: str) -> None:
    began = time.process_time()
    with contextlib.suppress(NothingToRun):
        found = route(code, None)
        serves(found.code, found.language)
    with contextlib.suppress(NothingToRun):
        route(code, "bash")
    for language in ("python", "javascript", "bash"):
        serves(code, language)
    for language in ("html", "javascript", "css"):
        document(code, language)
    # Of processor time; a page of code takes some milliseconds.
    assert time.process_time() - began < 3
