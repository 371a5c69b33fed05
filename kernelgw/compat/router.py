"""Which language a piece of code is in, and so where it runs; with the reason, as a sentence. Pure."""

from __future__ import annotations

import ast
import builtins
import json
import re
import textwrap
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from types import MappingProxyType

from ..errors import NothingToRun
from ..languages import BASH, JAVASCRIPT, PYTHON, TYPESCRIPT, Languages
from ..sessions.browser import CSS, ENGINE, HTML
from ..sessions.browser import LANGUAGES as FOR_BROWSERS
from . import clues, fences, others

AUTO = frozenset({"", "auto", "detect", "any"})
# Labels of fences in which no program is.
DATA = frozenset("text txt plain plaintext output json jsonc yaml yml toml ini csv xml markdown md diff log".split())  # noqa: SIM905
KERNEL = "kernel"
# Longer code is not parsed to find out what it is.
LONGEST_PARSED = 100_000
ENOUGH = 3
SHEBANG = re.compile(r"#!\s*(?:\S*/)?(?:env\s+(?:-S\s+)?)?([\w.+-]+)")
MAGIC = re.compile(r"([ \t]*)(?:[\w,][\w, ]*=[ \t]*)?(?:!(?!=)|%{1,2}[a-z]\w*)")
INTERPRETERS = MappingProxyType(
    {"deno": TYPESCRIPT, "bun": JAVASCRIPT, "tsx": TYPESCRIPT, "ts-node": TYPESCRIPT, "dash": BASH, "ksh": BASH}
)
FLAGS = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
TELLING = (
    *(ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.With, ast.AsyncWith),
    *(ast.For, ast.AsyncFor, ast.While, ast.If, ast.Try, ast.TryStar, ast.Match, ast.Lambda, ast.JoinedStr),
    *(ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp, ast.Assert, ast.Raise, ast.Delete, ast.Await),
)
# Of Jupyter's Python kernel, which would give the cell to another program.
CELLS = MappingProxyType(
    {"javascript": JAVASCRIPT, "js": JAVASCRIPT, "bash": BASH, "sh": BASH, "html": HTML, "svg": HTML}
)
CELL = re.compile(r"\s*%%([a-z]\w*)[ \t]*([^\n]*)\n?")
PROMPT = re.compile(r"(?:[\w.-]{1,80}@[\w.-]{1,80}[^$\n]{0,200})?\$[ \t]+(?=[A-Za-z_./~])")
JSX = "jsx"
UNCOMPILED = (
    "It has JSX in it, which has to be compiled: neither a browser nor Node runs it.",
    "Compile it first, and send what comes of it; or send an HTML page that loads React and a compiler for it.",
)
BUILTINS = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class Route:
    """`language`: by our name for it, or as it was called if we have none. `code`: what is to run, without what stood
    around it. `sure`: False where others would do as well, and the default was taken. `guessed`: by its look."""

    language: str
    reason: str
    code: str
    engine: str = KERNEL
    sure: bool = True
    guessed: bool = False


def route(code: str, language: str | None, default: str = PYTHON, languages: Languages | None = None) -> Route:
    """`default`: what ambiguous code is taken for. Raises NothingToRun."""
    known = languages or Languages()
    asked = (language or "").strip()
    if not code.strip():
        raise NothingToRun("The code is empty.")
    if asked.lower() in AUTO:
        return _without_text(code, default, known) or _found_out(code, default, known)
    name, engine = _named(asked, known)
    block = fences.whole(code)
    opened = block.body if block is not None else _among_words(code, (name, engine), known)
    _refuse_jsx(asked, opened or code)
    what = f"{asked[:50]!r} was asked for"
    reason = f"{what}, which is {_title(name, engine, known)}" if name != asked else what
    if opened is None:
        return Route(name, f"{reason}.", code, engine)
    if not opened.strip():
        raise NothingToRun("There is nothing in the fenced block.")
    return Route(name, f"{reason}; the fence around the code was taken off.", opened, engine)


def _named(name: str, known: Languages) -> tuple[str, str]:
    """What it is here, and what runs it."""
    if found := known.find(name):
        return found.name, KERNEL
    if shown := FOR_BROWSERS.get(name.lower()):
        return shown, ENGINE
    return INTERPRETERS.get(name.lower(), name), KERNEL


