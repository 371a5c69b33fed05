"""What gives away code and data that none of our own kernels runs. Tables, and their reading; pure."""

from __future__ import annotations

import csv
import re
from types import MappingProxyType

from . import clues


def _all(*patterns: str, flags: re.RegexFlag = re.MULTILINE) -> tuple[re.Pattern[str], ...]:
    """Each of them has to be found."""
    return tuple(re.compile(pattern.replace(r"^\s*", r"^[ \t]*"), flags) for pattern in patterns)


END = r"^\s*end\b[,)]*\s*$"
SWIFT_HAS_NOT = r"\A(?![\s\S]*(?:;|\bconsole\.|\bfunction\b|=>|\bconst\b))"
# The first that is found counts. There may be a kernel for it that somebody has installed.
LANGUAGES = (
    ("php", _all(r"\A\s*<\?(?:php|=)")),
    ("cpp", _all(r"^\s*#include\s*[<\"](?:iostream|vector|string|map|algorithm)[>\"]")),
    ("c", _all(r"^\s*#include\s*[<\"]")),
    ("dart", _all(r"^\s*import\s+['\"](?:dart|package):")),
    ("csharp", _all(r"^\s*using\s+System\b.*;")),
    ("csharp", _all(r"\bConsole\.(?:Write|Read)(?:Line)?\(")),
    ("java", _all(r"\bpublic\s+(?:final\s+|static\s+)*(?:class|void)\s+\w+")),
    ("java", _all(r"\bSystem\.(?:out|err)\.print|^\s*import\s+(?:static\s+)?javax?\.")),
    ("java", _all(r"^\s*[A-Z]\w*(?:<[\w<>, ]*>|\[\])?\s+\w+\s*=\s*new\s+[A-Z]")),
    ("go", _all(r"^package\s+\w+\s*$", r"^func\s")),
    ("go", _all(r"\bfmt\.(?:Print|Sprint|Errorf)|^func\s+main\(\)\s*\{|^\s*\w+(?:\s*,\s*\w+)*\s*:=\s")),
    ("rust", _all(r"^\s*(?:pub\s+)?fn\s+\w+\s*(?:<[^>\n]{0,200}>)?\s*\([^)]{0,200}\)[^{]{0,200}\{")),
    ("rust", _all(r"\b(?:println|vec|format|panic)!\s*[(\[]|\blet\s+mut\s+\w|^\s*use\s+std::")),
    ("kotlin", _all(r"^\s*(?:(?:private|suspend|override|inline)\s+)*fun\s+(?:<\w+>\s*)?(?:\w+\.)?\w+\s*\(")),
    ("kotlin", _all(r"^\s*val\s+\w+\s*(?::\s*\w+\S*\s*)?=|^\s*data\s+class\s+\w+\s*\(")),
    ("swift", _all(r"^\s*import\s+(?:Foundation|SwiftUI|UIKit|Combine)\s*$")),
    ("swift", _all(r"\b(?:let|var)\s+\w+\s*:\s*(?:(?:Int|Double|Float|Bool|Character)\b|\[\w+(?:\s*:\s*\w+)?\]\s*=)")),
    ("swift", _all(r"\b(?:let|var)\s+\w+\s*(?::\s*String\s*)?=", r"\bprint\(.*(?:\\\(|\)\s*$)", SWIFT_HAS_NOT)),
    ("swift", _all(r"^\s*(?:\w+\s+)?func\s+\w+\s*\([^)\n]{0,200}\)\s*(?:throws\s*)?(?:->[^{\n]{0,80})?\{")),
    ("lua", _all(r"^\s*local\s+(?:function\s+\w|\w+(?:\s*,\s*\w+)*\s+=\s)")),
    ("lua", _all(r"^\s*(?:local\s+)?function\s*[\w.:]*\s*\([^)\n]{0,200}\)\s*$", END)),
    ("lua", _all(r"^\s*for\s+\w+\s*=\s*[^;\n,]{1,80},[^;\n]{1,80}\bdo\b", r"\bend\b")),
    ("ruby", _all(r"^\s*puts\s+(?:[\"'#\[:@\d]|\w+(?:\.\w+)*\s*$)|^\s*require(?:_relative)?\s+['\"]")),
    ("ruby", _all(r"\bdo\s*\|[\w, ]+\||^\s*(?:def\s+\w+[?!]?|class\s+[A-Z]\w*|module\s+[A-Z]\w*)[^:\n{]*$", END)),
    ("r", _all(r"^\s*[A-Za-z.][\w.]*\s*<-\s*\S|^\s*library\(\w+\)\s*$|\s%>%\s")),
    ("powershell", _all(r"^PS(?: [A-Za-z]:[^>\n]*)?>\s|^\s*(?:\$\w+\s*=\s*)?(?:Get|Set|New|Remove|Write|Import|Export|"
                        r"Invoke|Select|Where|ForEach|Start|Stop|Test|Add|Out|Convert(?:To|From))-[A-Z][A-Za-z]+\b")),
    ("perl", _all(r"^\s*my\s+[$@%(]|^\s*use\s+(?:strict|warnings)\b")),
    ("haskell", _all(r"^\w+\s*::\s|\bputStrLn\b|^module\s+[\w.]+\s+where\b")),
    ("lisp", _all(r"\A\s*\((?:defn?|defun|define|println|ns|require)\s")),
    ("c", _all(r"^\s*(?:(?:unsigned|static|const)\s+)*(?:int|void|char|long|float|double)\s+\*?\w+\s*"
               r"(?:\([^)\n]{0,200}\)\s*\{|=.*;|;)")),
    ("c", _all(r"^\s*printf\s*\(\".*;\s*$")),
    (
        "sql",
        _all(
            r"\A\s*(?:--[^\n]*\n\s*)*(?:SELECT\s[\s\S]+\sFROM\s|(?:CREATE|DROP|ALTER)\s+(?:TABLE|VIEW|INDEX|DATABASE)\s|"
            r"INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|WITH\s+\w+\s+AS\s*\(|SELECT\s+[\d*'][^\n]*$)",
            flags=re.MULTILINE | re.IGNORECASE,
        ),
    ),
)  # fmt: skip
TITLES = MappingProxyType(
    {
        **{"php": "PHP", "cpp": "C++", "c": "C", "csharp": "C#", "sql": "SQL", "r": "R", "powershell": "PowerShell"},
        **{"go": "Go", "java": "Java", "rust": "Rust", "kotlin": "Kotlin", "swift": "Swift", "lua": "Lua"},
        **{"ruby": "Ruby", "perl": "Perl", "haskell": "Haskell", "lisp": "a Lisp", "dart": "Dart"},
    }
)
# Texts that go over several lines: what is in them is not code.
TEXTS = re.compile(r"\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|`(?:\\.|[^`\\])*`", re.DOTALL)
TEXT = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'")
DOCKERFILE = re.compile(r"(?:\s*(?:#[^\n]*|ARG\s[^\n]*)\n)*\s*FROM\s+\S+(?:\s+AS\s+\S+)?\s*(?:\Z|\n)", re.IGNORECASE)
INSTRUCTION = re.compile(
    r"^(?:RUN|CMD|COPY|WORKDIR|ENTRYPOINT|EXPOSE|ENV|ADD|USER)\s|\AFROM\s+\S+:\S+\s*\Z", re.MULTILINE
)
XML = re.compile(r"\s*(?:<\?xml\b|<([a-z][\w:.-]*)(?:\s[^<>]*)?>[\s\S]*</\1>\s*\Z)")
SECTION = re.compile(r"\[\[?[\w.\-\" ]+\]?\]$")
SETTING = re.compile(r"[\w.\"-]+(?:\s*=|\s*$)|[#;]")
# A word before what could be a table's or a mapping's field.
STATEMENT = re.compile(r"(?:print|let|var|const|global|nonlocal|return|yield|import|from|del|int|export|assert)\b")
CELLS_HAVE_NOT = re.compile(r"[(){}=<>|$`]|;\s*$")
KEY = re.compile(r"(?:- +)?(?:[\w./-]+|\"[^\"\n]*\"|'[^'\n]*') *:(?: +\S.*)?$")
BLOCK = re.compile(r"(?:if|else|elif|try|except|finally|for|while|with|class|def|match|case|lambda|default)\b")
# Fields of a Python class.
TYPED = re.compile(r":\s*(?:int|str|float|bool|bytes|list|dict|Any|None)\b")
MARKED = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]+|[-*+][ \t]+|\d+[.)][ \t]+|>[ \t]+)|\*\*|__|`+|\[([^\]\n]*)\]\([^)\n]*\)", re.MULTILINE
)


def language(seen: str, parses: bool) -> str | None:
    """Which it looks like. `parses`: as Python, whose texts are not looked into then."""
    bare = without_texts(seen)
    if parses:
        bare = TEXT.sub("''", bare)
    for name, patterns in LANGUAGES:
        if all(pattern.search(bare) for pattern in patterns):
            return name
    return None


def title(name: str) -> str:
    return TITLES.get(name, name)


def data(seen: str) -> str | None:
    """What this is that is no program, as words that follow "It looks like"."""
    if DOCKERFILE.match(seen) and INSTRUCTION.search(seen):
        return "a Dockerfile"
    if XML.match(seen):
        return "XML"
    lines = [line for line in seen.splitlines() if line.strip()]
    if any(map(clues.is_command, lines)):
        return None
    if _is_settings(lines):
        return "a file of settings (TOML, INI)"
    if _is_yaml(lines):
        return "YAML"
    items = [line for line in lines if not line.startswith("#")]
    if len(items) > 1 and all(line.startswith(("- ", "* ")) for line in items):
        return "a list"
    return "a table (CSV)" if _is_table(lines) else None


def is_markdown(seen: str) -> bool:
    """Words with Markdown's marks among them."""
    plain = MARKED.sub(lambda found: found[1] or "", seen)
    return plain != seen and clues.is_prose(plain)


def _is_settings(lines: list[str]) -> bool:
    lines = [line.strip() for line in lines if not line.lstrip().startswith(("#", ";"))]
    sections = sum(SECTION.match(line) is not None for line in lines)
    if len(lines) < 2 or not sections or SECTION.match(lines[0]) is None or sections == len(lines):
        return False
    return all(SECTION.match(line) or SETTING.match(line) for line in lines)


def _is_yaml(lines: list[str]) -> bool:
    """Keys at its left edge, two of them at least, and mostly keys below those."""
    lines = [line for line in lines if not line.lstrip().startswith("#")]
    keys = [line for line in lines if KEY.match(line.strip()) and not line.rstrip().endswith((";", "{", ","))]
    if any(BLOCK.match(line.strip()) or TYPED.search(line) or " = " in line for line in keys):
        return False
    left = [line for line in lines if not line[0].isspace()]
    known = all(line in ("---", "...") or line.startswith("- ") or KEY.match(line.rstrip()) for line in left)
    return len(keys) > 1 and known and len(keys) >= 0.6 * len(lines)


def _is_table(lines: list[str]) -> bool:
    if len(lines) < 2 or any(STATEMENT.match(line) for line in lines):
        return False
    mark = "\t" if "\t" in lines[0].strip() else ","
    if any(CELLS_HAVE_NOT.search(TEXT.sub("", line)) for line in lines):
        return False
    try:
        widths = {len(row) for row in csv.reader(lines, delimiter=mark)}
    except csv.Error:
        return False
    return len(widths) == 1 and widths.pop() > 1 and not any(line.rstrip().endswith(mark) for line in lines[:-1])


def without_texts(code: str) -> str:
    """Without texts that go over several lines, of whatever language: they may be in any other."""
    return TEXTS.sub("''", _without_heredocs(code))


def _without_heredocs(code: str) -> str:
    """Without those that end; `<<` is an operator elsewhere."""
    kept: list[str] = []
    held: list[str] = []
    until = None
    for line in code.split("\n"):
        if until is not None:
            held.append(line)
            if line.strip() == until:
                until, held = None, []
            continue
        kept.append(line)
        found = clues.HEREDOC.search(line)
        until = found[1] if found is not None else None
    # Of what is longer than what is looked at, the end of one is not seen.
    return "\n".join(kept if len(code) >= clues.LOOKED_AT else kept + held)
