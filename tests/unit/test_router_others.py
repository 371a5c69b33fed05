"""The router: code that looks like something else than it is, and what nothing here runs."""

from __future__ import annotations

import contextlib
import time

import pytest

from kernelgw.compat.router import Route, route
from kernelgw.errors import NothingToRun
from kernelgw.sessions.browser import ENGINE


def where(found: Route) -> str:
    return f"browser:{found.language}" if found.engine == ENGINE else found.language


JAVASCRIPT = [
    "export default { a: 1 }",
    "[1,2,3].map(x => x * 2)",
    "(() => 42)()",
    "new Date().getFullYear()",
    "throw new Error('x')",
    "`one ${1 + 1} two`",
    "`just text here`;",
    "fetch('https://x.y').then(r => r.json()).then(console.log)",
    "// hello",
    "module.exports = {\n  a: Symbol('a'),\n  b: Symbol('b')\n}",
    "let [a, b] = [1, 2]",
    "var x = 1; print(x)",
    "/* hello */\n// there",
    "const go = `\npackage main\nfunc main() {}\n`;\nconsole.log(go)",
    "let x = 5\nfunction print(s) { console.log(s) }\nprint(x)",
    "class A {\n  static x = 1;\n}",
    "for (let i = 0; i < 3; i++) { console.log(i) }",
    "if (a < b && c > d) { console.log(`</b>`) }",
    "function wrap(s) {\n  return '<b>' + s + '</b>';\n}",
]
TYPESCRIPT = [
    "interface A { a: string; }",
    "const f = <T>(x: T): T => x;\nconsole.log(f<number>(1))",
    "let x: number = 5;\nconsole.log(x)",
]
PYTHON = [
    "!ls /",
    "! ls",
    "!ls /\n!pwd",
    "%%time\nconst = 1",
    "%%writefile app.js\nconst x = 1;\nconsole.log(x)",
    "%%bash --out lines\nls",
    "%%ruby\nputs 'hi'",
    "text = '''\nlocal x = 5\nfn main() {}\n'''\nprint(text)",
    "query = '''\nSELECT a FROM b\n'''",
    "code = '''\n<div>x</div>\n'''",
    "def f():\n    return '''\nname: x\nage: 3\n'''",
    "x: int = 5\ny: str = 'a'",
    "a, b = 1, 2\na, b",
    "[\n  1, 2,\n  3, 4,\n]",
    "(1,\n 2)",
    "x < -5",
    "- 1",
    "print 'a', 'b'\nprint 'c', 'd'",
    "def f(x)\n    return x\nprint(f(1))",
    "# only a comment",
    "# one\n# two",
    "x: int\ny: str",
    'import a\nimport b\npage = template(\n"""\n<!doctype html><html><body>x</body></html>\n""")',
    "x = {'a': 1,\n 'b': 2}",
    "class A:\n    x: int\n    y: str",
    "with open('a') as f:\n    f.read()",
]
BASH = [
    "cat > main.go <<'EOF'\npackage main\nfunc main() {}\nEOF\ngo run main.go",
    "cat > main.c <<'EOF'\n" + "int main(void) {\n" * 2000 + "EOF\ngcc main.c",
    "cat > Main.java <<EOF\npublic class Main {}\nEOF\njavac Main.java",
    "cat > App.jsx <<'EOF'\nexport default () => <div>x</div>;\nEOF\nls",
    "cat > a.yml <<EOF\nname: x\nage: 3\nEOF",
    "local_x=5; echo $local_x",
    "f() {\n  local x=5\n  echo $x\n}\nf",
    "for f in *.txt; do\n  echo $f\ndone",
    "echo a, b\necho c, d",
    "while read -r x; do echo $x; done < <(ls)",
    "docker run --rm alpine true",
    "x=$(date)\necho $x",
]
PAGES = [
    *(
        ("css", "main { margin: 0 }"),
        ("css", "a:hover, .if { color: red; }"),
        ("css", "@media print { p { color: red } }"),
    ),
    *(("css", "/* x */ .for { a: b }"), ("html", "<p>hi</p>"), ("html", "%%html\n<p>hi</p>")),
    *(("javascript", "%%js\ndocument.title = 'x'"), ("javascript", "document.title = 'x'")),
]