def _title(name: str, engine: str, known: Languages) -> str:
    if engine == ENGINE:
        return f"{name} for a browser" if name == JAVASCRIPT else name
    found = known.find(name)
    return found.title if found else name


# what stands around code


def _among_words(code: str, wanted: tuple[str, str], known: Languages) -> str | None:
    """The blocks in that language, when the code is words with blocks among them."""
    found = fences.blocks(code)
    if not found or not clues.is_prose(code[: found[0].start]):
        return None
    same = [each.body for each in found if _named(each.label, known) == wanted]
    return "\n".join(same) if same else None


def _without_text(code: str, default: str, known: Languages) -> Route | None:
    """What is in fences, if there is nothing but words around them."""
    blocks = [each for each in fences.blocks(code) if each.body.strip()]
    if not blocks and (single := fences.whole(code)) is not None:
        blocks = [single]
    if not blocks:
        return None
    before = code[: blocks[0].start]
    if before.strip() and not clues.is_prose(before, fewest=1):
        return None
    routes = [_labelled(each.label, each.body, default, known, alone=len(blocks) == 1) for each in blocks]
    sizes: Counter[tuple[str, str]] = Counter()
    for each in routes:
        if each is not None:
            sizes[each.language, each.engine] += len(each.code.strip())
    if not any(sizes.values()):
        raise NothingToRun("There is nothing to run in the fenced blocks.")
    chosen, _ = sizes.most_common(1)[0]
    if chosen[0] == JSX:
        raise NothingToRun(*UNCOMPILED)
    same = [each for each in routes if each is not None and (each.language, each.engine) == chosen]
    whole = "\n".join(each.code for each in same)
    left_out = len(blocks) - len(same)
    taken = "the fence was taken off" if len(blocks) == 1 else f"{len(same)} of {len(blocks)} fenced blocks were taken"
    rest = f", {left_out} in other languages left out" if left_out else ""
    return replace(same[0], code=whole, reason=f"{same[0].reason.rstrip('.')}; {taken}{rest}.")


def _labelled(label: str, body: str, default: str, known: Languages, *, alone: bool) -> Route | None:
    """None for what is no program: its output, data. Raises NothingToRun for one that is `alone`."""
    try:
        return _by_label(label, body, known) if label else _found_out(body, default, known)
    except NothingToRun:
        if _has_jsx(clues.looked_at(body)):
            return Route(JSX, "", body)
        if alone:
            raise
        return None


def _by_label(label: str, body: str, known: Languages) -> Route | None:
    if label in DATA:
        return None
    if label not in FOR_BROWSERS and known.find(label) is None and label not in INTERPRETERS:
        return Route(label, f"The fence says {label}.", body)
    name, engine = _named(label, known)
    _refuse_jsx(label, body)
    if engine == KERNEL and name == JAVASCRIPT:
        name, engine, why = _where(body)
        return Route(name, f"The fence says {label}, and {why}.", body, engine)
    if name == BASH and (typed := _prompted(body, body, known)) is not None:
        return replace(typed, reason=f"The fence says {label}. {typed.reason}")
    return Route(name, f"The fence says {label}.", body, engine)


# what code itself says


def _found_out(code: str, default: str, known: Languages) -> Route:
    code = code.removeprefix("\ufeff")
    if not code.strip():
        raise NothingToRun("The code is empty.")
    seen = clues.looked_at(code)
    for look in (_shebang, _html, _cell, _prompted, _data):
        if (found := look(code, seen, known)) is not None:
            return found
    tree = _parsed(code)
    if tree is not None and any(isinstance(node, TELLING) for node in ast.walk(tree)):
        return Route(PYTHON, "It parses as Python.", code)
    if (found := _other(code, seen, tree is not None)) is not None:
        return found
    if tree is not None and (found := _as_python(tree, code, seen)) is not None:
        return found
    return _by_weight(code, seen, tree is not None, default)


def _shebang(code: str, _: str, known: Languages) -> Route | None:
    if (found := SHEBANG.match(code)) is None:
        return None
    program = re.sub(r"[\d.]+$", "", found[1]) or found[1]
    name, engine = _named(program, known)
    return Route(name, f"Its first line asks for {found[1]}.", code, engine)


