"""What gives a language away when nobody says which it is. Tables, and the weighing of what they find; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

# Of longer code, and of longer lines, the beginning is looked at: some patterns take the square of that.
LOOKED_AT, LONGEST_LINE = 20_000, 400
LONGEST_WORD = 50


class Clue(NamedTuple):
    pattern: re.Pattern[str]
    weight: int
    most: int


def _clue(pattern: str, weight: int, most: int = 3) -> Clue:
    """Counts `weight` each time it is found, `most` times."""
    # Lines that are empty would be looked at once for each before them.
    return Clue(re.compile(pattern.replace(r"^\s*", r"^[ \t]*"), re.MULTILINE), weight, most)


PYTHON = (
    _clue(r"^\s*(?:async\s+)?(?:def|class)\s+\w+.*:\s*(?:#.*)?$", 3),
    _clue(r"^\s*(?:from\s+[\w.]+\s+)?import\s+[\w.*]+(?:\s*,\s*[\w.]+)*(?:\s+as\s+\w+)?\s*$", 3),
    _clue(r"^\s*(?:if|elif|for|while|with|try|except|else|finally)\b[^{}\n]*:\s*(?:#.*)?$", 3),
    _clue(r"\bprint\(", 2),
    _clue(r"\bself\.", 1),
    _clue(r"\b(?:None|True|False|elif|lambda)\b", 1),
    _clue(r"\bf['\"]", 1),
    _clue(r"^\s*@\w+", 1),
)
JAVASCRIPT = (
    _clue(r"\b(?:const|let|var)\s+(?:[\w$]+\s*(?:[=;:,]|$|\s(?:of|in)\s)|[{\[])", 3),
    _clue(r"\bfunction\b\s*\*?\s*[\w$]*\s*\(", 3),
    _clue(r"=>", 2),
    _clue(r"(?:^|[(,=]|\basync)\s*(?:\([^()\n]{0,200}\)|[\w$]+)\s*=>", 1),
    _clue(r"[!=]==", 2),
    _clue(r"\bconsole\.\w+\s*\(", 3),
    _clue(r"\brequire\s*\(", 3),
    _clue(r"^\s*(?:module\.exports|exports\.\w+)\s*=", 3),
    _clue(r"^\s*import\b[^\n]*\bfrom\s|^\s*import\s+[\"']|^\s*import\s*\{", 3),
    _clue(r"^\s*export\s+(?:default|const|let|function|class|async|type|interface|\{)", 3),
    _clue(r"\b(?:document|window|process|Promise|JSON|Math|Object)\.[a-zA-Z]", 2),
    _clue(r"\bclass\s+\w+[^:\n]*\{", 2),
    _clue(r"\}\s*(?:else|catch|finally)\b", 2),
    _clue(r"\bnew\s+[A-Z]\w*\s*[(<]", 1),
    _clue(r"^\s*(?:throw\s+)?new\s+[A-Z]\w*\s*\(", 2),
    _clue(r"\b(?:async|await)\b", 1),
    _clue(r";\s*$", 1),
    _clue(r"^\s*//|/\*", 1),
)
TYPESCRIPT = (
    _clue(r"[\w)?\]]\s*:\s*(?:string|number|boolean|void|any|unknown|never|bigint|symbol)\b", 3),
    _clue(r"^\s*(?:export\s+)?(?:declare\s+)?interface\s+\w+[^{\n]*\{", 3),
    _clue(r"^\s*(?:export\s+)?type\s+\w+(?:<[^>\n]*>)?\s*=", 3),
    _clue(r"^\s*(?:export\s+)?(?:const\s+)?enum\s+\w+\s*\{", 3),
    _clue(r"^\s*import\s+type\b", 3),
    _clue(r"\)\s*:\s*[A-Za-z][\w<>\[\]|,\s]*(?:=>|\{)", 3),
    _clue(r"\b(?:const|let|var)\s+\w+\s*:\s*[A-Z{(\[]", 3),
    _clue(r"\bas\s+(?:const|string|number|any|unknown|[A-Z]\w*)\b(?!.*\bfrom\b)", 3),
    _clue(r"^\s*(?:private|public|protected|readonly)\s+\w+", 3),
    _clue(r"\bnew\s+(?:Map|Set|Array|Promise)<|\bfunction\s+\w+<\w+|\bclass\s+\w+<\w+", 3),
    _clue(r"\b(?:implements|satisfies|keyof)\s+\w", 2),
)
# What a page has and Node has not.
PAGE = re.compile(
    r"\b(?:document|window)\.\w|\b(?:local|session)Storage\b|\brequestAnimationFrame\s*\(|(?<![\w.])alert\s*\(|"
    r"\bcustomElements\b|\bReactDOM\b|\bnavigator\.\w"
)
# What Node has and a page has not; in code whose strings are still there.
NODE = re.compile(
    r"\brequire\s*\(|\bprocess\.\w|\b__(?:dirname|filename)\b|\bBuffer\.\w|\bmodule\.exports\b|[\"']node:|"
    r"\bfrom\s*[\"'](?:fs|path|os|util|events|http|https|crypto|stream|child_process|readline|url|zlib|assert|"
    r"worker_threads|fs/promises|timers/promises|perf_hooks|jsdom)[\"']"
)
JSX = re.compile(r"(?:return|=>|[(=])\s*\(?\s*<(?:[A-Za-z][\w.]*[\s/>]|>)")
JSX_ALONE = re.compile(r"\s*<(?:[A-Z][\w.]*[\s/>]|>)")
JSX_END = re.compile(r"</|/>")
PAGE_NAMES = frozenset({"document", "window", "alert", "localStorage", "sessionStorage", "navigator"})
NODE_NAMES = frozenset({"require", "process", "module", "Buffer", "__dirname", "__filename"})
JAVASCRIPT_NAMES = frozenset(
    {"console", "JSON", "Math", "Object", "Promise", "let", "const", "fetch", "setTimeout", "setInterval"}
)

# Commands, of which the second row are English words as well.
COMMANDS = frozenset(
    """
    ls cd pwd mkdir rmdir grep egrep awk sed curl wget git npm npx pip pip3 python python3 node docker chmod chown rm cp
    mv tar gzip gunzip unzip ps df du apt apt-get sudo printf xargs tee wc uniq tr ssh scp uname whoami seq diff env
    bash sh yarn pnpm systemctl kubectl jq zip rsync ln basename dirname unset declare mktemp nproc hostname id base64
    md5sum sha256sum stat bc expr rev tac nl paste shuf free uptime echo
    """.split()  # noqa: SIM905
)
ENGLISH = frozenset(
    """
    cat make find sort cut head tail date test which who wait read time touch kill sleep file more less split join comm
    look watch set source export alias yes true false type history exit top
    """.split()  # noqa: SIM905
)
SMALL_WORDS = frozenset("a an the me my this that is are be to of and with for in on it you your i we please".split())  # noqa: SIM905
# "git is …"
SAYING = frozenset("is are was has can will does and or".split())  # noqa: SIM905
# What JavaScript exports, unlike a shell.
EXPORTED = frozenset("default const let var function class async type interface enum { *".split())  # noqa: SIM905
BASH = (
    _clue(r"\$\(", 2),
    _clue(r"\$\{?[A-Za-z_#?@*1-9]", 1),
    _clue(r"^\s*(?:if|while|until|elif)\s+(?:\[|!|test\b|command\b|grep\b|\(\()", 3),
    _clue(r"(?:^|;)\s*(?:then|fi|do|done|esac)\b", 2),
    _clue(r"<<-?\s*[\"']?\w+", 3),
    _clue(r"\s\|\s*\w+", 1),
    _clue(r"\s(?:&&|\|\|)\s", 1),
    _clue(r"\d?>&\d|>>?\s*[\w./$\"-]+", 1),
    _clue(r"^\s*(?:export\s+|local\s+|readonly\s+)?[A-Za-z_]\w*=(?:\S|$)", 2),
    _clue(r"^\s*(?:function\s+)?[\w-]+\s*\(\)\s*\{", 3),
    _clue(r"^\s*for\s+\w+\s+in\s+[^:\n]*(?:;\s*do\b|$)", 3),
    _clue(r"^\s*(?:set\s+-|source\s+\S|alias\s+\w+=|trap\s|shift\b|declare\s+-|local\s+\w)", 3),
)
CSS_RULE = re.compile(r"\s*(?:@[\w-]+[^{};]*;|[^{}()=;]*(?:\([^{}()=;]*\)[^{}()=;]*)*\{(?:[^{}]|\{[^{}]*\})*\})")
CSS_DECLARATION = re.compile(r"[{;]\s*-{0,2}[a-z][\w-]*\s*:\s*[^;{}]+[;}]")
COMMENT = re.compile(r"/\*[\s\S]*?(?:\*/|\Z)")
# Words before `{` that no selector is.
NO_SELECTOR = re.compile(
    r"(?<![\w.#:\[-])(?:export|default|function|class|interface|type|enum|struct|namespace|module|const|let|var|if|else|"
    r"for|while|do|try|catch|finally|switch|return|async|func|fn|fun|def|package|public|private|trait|impl|object\s+[A-Z])"
    r"(?![\w-])"
)
HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)")
# Texts and comments of JavaScript. What is in them is not code, and may be in any language.
TEXT = re.compile(
    r"`(?:\\.|[^`\\])*(?:`|\Z)|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|/\*[\s\S]*?(?:\*/|\Z)|(?<![:\w])//[^\n]*"
)
TEMPLATE = re.compile(r"`(?:\\.|[^`\\])*(?:`|\Z)")
LONE_TEMPLATE = re.compile(r"`((?:\\.|[^`\\])*)`\s*;?\Z")
COMMENTS = re.compile(r"/\*[\s\S]*?(?:\*/|\Z)|//[^\n]*")
TAGS = (
    "html head body div span p h1 h2 h3 h4 h5 h6 ul ol li table form input button a img section main header footer nav "
    "article aside style script svg canvas iframe video audio pre blockquote details dl figure label select textarea "
    "title meta link template dialog center font marquee hr br b i em strong"
)
HTML = re.compile(
    rf"\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->)[\s\S])*-->\s*)*<(?:!doctype\s+(?:html|svg)|(?:{'|'.join(TAGS.split())})\b[^<>]*/?>)",
    re.IGNORECASE,
)
SYMBOLS = re.compile(r"[{}()\[\];=<>$|\\`+*&^~@#%_]")


def weigh(code: str, clues: Sequence[Clue]) -> int:
    found = 0
    for pattern, weight, most in clues:
        for count, _ in enumerate(pattern.finditer(code), 1):
            found += weight
            if count >= most:
                break
    return found


def python(code: str) -> int:
    return weigh(TEMPLATE.sub("''", code), PYTHON)


def javascript(code: str) -> int:
    return weigh(TEXT.sub("''", code), JAVASCRIPT) + weigh(TEXT.sub("''", code), TYPESCRIPT)


def is_typed(code: str) -> bool:
    return weigh(TEXT.sub("''", code), TYPESCRIPT) >= 3


def is_jsx(code: str) -> bool:
    """`code`: without texts that go over several lines."""
    bare = TEXT.sub("''", code)
    return (JSX.search(bare) or JSX_ALONE.match(bare)) is not None and JSX_END.search(bare) is not None


def javascript_alone(code: str) -> str | None:
    """Why it is JavaScript where there is nothing to weigh, as a sentence."""
    bare = code.strip()
    if bare.startswith(("//", "/*")) and not COMMENTS.sub("", bare).strip():
        return "There are comments in it, as JavaScript has them, and nothing else."
    found = LONE_TEMPLATE.match(bare)
    if found is not None and ("${" in found[1] or not is_command(found[1].strip())):
        return "It is a template literal of JavaScript's."
    return None


def looked_at(code: str) -> str:
    return "\n".join(line[:LONGEST_LINE] for line in code[:LOOKED_AT].split("\n"))


def without_heredocs(code: str) -> str:
    kept, until = [], None
    for line in code.split("\n"):
        if until is None:
            kept.append(line)
            found = HEREDOC.search(line)
            until = found[1] if found is not None else None
        elif line.strip() == until:
            until = None
    return "\n".join(kept)


def bash(code: str) -> int:
    lines = [line.strip() for line in code.splitlines()]
    commands = sum(is_command(line) for line in lines if line and not line.startswith("#"))
    return 3 * min(commands, 3) + weigh(code, BASH)


def is_command(line: str) -> bool:
    """Whether a line begins as a shell's command does, and not as an English sentence."""
    words = line.split()
    first = words[0].lstrip("!(").removeprefix("/usr/bin/").removeprefix("/bin/") if words else ""
    if first.startswith("./") and len(first) > 2:
        return True
    if first == "sudo" and len(words) > 1:
        first = words[1]
    rest = words[1:]
    if first == "export" and rest and rest[0] in EXPORTED:
        return False
    if first in COMMANDS:
        return not (rest and (rest[0].startswith(("(", "=", ".")) or rest[0] in SAYING))
    return first in ENGLISH and not is_sentence(line) and not (rest and rest[0].startswith(("(", "=", "+=")))


