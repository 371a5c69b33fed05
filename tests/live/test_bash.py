"""Bash: one shell for all cells of a session; how cells end, what is said of it, and what they leave."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from .client import House, Session, displays, text

pytestmark = pytest.mark.live

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


@pytest.fixture
def bash(house: House) -> Session:
    return house.session(language="bash")


def failed(session: Session, code: str, **body: Any) -> dict[str, Any]:
    execution = session.run(code, **body)
    assert execution["status"] == "failed", execution
    assert execution["state_lost"] is False
    error: dict[str, Any] = execution["error"]
    return error


# state


def test_state_stays(bash: Session) -> None:
    bash.value("""
x=20; export EXPORTED=yes; list=(a 'b c'); declare -A map=([k]=v)
greet() { echo "hello $1"; }
alias shout='echo LOUD'
shopt -s nullglob; set -o pipefail
mkdir -p deep/er; cd deep/er
umask 077
""")
    code = "echo $x ${list[1]} ${map[k]} $(sh -c 'echo $EXPORTED'); greet you; shout; echo *.none; pwd; umask; echo $-"
    lines = bash.value(code).split("\n")
    assert lines[:6] == ["20 b c v yes", "hello you", "LOUD", "", "/workspace/deep/er", "0077"]
    assert bash.value("set -o | grep pipefail").split() == ["pipefail", "on"]


def test_the_status_of_the_last_cell(bash: Session) -> None:
    failed(bash, "(exit 5)")
    assert bash.value("echo $?") == "5\n"
    assert bash.value("echo $?") == "0\n"


def test_workspace_and_variables_of_the_session(house: House) -> None:
    awkward = 'it\'s "quoted" $HOME `id`\nand so on'
    session = house.session(language="bash", env={"PLAIN": "value", "AWKWARD": awkward, "LONG": "x" * 100_000})
    assert session.value("sh -c 'echo ${#LONG}'") == "100000\n"
    assert session.value('echo $PLAIN; echo "$AWKWARD"; pwd') == f"value\n{awkward}\n/workspace\n"


def test_scripts_find_themselves(bash: Session) -> None:
    code = """
set -u
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
main() { echo "in $here with $#"; }
if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then main "$@"; fi
"""
    assert bash.value(code) == "in /workspace with 0\n"


def test_a_directory_that_is_gone(bash: Session) -> None:
    bash.value("mkdir gone; cd gone; rmdir ../gone")
    assert bash.value("echo on; cd /workspace; pwd") == "on\n/workspace\n"


@pytest.mark.parametrize("code", ["", "\n\n", "# nothing\n  # at all", ":", "true;", "echo a # b", "{ echo a; }"])
def test_small_cells(bash: Session, code: str) -> None:
    assert bash.value(code) in ("", "a\n")


def test_heredocs_functions_and_windows_lines(bash: Session) -> None:
    code = """cat <<'END'