def _html(code: str, seen: str, _: Languages) -> Route | None:
    if clues.HTML.match(seen):
        return Route(HTML, "It begins with HTML, which a browser shows.", code, ENGINE)
    start = seen.lower().find("\n<!doctype html") + 1
    end = code.rfind("</html>") + len("</html>")
    if 0 < start < end and clues.is_prose(code[:start]) and clues.python(code[:start]) < ENOUGH:
        return Route(HTML, "There is a whole HTML page in it, which a browser shows.", code[start:end], ENGINE)
    return None


def _cell(code: str, _: str, __: Languages) -> Route | None:
    """A cell of a notebook whose first line says what it is."""
    if (found := CELL.match(code)) is None:
        return None
    magic, options, body = found[1], found[2].strip(), code[found.end() :]
    if magic not in CELLS or options:
        return Route(PYTHON, f"Its first line is %%{magic}, which is IPython's.", code)
    if not body.strip():
        raise NothingToRun(f"There is nothing below %%{magic}.")
    said = f"Its first line was %%{magic}, which was taken off"
    if (name := CELLS[magic]) == JAVASCRIPT:
        name, engine, why = _where(body)
        return Route(name, f"{said}, and {why}.", body, engine)
    return Route(name, f"{said}.", body, ENGINE if name == HTML else KERNEL)


def _prompted(code: str, _: str, __: Languages) -> Route | None:
    """What was typed into a shell, with its prompts and perhaps what it printed."""
    if PROMPT.match(code.lstrip()) is None:
        return None
    kept: list[str] = []
    left_out, going_on, until = 0, False, None
    for line in code.strip().split("\n"):
        if until is not None:
            kept.append(line.removeprefix("> "))
            until = None if kept[-1].strip() == until else until
        elif (prompt := PROMPT.match(line)) is not None or going_on:
            kept.append(line[prompt.end() :] if prompt is not None else line.removeprefix("> "))
            going_on = kept[-1].rstrip().endswith("\\")
            found = clues.HEREDOC.search(kept[-1])
            until = found[1] if found is not None else None
        else:
            left_out += bool(line.strip())
    others_ = ", and lines without one were left out as what it printed" if left_out else ""
    return Route(BASH, f"It begins with a shell's prompt, which was taken off{others_}.", "\n".join(kept) + "\n")


def _data(code: str, _: str, __: Languages) -> Route | None:
    if len(code) > LONGEST_PARSED or code.lstrip()[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(code)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) or (value and isinstance(value[0], dict)):
        raise NothingToRun("This is JSON: data, not a program.", "Send it as a file, and a program that reads it.")
    return None


def _other(code: str, seen: str, parses: bool) -> Route | None:
    """What neither Python nor a shell reads, by its look. Raises NothingToRun."""
    if (name := others.language(seen, parses)) is not None:
        return Route(name, f"It looks like {others.title(name)}.", code, guessed=True)
    if not parses and _has_jsx(seen):
        raise NothingToRun(*UNCOMPILED)
    if (what := others.data(seen)) is not None:
        raise NothingToRun(
            f"It looks like {what}: no program.", "Send it as a file, and a program that reads it; or say its language."
        )
    if not parses and (says := clues.javascript_alone(seen)) is not None:
        return Route(JAVASCRIPT, says, code)
    return None


def _has_jsx(seen: str) -> bool:
    return clues.is_jsx(others.without_texts(seen))


def _refuse_jsx(name: str, code: str) -> None:
    """Who names it so does not mean what Node runs."""
    if name.lower() in (JSX, "tsx") and _has_jsx(clues.looked_at(code)):
        raise NothingToRun(*UNCOMPILED)


