"""POST /api/execute: files that come with the code, and its standard input."""

from __future__ import annotations

import base64

import pytest

from .client import House, Session
from .executing import Execute, refused, sessions

pytestmark = pytest.mark.live


# files and standard input


def test_files_are_there_before_and_come_back(execute: Execute) -> None:
    code = """
import os
print(open('data/names.csv', encoding='utf-8').read(), list(open('raw', 'rb').read()))
open('out.txt', 'w').write('made')
os.makedirs('deep/er')
open('deep/er/picture.bin', 'wb').write(bytes(range(256)))
"""
    files = {"data/names.csv": "Ana\nJürgen\n", "raw": {"base64": base64.b64encode(b"\x00\xff").decode()}, "./dot": ""}
    found = execute(code, files=files)
    assert found["output"].startswith("Ana\nJürgen\n [0, 255]\n")
    # What came with it is not what it made.
    assert [each["path"] for each in found["files"]] == ["deep/er/picture.bin", "out.txt"]
    made = {each["name"]: base64.b64decode(each["base64"]) for each in found["artifacts"]}
    assert made == {"out.txt": b"made", "picture.bin": bytes(range(256))}
    assert {each["url"] for each in found["artifacts"]} == {None}


def test_files_of_a_session_stay_and_have_addresses(house: House, execute: Execute) -> None:
    name = house.session().id
    execute("1", session_id=name, files={"a.txt": "first"})
    found = execute("open('a.txt', 'a').write(' second')", session_id=name, language="python")
    (made,) = found["artifacts"]
    assert house.client.get(made["url"]).text == "first second"
    again = execute("print(open('a.txt').read())", session_id=name, files={"a.txt": "new", "b.txt": ""})
    assert again["output"] == "new\n"
    assert again["files"] == []


def test_files_belong_to_the_session(execute: Execute) -> None:
    code = """
import os
for path in ('a', 'a/b', 'a/b/c'):
    facts = os.lstat(path)
    print(facts.st_uid == os.getuid(), facts.st_gid == os.getgid(), oct(facts.st_mode & 0o777))
open('a/b/c', 'a').write('more'); os.rename('a/b', 'a/d')
"""
    found = execute(code, files={"a/b/c": "text"})
    assert found["output"] == "True True 0o755\nTrue True 0o755\nTrue True 0o644\n"
    assert found["success"]


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "", "a//b", "a/", "x" * 300, "a\0b", "."])
def test_files_that_lead_elsewhere(house: House, path: str) -> None:
    refused(house, 400, "bad_path", code="1", language="python", files={path: "x"})
    assert sessions(house) == []


def test_links_that_a_session_made_are_not_followed(house: House, execute: Execute) -> None:
    name = house.session().id
    execute("import os\nos.symlink('/tmp', 'out')\nos.symlink('/etc/hostname', 'file')", session_id=name)
    refused(house, 409, "file_not_written", code="1", session_id=name, files={"out/x": "x"})
    found = execute(
        "import os\nprint(os.path.islink('file'), open('file').read())", session_id=name, files={"file": "x"}
    )
    assert found["output"] == "False x\n"


def test_one_name_twice(house: House) -> None:
    refused(house, 400, "bad_path", code="1", language="python", files={"a": "1", "./a": "2"})


READS = [
    ("print([input('? '), input()])", "? ['one', 'two']\n"),
    ("import sys\nprint(repr(sys.stdin.read()))", "'one\\ntwo\\nthree'\n"),
    ("import sys\nprint(sys.stdin.readline().strip(), [line for line in sys.stdin])", "one ['two\\n', 'three']\n"),
    ("print(open(0).read().upper())", "ONE\nTWO\nTHREE\n"),
    ("import subprocess\nprint(subprocess.run(['cat'], capture_output=True, text=True).stdout)", "one\ntwo\nthree\n"),
    ("import sys\nfor line in map(str.rstrip, sys.stdin):\n    print(len(line))", "3\n3\n5\n"),
    ("import getpass\nprint(getpass.getpass('secret '))", "secret one\n"),
    ("import fileinput\nprint(sum(1 for _ in fileinput.input('-')))", "3\n"),
]


@pytest.mark.parametrize(("code", "output"), READS, ids=[code.split("\n")[-1][:30] for code, _ in READS])
def test_standard_input(execute: Execute, code: str, output: str) -> None:
    assert execute(code, language="python", stdin="one\ntwo\nthree")["output"] == output


def test_standard_input_ends(execute: Execute) -> None:
    found = execute("print(input())\ninput()", stdin="ü 🐍\n")
    assert (found["output"], found["error_details"]["name"]) == ("ü 🐍\n", "EOFError")
    assert execute("input()", stdin="")["error_details"]["name"] == "EOFError"
    large = "x" * 3_000_000
    assert execute("print(len(input()))", stdin=large)["output"] == "3000000\n"


def test_standard_input_is_of_one_run_alone(house: House, execute: Execute) -> None:
    name = house.session().id
    execute("import sys; before = sys.stdin", session_id=name)
    assert execute("print(input())", session_id=name, stdin="a\nb\n")["output"] == "a\n"
    assert execute("print(input())", session_id=name, stdin="c\n")["output"] == "c\n"
    session = Session(house.client, name)
    assert session.value("import os; print(sys.stdin is before, repr(os.read(0, 10)))") == "True b''\n"
    assert session.run("input()")["error"]["name"] == "StdinNotImplementedError"
    with session.stream("print(input('? '))", stdin=True) as stream:
        asked = stream.until("input.requested")
        assert session.answer(asked.data["execution_id"], "asked").status_code == 202
        stream.until_text("asked\n")
    # Also after one that was stopped while it read.
    found = execute(
        "import sys\nfor line in sys.stdin: pass\nwhile True: pass", session_id=name, stdin="x", timeout_s=0.3
    )
    assert found["status"] == "timed_out"
    assert session.value("print(sys.stdin is before)") == "True\n"