$not {expanded}
END
f() {
  for i in 1 2
  do
    echo "$i"
  done
}
f | tr '\\n' ,
"""
    assert bash.value(code) == "$not {expanded}\n1,2,"
    assert bash.value(code.replace("\n", "\r\n")) == "$not {expanded}\n1,2,"


def test_unicode_and_bytes(bash: Session) -> None:
    assert bash.value("echo 'naïve 漢字 🐍'; x=🐍é; echo ${#x}") == "naïve 漢字 🐍\n2\n"
    assert bash.value(r"printf 'a\xff\x00b\n'") == "a\ufffd\x00b\n"


def test_five_megabytes_of_code(bash: Session) -> None:
    lines = "\n".join(f"x{n}=1" for n in range(500_000))
    assert bash.value(f"{lines}\necho $x7 $x499999") == "1 1\n"
    assert bash.value(f"wc -c <<'X'\n{'y' * 5_000_000}\nX") == "5000001\n"


# how cells end


def test_exit_codes_are_errors(bash: Session) -> None:
    error = failed(bash, "true\n\ngrep foo /dev/null")
    assert (error["name"], error["value"]) == ("ExitCode", "exit code 1 from `grep foo /dev/null`")
    assert error["traceback"][0] == "cell 1, line 3"
    assert error["traceback"][-2] == "-->    3 grep foo /dev/null"
    assert bash.value("false; echo fine") == "fine\n"


def test_commands_that_are_not_there(bash: Session) -> None:
    error = failed(bash, "echo 1\nnosuchthing --help")
    assert error["name"] == "CommandNotFound"
    assert error["value"] == "nosuchthing: command not found (exit code 127, line 2)"
    assert failed(bash, "exit 127")["name"] == "ExitCode"


def test_signals_are_named(bash: Session) -> None:
    error = failed(bash, "sh -c 'kill -9 $$'")
    assert error["value"] == "exit code 137 (128 + 9, SIGKILL) from `sh -c 'kill -9 $$'`"


@pytest.mark.parametrize(
    ("code", "value"),
    [
        # The command that failed last is not what the cell ended with.
        ("false\n[ -f none ] && echo", "exit code 1; the last command was `[ -f none ]`"),
        ("false\n! true", "exit code 1; the last command was `true`"),
        ("set -o pipefail\nfalse | cat", "exit code 1 in a pipeline that ends with `cat`"),
        ("true | grep x", "exit code 1 from `grep x`"),
        ("return 4; echo never", "exit code 4"),
        ("f() {\n  exit 3\n}\nf; echo never", "exit code 3 by `exit` in line 2"),
        ("exit", "exit code 9 by `exit` in line 1"),
        ("unset x; echo ${x:?is needed}; echo never", "exit code 1; the last command was `echo ${x:?is needed}`"),
    ],
)
def test_what_is_known_is_said(bash: Session, code: str, value: str) -> None:
    failed(bash, "kept=1; (exit 9)")
    execution = bash.run(code)
    assert (execution["error"]["value"], text(execution)) == (value, "")
    assert bash.value("echo $kept") == "1\n"


def test_frames(bash: Session) -> None:
    bash.value("inner() {\n  ls /none\n}")
    bash.value("printf 'outer() {\\n  inner\\n}\\n' >lib.sh; source ./lib.sh")
    execution = bash.run("echo 1\nouter")
    outputs = [output for output in execution["outputs"] if output["output_type"] == "error"]
    traceback = "\n".join(outputs[0]["traceback"])
    places = re.findall(r"^(\S.*?, line \d+.*)$", traceback, re.MULTILINE)
    assert places == ["cell 3, line 2", "lib.sh, line 2, in outer", "cell 1, line 2, in inner"]
    assert "-->    2   ls /none" in traceback
    frames = execution["error"]["frames"]
    assert [(each["file"], each["line"], each["function"], each["library"]) for each in frames] == [
        ("cell 3", 2, "", False),
        ("lib.sh", 2, "outer", False),
        ("cell 1", 2, "inner", False),
    ]
    assert frames[-1]["source"] == [[1, "inner() {"], [2, "  ls /none"], [3, "}"]]


@pytest.mark.parametrize(
    ("code", "line", "said"),
    [
        ('echo 1\necho "unclosed', 2, "looking for matching `\"'"),
        ("if true; then\n  echo 1", 2, "unexpected end of the cell"),
        ("echo 1\nfi", 2, "`fi'"),
        ("cat <<END\nx", 2, "unexpected end of the cell"),
        ("for x in; do", 1, "unexpected end of the cell"),
        ("echo 1\necho a\0b", 2, "a NUL character"),
    ],
)
def test_syntax_errors(bash: Session, code: str, line: int, said: str) -> None:
    bash.value("kept=1")
    execution = bash.run(code)
    error = execution["error"]
    assert error["name"] == "SyntaxError"
    assert error["value"].startswith(f"line {line}: ")
    assert said in error["value"]
    # It is read as a whole first.
    assert text(execution) == ""
    assert bash.value("echo $kept") == "1\n"


@pytest.mark.parametrize(
    "code",
    [
        "exit 3; echo never",
        "set -e\nfalse\necho never",
        "set -e\nf() { false; echo never; }\nf",
        "set -euo pipefail\necho $nosuch; echo never",
        "set -u\necho $nosuch; echo never",
        "set -e; trap 'echo handled' ERR; (exit 2); echo never",
        "set -eu; trap 'echo bye' EXIT; echo $nosuch",
        "builtin exit 4",
        "readonly r=1; r=2; echo never",
        "f() { : ${1:?}; }; f",
        "kill -INT $$; echo never",
        "while true; do exit 7; done",
        "set -e; x=$(false); echo never",
        "exec >/dev/null 2>&1 </dev/null; false",
    ],
)
def test_state_survives(bash: Session, code: str) -> None:
    bash.value("kept=1; declare -A map=([k]='a b'); f1() { echo f $kept; }; alias al='echo al'; cd /tmp; export E=2")
    execution = bash.run(code)
    assert execution["status"] == "failed", execution
    assert execution["state_lost"] is False
    assert "never" not in text(execution)
    code = "set +eu; trap - ERR EXIT; f1; al; echo ${map[k]} $(sh -c 'echo $E') $PWD; unset kept; echo ${kept-none}"
    assert bash.value(code) == "f 1\nal\na b 2 /tmp\nnone\n"


def test_options_and_jobs_after_set_e(bash: Session) -> None:
    bash.value("sleep 100 & job=$!")
    failed(bash, "set -e\nfalse")
    assert bash.value("echo $-; jobs -p | grep -qx $job && echo known; kill $job").startswith("e")
    # Where the shell itself ends, its jobs are what cannot be handed on; that is said.
    bash.value("sleep 100 & job=$!")
    execution = bash.run("set -u; echo $nosuch")
    assert "1 background job" in text(execution, "stderr")
    assert bash.value("set +eu; kill $job && echo there") == "there\n"


def test_traps_of_users(bash: Session) -> None:
    assert bash.value("trap 'echo bye $?' EXIT; trap 'echo err $LINENO $BASH_COMMAND' ERR\nfalse; :") == "err 2 false\n"
    assert bash.value("trap -p EXIT; trap -p ERR") == (
        "trap -- 'echo bye $?' EXIT\ntrap -- 'echo err $LINENO $BASH_COMMAND' ERR\n"
    )
    execution = bash.run("exit 3")
    assert text(execution) == "bye 3\n"
    assert bash.value("trap - ERR; false; trap -p; :") == ""
    assert bash.value("(trap 'echo sub' EXIT; exit 0)") == "sub\n"


def test_xtrace_shows_only_the_cell(bash: Session) -> None:
    execution = bash.run("set -x\necho traced\nfalse || :\nset +x")
    assert "__kgw" not in text(execution, "stderr")
    assert "+ echo traced" in text(execution, "stderr")


# output


def test_redirections_end_with_the_cell(bash: Session) -> None:
    assert bash.value("exec >kept.txt 2>&1; echo hidden") == ""
    assert bash.value("echo seen; cat kept.txt") == "seen\nhidden\n"
    bash.value("exec 3<kept.txt 200>lock; flock -n 200")
    assert bash.value("cat <&3") == "hidden\n"


def test_output_is_live_and_in_order(bash: Session) -> None:
    with bash.stream("echo one; while [[ ! -e go ]]; do sleep 0.01; done; echo two >&2; echo three") as stream:
        stream.until_text("one\n")
        bash.touch("go")
        end = stream.until("execution.completed")
    execution = bash.execution(end.data["id"])
    assert (text(execution), text(execution, "stderr")) == ("one\nthree\n", "two\n")


def test_twenty_megabytes(house: House) -> None:
    session = house.session(language="bash")
    execution = session.run("yes 0123456789012345678 | head -c 20000000")
    assert execution["status"] == "completed"
    assert "0123456789012345678\n" in text(execution)


def test_background_jobs_do_not_hold_the_cell(bash: Session) -> None:
    execution = bash.run("sleep 100 & echo started")
    assert text(execution) == "started\n"
    assert execution["duration_s"] < 5
    assert text(execution, "stderr") == ""
    assert bash.value("kill %1; wait; echo over") == "over\n"


def test_display(bash: Session) -> None:
    bash.value(
        f"echo {PIXEL} | base64 -d >a.png; echo '<svg/>' >b.svg; echo '{{\"a\": [1]}}' >c.json; echo '# T' >d.md"
    )
    execution = bash.run("echo before; display a.png b.svg; echo after; display c.json d.md")
    kinds = [output["output_type"] for output in execution["outputs"]]
    assert kinds == ["stream", "display_data", "display_data", "stream", "display_data", "display_data"]
    png, svg, json_, markdown = displays(execution)
    assert base64.b64decode(png["image/png"]) == base64.b64decode(PIXEL)
    assert svg["image/svg+xml"] == "<svg/>\n"
    assert json_["application/json"] == {"a": [1]}
    assert markdown["text/markdown"] == "# T\n"


@pytest.mark.parametrize("file", ["none.png", "/etc", "script.sh", "bad.json"])
def test_what_cannot_be_displayed(bash: Session, file: str) -> None:
    bash.value("echo '{' >bad.json; echo >script.sh")
    execution = bash.run(f"display {file}")
    assert execution["status"] == "failed"
    assert text(execution, "stderr").startswith("display: ")
    assert execution["error"]["value"] == f"exit code 1 from `display {file}`"


# what ends the shell


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("exec true", "exited with code 0"),
        ("exec sh -c 'exit 3'", "exited with code 3"),
        ("kill -9 $$", "killed"),
        ("exec sh -c 'kill -SEGV $$'", "SIGSEGV: the shell ended"),
        ("exec 241>/dev/null", "ended itself: the cell closed or replaced its descriptors 241 or 242"),
        ("exec 244>&-", "ended itself: its shell had nothing to tell by"),
        # What the kernel needs by name, and cannot get back.
        ("builtin() { :; }; readonly -f builtin", "ended itself: its shell reads on"),
        ("readonly __kgw_last", "ended itself: its shell reads on"),
        ("unset -f __kgw_out", "ended itself: its shell reads on"),
    ],
)
def test_the_shell_is_ended(bash: Session, code: str, said: str) -> None:
    bash.value("gone=1; echo kept >file")
    execution = bash.run(code, timeout_s=20)
    assert execution["status"] == "killed", execution
    assert execution["state_lost"] is True
    assert said in execution["error"]["value"], execution["error"]
    assert bash.value("echo ${gone-none}; cat file") == "none\nkept\n"


@pytest.mark.parametrize("redirection", [">&-", "</dev/null", ">/dev/null"])
def test_descriptors_that_bash_uses_itself(bash: Session, redirection: str) -> None:
    bash.value("kept=1")
    code = f'for n in {{10..60}}; do eval "exec $n{redirection}"; done; echo seen'
    assert bash.value(code, timeout_s=10) == "seen\n"
    assert bash.value("echo $kept", timeout_s=10) == "1\n"


def test_the_shell_is_ended_between_cells(bash: Session) -> None:
    bash.value("(while [[ ! -e go ]]; do sleep 0.01; done; kill -9 $$) & gone=1")
    with bash.follow() as stream:
        bash.touch("go")
        assert "killed" in stream.until("session.state", state="dead").data["reason"]
    assert bash.value("echo ${gone-none}") == "none\n"


def test_cells_cannot_end_themselves_by_a_forged_report(bash: Session) -> None:
    execution = bash.run("echo $'0123\\x1f0\\x1f/\\x1f0' >&244; echo garbage >&244; echo on; false")
    assert (execution["status"], text(execution)) == ("failed", "on\n")


@pytest.mark.parametrize("line", ["printf 'x%.0s' {1..65536}", "head -c 3000000 /dev/zero", "printf 'x'"])
def test_reports_are_found_after_what_others_write_there(bash: Session, line: str) -> None:
    assert bash.value(f"{line} >&244; echo on", timeout_s=20) == "on\n"
    assert bash.value("echo after", timeout_s=20) == "after\n"


def test_other_kernels_of_the_session_cannot_stop_its_reports(house: House) -> None:
    session = house.session(language="bash")
    session.value("kept=1")
    code = """