def _parsed(code: str) -> ast.Module | None:
    """As Python, with what IPython understands besides."""
    if len(code) > LONGEST_PARSED:
        return None
    text = "\n".join(_without_magic(line) for line in textwrap.dedent(code).split("\n"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = compile(text, "code", "exec", flags=FLAGS, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    return tree if isinstance(tree, ast.Module) else None


def _without_magic(line: str) -> str:
    found = MAGIC.match(line) if "!" in line or "%" in line else None
    return f"{found[1]}pass" if found is not None else line


def _as_python(tree: ast.Module, code: str, seen: str) -> Route | None:
    """None where other languages have the better claim, or an equal one."""
    loaded, bound = _names(tree)
    free = loaded - bound - BUILTINS
    if theirs := free & (clues.JAVASCRIPT_NAMES | clues.NODE_NAMES | clues.PAGE_NAMES):
        name, engine, why = _where(code)
        return Route(name, f"It uses {', '.join(sorted(theirs))}, and {why}.", code, engine)
    lines = [line for line in seen.splitlines() if line.strip() and not line.strip().startswith("#")]
    if lines and not bound and all(map(_is_shells, lines)) and "(" not in seen:
        return Route(BASH, "Its lines are shell commands.", code)
    if any(_without_magic(line) != line for line in seen.split("\n")):
        return Route(PYTHON, "It parses as Python with IPython's own commands.", code)
    if loaded & BUILTINS or not (free or bound) or _has_own_syntax(tree):
        return Route(PYTHON, "It parses as Python.", code)
    return None


def _is_shells(line: str) -> bool:
    """`!ls` is IPython's."""
    return clues.is_command(line) and re.match(r"\s*!\S", line) is None


def _names(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Names that are read, and names that are given a value."""
    loaded: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (loaded if isinstance(node.ctx, ast.Load) else bound).add(node.id)
    return loaded, bound


def _has_own_syntax(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Slice | ast.Tuple | ast.keyword | ast.BoolOp | ast.IfExp) for node in ast.walk(tree)
    )


def _by_weight(code: str, seen: str, parses: bool, default: str) -> Route:
    if clues.is_css(seen):
        return Route(CSS, "It is CSS, which a browser shows on a page.", code, ENGINE)
    bare = clues.without_heredocs(seen)
    weights = {
        PYTHON: clues.python(bare) + ENOUGH * parses,
        JAVASCRIPT: clues.javascript(bare),
        BASH: clues.bash(bare),
    }
    best, second = sorted(weights.values(), reverse=True)[:2]
    if best < ENOUGH or (parses and best == weights[PYTHON]):
        return _ambiguous(code, seen, parses, default)
    winners = [name for name, weight in weights.items() if weight == best]
    winner = default if default in winners else winners[0]
    doubt = "" if best > second else f", and as much like {next(name for name in winners if name != winner)}"
    if winner == JAVASCRIPT:
        name, engine, why = _where(code)
        return Route(name, f"It looks like JavaScript{doubt}, and {why}.", code, engine, best > second)
    if winner == PYTHON:
        return Route(PYTHON, f"It looks like Python{doubt}, though it does not parse.", code, sure=best > second)
    return Route(winner, f"It looks like shell commands{doubt}.", code, sure=best > second)


def _ambiguous(code: str, seen: str, parses: bool, default: str) -> Route:
    if not parses and (clues.is_prose(seen) or others.is_markdown(seen)):
        raise NothingToRun("This is text, not a program.")
    if not parses and not any(character.isalnum() for character in seen):
        raise NothingToRun("There is no program in this.")
    return Route(default, f"Nothing says which language it is; {default} was taken.", code, sure=False)


def _where(code: str) -> tuple[str, str, str]:
    """For code that is JavaScript or TypeScript: which of them, what runs it, and why, as words that follow "and"."""
    seen = clues.looked_at(code)
    bare = clues.TEXT.sub("''", seen)
    typed = clues.is_typed(seen)
    name = TYPESCRIPT if typed else JAVASCRIPT
    if _has_jsx(seen):
        raise NothingToRun(*UNCOMPILED)
    page, node = clues.PAGE.search(bare), clues.NODE.search(seen)
    if node is not None:
        return name, KERNEL, f"{_word(node)} is Node's"
    if page is not None and typed:
        return name, KERNEL, f"though {_word(page)} is a page's, a browser knows no types"
    if page is not None:
        return name, ENGINE, f"{_word(page)} is there in a browser only"
    return name, KERNEL, "nothing in it needs a browser" if not typed else "it has types"


def _word(found: re.Match[str]) -> str:
    """What of it people would name."""
    return found[0].strip("\"'( \t\n").removeprefix("from").strip("\"'( ").partition(".")[0]