@pytest.mark.parametrize(
    ("expected", "code"),
    [
        *(("javascript", code) for code in JAVASCRIPT),
        *(("typescript", code) for code in TYPESCRIPT),
        *(("python", code) for code in PYTHON),
        *(("bash", code) for code in BASH),
        *((f"browser:{name}", code) for name, code in PAGES),
    ],
)
def test_what_runs(expected: str, code: str) -> None:
    found = route(code, "auto")
    assert "as much like" not in found.reason
    assert where(found) == expected, found.reason


OTHERS = [
    ("ruby", "puts 'hi'"),
    ("ruby", "[1, 2].each do |x|\n  puts x\nend"),
    ("ruby", "def hi\n  1\nend"),
    ("lua", "local x = 5\nprint(x)"),
    ("lua", "function f(x)\n  return x\nend\nprint(f(1))"),
    ("lua", "for i = 1, 10 do\n  print(i)\nend"),
    ("swift", 'let x: Int = 5\nprint("x is \\(x)")'),
    ("swift", 'let name = "x"\nprint("Hello \\(name)")'),
    ("swift", "func add(_ a: Int, _ b: Int) -> Int {\n  return a + b\n}"),
    ("r", "x <- c(1,2,3)\nmean(x)"),
    ("r", "library(ggplot2)"),
    ("kotlin", 'fun main() {\n  println("hi")\n}'),
    ("kotlin", "val x = 5\nprintln(x)"),
    ("powershell", "PS> dir"),
    ("powershell", "PS C:\\Users\\me> dir"),
    ("powershell", "Get-ChildItem | Where-Object { $_.Length -gt 5 }"),
    ("powershell", 'Write-Host "hi"'),
    ("sql", "SELECT name FROM people;"),
    ("sql", "SELECT 1;"),
    ("sql", "-- all\nDROP TABLE people;"),
    ("c", 'int main(void) {\n  printf("hi");\n}'),
    ("c", '#include <stdio.h>\nint main() { return 0; }'),
    ("cpp", "#include <iostream>\nint main() { std::cout << 1; }"),
    ("java", 'System.out.println("hi");'),
    ("java", "List<String> xs = new ArrayList<>();"),
    ("java", "public class Main {\n  public static void main(String[] args) {}\n}"),
    ("csharp", 'Console.WriteLine("hi");'),
    ("go", 'func main() {\n  fmt.Println("hi")\n}'),
    ("go", "x := 5"),
    ("rust", 'fn main() {\n  println!("hi");\n}'),
    ("rust", "let mut x = 5;"),
    ("php", "<?php echo 1;"),
    ("perl", "use strict;\nmy $x = 1;"),
    ("haskell", "main :: IO ()\nmain = putStrLn \"hi\""),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "code"), OTHERS)
def test_what_nothing_runs_is_called_by_its_name(expected: str, code: str) -> None:
    found = route(code, None)
    assert where(found) == expected
    assert "looks like" in found.reason


REFUSED = [
    ("CSV", "a,b,c\n1,2,3\n4,5,6"),
    ("CSV", "name,age\nAnn,25"),
    ("CSV", 'name,text\nAnn,"x, y"\nBob,z'),
    ("CSV", "a\tb\n1\t2"),
    ("YAML", "name: x\nage: 3"),
    ("YAML", "services:\n  web:\n    image: nginx\n    ports:\n      - 80:80"),
    ("YAML", "---\non: push\njobs:\n  test:\n    steps:\n      - name: x\n        run: make"),
    ("Dockerfile", "FROM python:3.11\nRUN pip install flask\nCMD python app.py"),
    ("Dockerfile", "FROM python:3.11"),
    ("settings", '[package]\nname = "x"\nversion = "1"'),
    ("XML", "<note><to>Ann</to></note>"),
    ("XML", '<?xml version="1.0"?>\n<note/>'),
    ("list", "- apples\n- pears"),
    ("text", "# Title\n\nSome words about **it**, and more.\n\n* one thing\n* another thing"),
    ("text", "## Setup\n\n1. Open the `settings`.\n2. Read [the page](https://x.y) about it."),
    ("JSX", "export default function App() {\n  return <h1>Hello</h1>;\n}"),
    ("JSX", "const App = () => (\n  <div className='x'>\n    <Child a={1} />\n  </div>\n);"),
    ("JSX", "<App />"),
    ("JSX", "function App({ a }: { a: string }) {\n  const [n, setN] = useState<number>(0);\n  return <p>{a}</p>;\n}"),
    ("JSX", "```tsx\nexport const A = (p: { a: string }) => <p>{p.a}</p>;\n```"),
    ("JSX", "Install:\n```bash\nnpm i react\n```\n```jsx\nexport const A = () => <p>x</p>;\n```"),
    ("JSX", "```jsx\nexport const A = () => <p>x</p>;\n```"),
    ("JSX", "```\nexport const A = () => <p>x</p>;\n```"),
]


