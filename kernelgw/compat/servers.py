"""Programs that wait for requests until they are stopped. Pure."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from types import MappingProxyType

from ..languages import BASH, JAVASCRIPT, PYTHON, TYPESCRIPT
from . import clues

LONGEST_PARSED = 100_000
# Classes of applications, and what runs one.
APPLICATIONS = MappingProxyType(
    {
        **dict.fromkeys(("Flask", "Quart", "Bottle", "SocketIO"), "run"),
        **dict.fromkeys(("FastAPI", "Starlette", "Litestar", "Sanic"), "run"),
        **dict.fromkeys(("Dash",), "run_server"),
        **dict.fromkeys(("Blocks", "Interface", "ChatInterface"), "launch"),
    }
)
# In whose programs a call of this name does not return.
RUNNERS = MappingProxyType(
    {"uvicorn": "run", "waitress": "serve", "hypercorn": "run", "web": "run_app", "gevent": "run"}
)
FOREVER = frozenset({"serve_forever", "run_forever"})
# Of a program that also ends its server, or calls its application without one.
ENDS = re.compile(
    r"\.shutdown\s*\(|\btest_client\b|\bTestClient\b|\bASGITransport\b|\bhandle_request\s*\(|\bThread\s*\("
)
WORTH_A_LOOK = re.compile(
    r"Flask|FastAPI|Starlette|Quart|Bottle|Sanic|Litestar|Dash|SocketIO|Blocks|Interface|uvicorn|waitress|hypercorn|"
    r"aiohttp|serve_forever|run_forever|streamlit"
)
LISTENS = re.compile(r"[\w$)]\s*\.listen\s*\(")
NODE_SERVER = re.compile(
    r"[\"'](?:node:)?(?:https?|net|http2)[\"']|[\"'](express|fastify|koa|@hapi/hapi|restify|polka|ws|socket\.io|hono)[\"']"
)
NODE_ENDS = re.compile(r"\.close\s*\(|process\.exit\s*\(")
SHELL_SERVERS = re.compile(
    r"(?:sudo |exec |env )?(?:[A-Z_]+=\S+ )*"
    r"(python3? -m (?:http\.server|flask run|uvicorn|gunicorn)\b|"
    r"(?:flask run|uvicorn|gunicorn|hypercorn|waitress-serve|streamlit run|jupyter (?:lab|notebook|server)|"
    r"npm (?:start|run (?:dev|start|serve))|(?:yarn|pnpm) (?:start|dev)|npx (?:serve|http-server|vite)|"
    r"next dev|vite|nginx|php -S|rails s)(?![\w.-]))"
)


def serves(code: str, language: str) -> str | None:
    """Why this is a server's program, as a sentence; None when nothing says so."""
    if language == PYTHON:
        return _python(code)
    if language in (JAVASCRIPT, TYPESCRIPT):
        return _node(code)
    return _shell(code) if language == BASH else None


def _python(code: str) -> str | None:
    if len(code) > LONGEST_PARSED or WORTH_A_LOOK.search(code) is None or ENDS.search(code) is not None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    made: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and _imports(node, "streamlit"):
            return "It is a Streamlit page, which a server of its own shows."
        made.update(_applications(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (why := _runs(node, made)) is not None:
            return why
    decorated = {name for name in _routes(tree) if name in made}
    for name in sorted(decorated):
        return f"It is a {made[name]} application, which a server runs."
    return None


def _imports(node: ast.Import | ast.ImportFrom, module: str) -> bool:
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] == module
    return any(alias.name.split(".")[0] == module for alias in node.names)


def _applications(node: ast.AST) -> dict[str, str]:
    """Names that are given one, with what it is."""
    made: list[tuple[ast.expr, ast.expr | None]] = []
    if isinstance(node, ast.Assign):
        made = [(target, node.value) for target in node.targets]
    elif isinstance(node, ast.With):
        made = [(item.context_expr, item.context_expr) for item in node.items]
        made = [(item.optional_vars, item.context_expr) for item in node.items if item.optional_vars is not None]
    found = {}
    for target, value in made:
        if isinstance(target, ast.Name) and isinstance(value, ast.Call):
            kind = _last(value.func)
            if kind in APPLICATIONS:
                found[target.id] = kind
    return found


def _runs(call: ast.Call, made: dict[str, str]) -> str | None:
    if not isinstance(call.func, ast.Attribute):
        return None
    name, owner = call.func.attr, call.func.value
    if name in FOREVER:
        return f"It calls {name}(), which answers requests until it is stopped."
    if isinstance(owner, ast.Name):
        if RUNNERS.get(owner.id) == name:
            return f"It calls {owner.id}.{name}(), which answers requests until it is stopped."
        kind = made.get(owner.id)
        if kind is not None and name in (APPLICATIONS[kind], "run", "launch"):
            return f"It runs a {kind} application, which answers requests until it is stopped."
    return None


def _routes(tree: ast.Module) -> Iterator[str]:
    """Names of what functions are registered with, by decorators such as `@app.get("/")`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                target = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                    yield target.value.id


def _last(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _node(code: str) -> str | None:
    seen = clues.looked_at(code)
    if LISTENS.search(clues.TEXT.sub("''", seen)) is None or NODE_ENDS.search(seen) is not None:
        return None
    if (found := NODE_SERVER.search(seen)) is None:
        return None
    what = f"a server of {found[1]}" if found[1] else "a server"
    return f"It starts {what}, which answers requests until it is stopped."


def _shell(code: str) -> str | None:
    for line in clues.without_heredocs(clues.looked_at(code)).split("\n"):
        command = " ".join(line.partition("#")[0].split())
        found = SHELL_SERVERS.match(command)
        if found is not None and not command.endswith("&") and not re.search(r" --(?:version|help)\b", command):
            return f"{found[1]} answers requests until it is stopped."
    return None