def is_sentence(line: str) -> bool:
    """English words, and nothing that a program has."""
    words = [word.strip(".,!?:\"'").lower() for word in line.split()]
    small = sum(word in SMALL_WORDS for word in words)
    marked = SYMBOLS.search(line) or re.search(r"(?:^|\s)-{1,2}\w|\w[./]\w|/\w", line)
    return len(words) >= 3 and not marked and (small > 0 or line.rstrip().endswith((".", "!", "?", ":")))


def is_prose(text: str, fewest: int = 2) -> bool:
    """Words for people: most lines are sentences, or what stands between such."""
    text = text[:LOOKED_AT]
    if not text.strip():
        return False
    words = re.findall(r"[^\W\d_]+", text)
    plain = sum(map(len, words)) + text.count(" ") + text.count("\n")
    marks = len(SYMBOLS.findall(text))
    if max(map(len, words), default=0) > LONGEST_WORD:
        return False
    return len(words) >= fewest and plain >= 0.85 * len(text) and marks <= 0.04 * len(text)


def is_css(code: str) -> bool:
    """Rules from the beginning to the end, with declarations in them."""
    bare = COMMENT.sub("", code).strip()
    place = 0
    while place < len(bare) and (rule := CSS_RULE.match(bare, place)) is not None and rule.end() > place:
        selector = rule[0].partition("{")[0].strip()
        if not selector or NO_SELECTOR.search(selector):
            return False
        place = rule.end()
    return bool(bare) and place >= len(bare) and CSS_DECLARATION.search(bare) is not None
