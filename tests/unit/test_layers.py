"""Holds the shape of the code: which way imports go, no state in modules, small functions and files."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# From the top: whatever stands in a line may import what stands in the lines below it, and nothing beside it.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("server", "run", "lab", "kernelspecs"),
    ("provisioner",),
    ("operate",),
    ("app", "indexer"),
    ("compat", "mcp"),
    ("api", "jupyter"),
    ("sessions",),
    ("doctor",),
    ("kernel", "workspace"),
    ("access", "artifacts", "egress", "sandbox", "store"),
    ("settings",),
    ("errors", "hardening", "children"),
    ("environments", "languages"),
)
ALONE = ("events", "client", "web")  # import nothing else of ours
USES_CLIENT = ("run", "lab", "operate")  # commands that talk to a gateway as anyone would; the gateway itself does not
DEPTH = {name: depth for depth, layer in enumerate(LAYERS) for name in layer}

MUTABLE_CALLS = frozenset(
    {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict", "WeakSet"}
    | {"WeakKeyDictionary", "WeakValueDictionary"}
)
MUTABLE_DISPLAYS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 400

# What a package that we depend on is there for, besides itself.
COMES_WITH = {
    "fastapi": {"anyio", "pydantic", "starlette"},
    "ipykernel": {"jupyter_client", "tornado"},
    "jupyter_client": {"jupyter_core", "traitlets"},
    "jupyter_server": {"jupyter_core", "tornado", "traitlets"},
    "debugpy": {"pydevd", "_pydevd_bundle"},
}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


OURS = sources("kernelgw") + sources("kernels")
every_file = pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), path)


def imports(path: Path, text: str | None = None) -> Iterator[str]:
    """Every imported name in full, `from ..a import b` in kernelgw/c/d.py being kernelgw.a.b."""
    here = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(text if text is not None else path.read_text(), path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: -node.level]] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            yield from (".".join([*module, alias.name]) for alias in node.names)


def part(name: str) -> str | None:
    """The part of kernelgw that an imported name is in; None for others and for `kernelgw.__version__`."""
    package, _, rest = name.partition(".")
    part = rest.partition(".")[0]
    return part if package == "kernelgw" and part not in ("", "__version__") else None


def may_import(here: str, there: str) -> bool:
    if here == there:
        return True
    if here in ALONE:
        return False
    if there == "client":
        return here in USES_CLIENT
    if there == "events":
        return DEPTH[here] < DEPTH["settings"]
    return there in DEPTH and DEPTH[here] < DEPTH[there]


@pytest.mark.parametrize("path", sources("kernelgw"), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    here = path.relative_to(ROOT / "kernelgw").with_suffix("").parts[0]
    if here == "__init__":
        assert not list(imports(path))
        return
    assert here in DEPTH or here in ALONE, f"say in LAYERS where {here} belongs"
    wrong = [name for name in imports(path) if (there := part(name)) and not may_import(here, there)]
    assert not wrong, f"{here} must not import {', '.join(wrong)}"


def test_the_check_of_imports_sees_what_it_should() -> None:
    path = ROOT / "kernelgw" / "events" / "log.py"
    assert [*imports(path, "from ..kernel import wire")] == ["kernelgw.kernel.wire"]
    assert [*imports(path, "from .model import Event")] == ["kernelgw.events.model.Event"]
    assert [*imports(path, "from .. import __version__, errors")] == [
        "kernelgw.__version__",
        "kernelgw.errors",
    ]
    assert part("kernelgw.__version__") is None
    assert part("kernelgw.errors.Bad") == "errors"
    assert may_import("api", "sessions")
    assert may_import("api", "events")
    assert may_import("settings", "errors")
    assert may_import("run", "client")
    for here, there in [
        ("sessions", "api"),
        ("api", "jupyter"),
        ("events", "errors"),
        ("errors", "events"),
        ("client", "errors"),
        ("app", "client"),
    ]:
        assert not may_import(here, there), (here, there)


@pytest.mark.parametrize("path", sources("kernels"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_kernel_s_side_knows_nothing_of_the_gateway(path: Path) -> None:
    assert not [name for name in imports(path) if name.split(".")[0] == "kernelgw"]


def names_in(path: Path) -> set[str]:
    return names_of(path.read_text().splitlines())


def names_of(lines: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", line)[0].lower().replace("-", "_") for line in lines if line[:1].isalnum()}


def at_import(path: Path) -> set[str]:
    """Packages that a module imports as it is imported itself."""
    found = [
        node
        for node in parse(path).body
        if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0)
    ]
    return {name.split(".")[0] for node in found for name in imports(path, ast.unparse(node))}


def third_party(package: str, declared: set[str], but: str = "-") -> set[str]:
    known = declared | {"kernelgw", "kernels"} | sys.stdlib_module_names
    known |= {name for of in declared for name in COMES_WITH.get(of, ())}
    paths = [path for path in sources(package) if ROOT / but not in path.parents]
    return {top for path in paths for name in imports(path) if (top := name.split(".")[0]) not in known}


def test_the_gateway_declares_what_it_imports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = names_in(ROOT / "requirements" / "gateway.in")
    assert sorted(project["dependencies"]) == sorted((ROOT / "requirements" / "gateway.in").read_text().splitlines())
    # What is for Jupyter's clients is imported where one is.
    apart = {name: names_of(wanted) for name, wanted in project["optional-dependencies"].items()}
    here = third_party("kernelgw", declared, but="kernelgw/lab")
    assert here <= apart["jupyter"] | COMES_WITH["jupyter_client"]
    for path in sources("kernelgw"):
        if path.relative_to(ROOT / "kernelgw").parts[0] not in ("provisioner", "lab"):
            assert not at_import(path) & here, path
    # What only `kernelgw lab` needs is an extra, so nothing else may.
    lab = names_in(ROOT / "requirements" / "lab.in")
    extra = project["optional-dependencies"]["lab"]
    assert sorted(extra) == sorted((ROOT / "requirements" / "lab.in").read_text().splitlines())
    assert not third_party("kernelgw/lab", declared | lab)


def test_the_default_environment_has_what_kernels_import() -> None:
    locked = names_in(ROOT / "kernels" / "environments" / "default.txt")
    import_names = {"pyzmq": "zmq", "ipython": "IPython", "pillow": "PIL", "pyyaml": "yaml"}
    assert not third_party("kernels", locked | {import_names.get(name, name) for name in locked})


def mutable_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from (f"global {name}" for name in node.names)
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and is_mutable(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            yield from (name for name in names if name != "__all__")


def is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Subscript):
        return is_mutable(value.value)
    if isinstance(value, ast.Call):
        function = value.func.value if isinstance(value.func, ast.Subscript) else value.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        return name in MUTABLE_CALLS
    return isinstance(value, MUTABLE_DISPLAYS)


@every_file
def test_no_mutable_state_in_modules(path: Path) -> None:
    assert not [*mutable_names(parse(path))], "hang it on an object, or make it a tuple, frozenset, MappingProxyType"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A = {}", ["A"]),
        ("a: Final = [1]", ["a"]),
        ("a = collections.defaultdict(list)", ["a"]),
        ("a = deque[int]()", ["a"]),
        ("def f():\n    global a", ["global a"]),
        ("A = (1,); B = frozenset({1}); C = MappingProxyType({1: 2}); __all__ = ['x']", []),
        ("def f():\n    a = []\nlib.f.argtypes = [int]", []),
    ],
)
def test_the_check_of_state_sees_what_it_should(text: str, found: list[str]) -> None:
    assert [*mutable_names(ast.parse(text))] == found


@every_file
def test_files_and_functions_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES
    long = [
        node.name
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert not long
