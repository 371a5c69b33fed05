"""What modules alone may say, said otherwise: by the program's own reader, in the environment's node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kernelgw import environments

AGENT = Path(__file__).parents[2] / "kernels" / "javascript" / "agent"
HARNESS = """
const modules = require("./modules.js");
const [name, ...rest] = JSON.parse(require("fs").readFileSync(0, "utf8"));
const calls = { ...modules, redeclare: (code, kinds) => modules.redeclare(code, new Map(Object.entries(kinds))) };
console.log(JSON.stringify(calls[name](...rest)));
"""


# Of all files below a folder: how many there are, and those that could be read by the engine before and not after.
EVERY = """
const fs = require("fs");
const vm = require("vm");
const modules = require("./modules.js");
const folder = JSON.parse(fs.readFileSync(0, "utf8"));
const files = fs.readdirSync(folder, { recursive: true }).filter((name) => /[.][cm]?js$/.test(name));
const parses = (code) => {
  try {
    return Boolean(new vm.Script(`async function cell() {${code.replace(/^#!.*/, "")}\n}`));
  } catch (error) {
    return /import|export/i.test(error.message) ? null : false;
  }
};
const broken = files.filter((name) => {
  const code = fs.readFileSync(`${folder}/${name}`, "utf8");
  if (parses(code) === false) return false;
  for (const token of modules.tokens(code)) void token;
  return parses(modules.soften(modules.rewrite(code))) !== true;
});
console.log(JSON.stringify([files.length, broken]));
"""


def run(program: str, given: object) -> Any:
    node = environments.find("default").prefix / "bin" / "node"
    command = [str(node), "--input-type=commonjs", "-e", program]
    text = json.dumps(given)
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=AGENT, timeout=60, check=True)
    return json.loads(done.stdout)


def ask(name: str, *arguments: object) -> str:
    return str(run(HARNESS, [name, *arguments]))


def rewrite(code: str) -> str:
    """With shorter names for what takes the place of `import`."""
    text = ask("rewrite", code)
    return text.replace("__kernelgw_import__", "IMPORT").replace("__kernelgw_pick__", "PICK")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import 'side';", "void await IMPORT('side');"),
        ("import * as all from 'm'", "let all = await IMPORT('m');"),
        ("import x from 'm'", "let {default: x} = PICK(await IMPORT('m'), [\"default\"], 'm');"),
        ("import {a, b as c} from 'm'", "let {a, b: c} = PICK(await IMPORT('m'), [\"a\",\"b\"], 'm');"),
        ("import {default as d} from 'm'", "let {default: d} = PICK(await IMPORT('m'), [\"default\"], 'm');"),
        ("import {'a-b' as c} from 'm'", "let {'a-b': c} = PICK(await IMPORT('m'), ['a-b'], 'm');"),
        ("import x, * as y from 'm'", "let y = await IMPORT('m'), {default: x} = PICK(y, [\"default\"], 'm');"),
        (
            "import j from './j.json' with {type: 'json'}",
            "let {default: j} = PICK(await IMPORT('./j.json', {with: {type: 'json'}}), [\"default\"], './j.json');",
        ),
        ("const m = await import('m')", "const m = await IMPORT('m')"),
        ("async () => { for (const n of x) await import(n) }", "async () => { for (const n of x) await IMPORT(n) }"),
        ("`${`${import('n')}`}`", "`${`${IMPORT('n')}`}`"),
        ("x = {}\n/ import('p') / 1", "x = {}\n/ IMPORT('p') / 1"),
        ("a\n/import('b')/g", "a\n/IMPORT('b')/g"),
        ("import.meta.url", "__kernelgw_meta__.url"),
        ("export const x = 1", "       const x = 1"),
        ("export default class A {}", "               class A {}"),
        ("export default async () => 1", "               async () => 1"),
        ("export { x, y as z };\n1", "                     \n1"),
        ("export {a, default} from 'm'", "void await IMPORT('m');"),
        ("export * as all from 'm'", "void await IMPORT('m');"),
        ("export * from 'm'", "void await IMPORT('m');"),
    ],
)
def test_what_modules_say(code: str, expected: str) -> None:
    assert rewrite(code) == expected


@pytest.mark.parametrize(
    "code",
    [
        "const s = \"import x from 'y'\"",
        "const s = 'it\\'s import(\"x\")'",
        "`import x from 'y'`",
        "`${'`'} export const x = 1`",
        "// import x from 'y'\n/* export default 1\nimport 'z' */",
        "/import x from 'y'/.test(s)",
        "/[/]import('x')/.test(s)",
        "if (x) /import('a')/.exec(y)",
        "}\n/import('x')/",
        "return /export default/",
        "const o = { import() { return 1 }, export: 2 }; o.import('x'); o?.export",
        "class A { static import(x) { return x } }",
        "const imports = 1; exported(imports)",
        "<!-- import",
        "import type { X } from 'y'",
        "import { type X, y } from 'z'",
        "import type X from 'y'",
    ],
)
def test_what_only_looks_like_it(code: str) -> None:
    assert rewrite(code) == code


def test_lines_stay_where_they_were() -> None:
    code = "import {\n  a,\n  b, // import q from 'q'\n} from 'm'\nimport x\n  from 'n'\nthrow 1"
    made = rewrite(code)
    assert made.count("\n") == code.count("\n")
    assert made.split("\n")[6] == "throw 1"


@pytest.mark.parametrize("code", ["import {", "`${", "import x from", "const s = 'open", "/* ", "import x, y from 'z'"])
def test_what_cannot_be_read_is_left_for_the_engine(code: str) -> None:
    assert rewrite(code) == code


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("const a = 1, b = [2]", "let   a = 1, b = [2]"),
        ("const {a, b: c} = x", "let   {a, b: c} = x"),
        ("const a = 1; a = 2", "const a = 1; a = 2"),
        ("const a = 1; try { a++ } catch {}", "const a = 1; try { a++ } catch {}"),
        ("const a = 1; if (a == 2) b.a = 3", "let   a = 1; if (a == 2) b.a = 3"),
        ("for (const a of b) { const c = a }", "for (const a of b) { const c = a }"),
        ("f(() => {\n  const a = 1\n})", "f(() => {\n  const a = 1\n})"),
    ],
)
def test_constants_may_be_declared_again(code: str, expected: str) -> None:
    """But those that the cell itself assigns to stay what they are."""
    assert ask("soften", code) == expected


def test_other_kinds_take_the_place_of_what_was_declared() -> None:
    assert ask("redeclare", "let f = 2, g = 3", {"g": "var"}) == "var f = 2, g = 3"
    assert ask("redeclare", "class A {}\n[1]", {"A": "var"}) == "var A = class A {};\n[1]"
    made = ask("redeclare", "f()\nfunction f() { return f }", {"f": "let"})
    assert made.split("\n")[1] == "function f$() { return f }"
    assert made.startswith("let f = Object.defineProperty(f$, ")


def test_megabytes_are_read_in_a_moment() -> None:
    code = 'const a = `x${1}`; foo(/a/, "b");\n' * 30_000
    assert ask("rewrite", f"{code}import 'x'").endswith("void await __kernelgw_import__('x');")


def test_a_thousand_real_files() -> None:
    npm = (environments.find("default").prefix / "bin" / "npm").resolve().parents[1]
    count, broken = run(EVERY, str(npm))
    assert count > 500
    assert broken == []