@pytest.mark.parametrize(("word", "code"), REFUSED)
def test_what_is_no_program_is_refused_by_its_name(word: str, code: str) -> None:
    with pytest.raises(NothingToRun) as caught:
        route(code, None)
    assert word in caught.value.message


@pytest.mark.parametrize("asked", ["jsx", "TSX"])
def test_jsx_is_refused_where_it_is_asked_for(asked: str) -> None:
    with pytest.raises(NothingToRun, match="JSX"):
        route("const A = () => <p>x</p>;", asked)
    assert route("const a = 1 < 2;", asked).language in ("javascript", "typescript")


@pytest.mark.parametrize(
    ("language", "code", "rest"),
    [
        *(("bash", "$ echo hi", "echo hi\n"), ("bash", "$ echo hi\nhi\n$ pwd\n/x", "echo hi\npwd\n")),
        ("bash", "$ cat <<EOF > a\n> one\n> EOF\n$ echo a \\\n  b", "cat <<EOF > a\none\nEOF\necho a \\\n  b\n"),
        *(("bash", "me@host:~/x$ ls", "ls\n"), ("bash", "```console\n$ ls\na.txt\n```", "ls\n")),
        *(("bash", "%%bash\nls\n", "ls\n"), ("bash", "%%sh\nls", "ls")),
        *(("javascript", "%%javascript\nlet x = 1", "let x = 1"), ("javascript", "\n%%js\n1 + 1", "1 + 1")),
    ],
)
def test_prompts_and_cell_magics_come_off(language: str, code: str, rest: str) -> None:
    found = route(code, "auto")
    assert (where(found), found.code) == (language, rest)
    assert "taken off" in found.reason
    assert ("left out" in found.reason) is ("hi\nhi" in code or "a.txt" in code)


@pytest.mark.parametrize("code", ["$", "$ (document)", "%%bash\n", "$ 5 are enough for it."])
def test_what_is_no_prompt(code: str) -> None:
    with contextlib.suppress(NothingToRun):
        assert "prompt" not in route(code, "auto").reason


@pytest.mark.parametrize(
    "piece",
    [
        *("function f()\n", "for i = 1,", "'''", '"""', "`", "$ a <<b\n", "a: b\n", "- a\n", "a,b\n", "<a ", "<a>"),
        *("let a =", "print(", "int a(", "[a]\n", "a <- ", "fn a<", "func a(", "val a:", "import a", "= <a", "--\n"),
        *("my ", "a::", "me@", "FROM a\n", "ARG a\n", "/*", "//", "new A", "A<b", "=> ", "export {", " ", "\t"),
        *("a { b: c } ", "# a\n", "[a]("),
        *("a@b", "Write-", "select ", "use ", "`a", "(a", "%%a ", "def a", "do |a", "'a", ", a", "a = "),
    ],
)  # fmt: skip
def test_nothing_that_is_sent_holds_the_gateway_up(piece: str) -> None:
    began = time.process_time()
    for code in (piece * 30_000, piece * 30_000 + "\nx", "x\n" + (piece * 40 + "\n") * 600):
        with contextlib.suppress(NothingToRun):
            route(code, None)
    assert time.process_time() - began < 3