import contextlib, glob, os
for path in glob.glob("/tmp/.cells-*/report") + glob.glob("/proc/[0-9]*/fd/244"):
    # It may not even see them.
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        for _ in range(16):
            os.write(fd, b"x" * 4096)
"""
    session.value(code, language="python")
    assert session.value("echo $kept", timeout_s=20) == "1\n"


def test_the_folder_of_cells_may_be_removed(bash: Session) -> None:
    bash.value("kept=1; rm -rf /tmp/.cells-*")
    assert bash.value("echo $kept") == "1\n"
    assert bash.run("rm -rf /tmp/.cells-*; exit 3")["error"]["value"].startswith("exit code 3")
    assert bash.value("echo $kept") == "1\n"


# names that the kernel uses too

NAMES = (
    "builtin command unset local printf read declare trap kill source . : [ test eval set exec return cd shift type wc"
)


@pytest.mark.parametrize(
    "code",
    [
        *(f"{name}() {{ :; }}" for name in NAMES.split() if name not in ("trap", "exit")),
        "builtin() { return 1; }; false; true",
        'builtin() { command builtin "$@"; }',
        "builtin() { :; }; export -f builtin",
        "enable -n builtin",
        "enable -n printf kill trap unset local return declare read cd",
        f"shopt -s expand_aliases; for n in {NAMES}; do alias $n=false 2>/dev/null; done; true",
        "POSIXLY_CORRECT=1",
        "set -o posix",
        "set -o posix; builtin() { :; }",
        "export POSIXLY_CORRECT=1",
    ],
)
def test_names_of_builtins_are_a_cell_s(bash: Session, code: str) -> None:
    bash.value("kept=1")
    execution = bash.run(f"{code}\necho a", timeout_s=20)
    assert (execution["status"], text(execution)) == ("completed", "a\n"), execution
    failed(bash, "(exit 4)", timeout_s=20)
    assert failed(bash, "\\builtin set -e; \\exit 5", timeout_s=20)["value"].startswith("exit code 5")
    # By which a new shell takes over.
    failed(bash, "\\builtin set +e -u; \\builtin echo $nosuch", timeout_s=20)
    assert bash.value("echo $kept", timeout_s=20) == "1\n"


def test_options_are_the_same_after_a_function_called_builtin(bash: Session) -> None:
    before = bash.value("shopt; set +o")
    bash.value("builtin() { :; }")
    assert bash.value("shopt; set +o") == before


def test_files_that_are_not_there(bash: Session) -> None:
    error = failed(bash, "./nope.sh")
    assert (error["name"], error["value"]) == (
        "CommandNotFound",
        "./nope.sh: No such file or directory (exit code 127, line 1)",
    )
