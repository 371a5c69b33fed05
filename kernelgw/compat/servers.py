"""Programs that wait for requests until they are stopped. Pure."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
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
    r"\.shutdown\b|\btest_(?:client|cli_runner|request_context)\b|\bTestClient\b|\bASGITransport\b|\bAppTest\b|"
    r"\bhandle_request\s*\(|\b_exit\s*\(|\bos\.kill\s*\(|\binterrupt_main\b|\balarm\s*\("
)
# … or that of an event loop, after a time.
LOOP_ENDS = re.compile(r"\bwait_for\s*\(|\btimeout(?:_at)?\s*\(|\.cancel\s*\(|\bcall_(?:later|at|soon)\w*\s*\(")
# What has others do what it is given, beside the rest of the program.
BESIDE = frozenset(
    {"Thread", "Process", "Timer", "submit", "start_new_thread", "to_thread", "run_in_executor", "create_task"}
) | {"ensure_future"}
WORTH_A_LOOK = re.compile(
    r"Flask|FastAPI|Starlette|Quart|Bottle|Sanic|Litestar|Dash|SocketIO|Blocks|Interface|uvicorn|waitress|hypercorn|"
    r"aiohttp|serve_forever|run_forever|streamlit"
)
LISTENS = re.compile(r"[\w$)]\s*\.listen\s*\(")
NODE_SERVER = re.compile(
    r"[\"'](?:node:)?(?:https?|net|http2)[\"']|[\"'](express|fastify|koa|@hapi/hapi|restify|polka|ws|socket\.io|hono)[\"']"
)
NODE_ENDS = re.compile(
    r"\.close\s*\(|process\.exit\s*\(|\.unref\s*\(|\.abort\s*\(|\bAbortSignal\.timeout\b|"
    r"\b(?:fetch|get|request|axios|connect|createConnection)\s*\(\s*[^)\n]{0,60}(?:localhost|127\.0\.0\.1)"
)
SHELL_SERVERS = re.compile(
    r"(?:sudo |exec |env )?(?:[A-Z_]+=\S+ )*"
    r"(python3? -m (?:http\.server|flask run|uvicorn|gunicorn)\b|"
    r"(?:flask run|uvicorn|gunicorn|hypercorn|waitress-serve|streamlit run|jupyter (?:lab|notebook|server)|"
    r"npm (?:start|run (?:dev|start|serve))|(?:yarn|pnpm) (?:start|dev)|npx (?:serve|http-server|vite)|"
    r"next dev|vite|nginx|php -S|rails s)(?![\w.-]))"
)
# Texts and comments, and what stands between commands; `2>&1` and `&>` do not.
SHELL_TEXT = re.compile(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|(?<!\S)#[^\n]*")
SHELL_ENDS = re.compile(r"(\n|;|&&|\|\||(?<![>&])&(?![>&]))")


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
        made.update(_applications(node))
    if _is_streamlit(tree):
        return "It is a Streamlit page, which a server of its own shows."
    for node in _reached(tree):
        if isinstance(node, ast.Call) and (why := _runs(node, made, LOOP_ENDS.search(code) is not None)) is not None:
            return why
    if any(isinstance(node, ast.Call) and _last(node.func) in BESIDE for node in ast.walk(tree)) or _shows(tree, made):
        return None
    decorated = {name for name in _routes(tree) if name in made}
    for name in sorted(decorated):
        return f"It is a {made[name]} application, which a server runs."
    return None


def _is_streamlit(tree: ast.Module) -> bool:
    """Whether it calls something of Streamlit's."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.asname or "streamlit" for each in node.names if each.name.split(".")[0] == "streamlit"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "streamlit":
            names |= {each.asname or each.name for each in node.names}
    return any(isinstance(node, ast.Call) and _first(node.func) in names for node in ast.walk(tree))


def _reached(tree: ast.Module) -> Iterator[ast.AST]:
    """All but functions that nothing calls, and what others are given to do beside the rest."""
    called = {_last(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            left_out = node.name not in called and not node.decorator_list
        elif isinstance(node, ast.ClassDef):
            left_out = any(_last(base) in BESIDE for base in node.bases)
        else:
            left_out = isinstance(node, ast.Lambda) or (isinstance(node, ast.Call) and _last(node.func) in BESIDE)
        if not left_out:
            yield node
            waiting.extend(ast.iter_child_nodes(node))


def _shows(tree: ast.Module, made: Mapping[str, str]) -> bool:
    """Whether it does more than to declare an application: it prints, checks, or ends with a value."""
    for number, node in enumerate(tree.body, 1):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Expr):
            root = _first(node.value.func) if isinstance(node.value, ast.Call) else _first(node.value)
            if root == "print" or (number == len(tree.body) and root not in made):
                return True
    return False


def _first(expression: ast.expr) -> str:
    """The name that `a.b.c` begins with."""
    while isinstance(expression, ast.Attribute | ast.Call):
        expression = expression.value if isinstance(expression, ast.Attribute) else expression.func
    return expression.id if isinstance(expression, ast.Name) else ""


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


def _runs(call: ast.Call, made: dict[str, str], loop_ends: bool) -> str | None:
    if not isinstance(call.func, ast.Attribute):
        return None
    name, owner = call.func.attr, call.func.value
    if name in FOREVER:
        if loop_ends:
            return None
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
    """By the last command, if it is not run beside others: one before it may have been ended by then."""
    bare = clues.without_heredocs(clues.looked_at(code)).replace("\\\n", " ")
    bare = SHELL_TEXT.sub("x", bare)
    parts = [" ".join(part.split()) for part in SHELL_ENDS.split(bare)]
    while parts and parts[-1] in ("", "\n", ";"):
        del parts[-1]
    found = SHELL_SERVERS.match(parts[-1]) if parts else None
    if found is None or re.search(r" --(?:version|help)\b", parts[-1]):
        return None
    return f"{found[1]} answers requests until it is stopped."
