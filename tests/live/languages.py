"""What is the same of each language that we ship, in that language."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """`title`, `extension`: as notebooks have them. `hello` prints hello, `complain` prints it to stderr. `keep`
    sets what `look` prints as 42. `busy` prints in and goes on for ever. `wrong` fails with `error`. `written` makes
    made.txt."""

    name: str
    title: str
    extension: str
    hello: str
    complain: str
    keep: str
    look: str
    busy: str
    wrong: str
    error: str
    written: str


BASH = Sample(
    "bash",
    "Bash",
    ".sh",
    "echo hello",
    "echo hello >&2",
    "kept=42",
    "echo $kept",
    "echo in; while :; do :; done",
    "(exit 3)",
    "ExitCode",
    "echo made >made.txt",
)
JAVASCRIPT = Sample(
    "javascript",
    "JavaScript",
    ".js",
    "console.log('hello')",
    "console.error('hello')",
    "const kept = 42",
    "console.log(kept)",
    "console.log('in'); while (true) {}",
    "throw new RangeError('no')",
    "RangeError",
    "require('fs').writeFileSync('made.txt', 'made')",
)
SHIPPED = (BASH, JAVASCRIPT)
