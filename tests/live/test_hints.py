"""One hint where there is a real one, and none where there is not: as a session's own code comes by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .client import JSON, House, Session

pytestmark = pytest.mark.live


def fails(session: Session, code: str, **body: Any) -> JSON:
    execution = session.run(code, **body)
    assert execution["error"] is not None, execution
    error: JSON = execution["error"]
    return error


@pytest.fixture
def files(session: Session) -> Session:
    session.value(
        "import os\nos.mkdir('src')\n"
        "for name in ('sales.csv', 'src/my_helpers.py', 'src/totals.json'): open(name, 'w').close()"
    )
    return session


def test_a_package_that_is_not_installed(make_house: Callable[..., House]) -> None:
    house = make_house()
    offline, online = house.session(), house.session(network="packages")
    for session in (offline, online):
        assert "`%pip install opencv-python-headless`" in fails(session, "import cv2")["hint"]
        assert "may come with a package" in fails(session, "import zzz_unheard_of")["hint"]
    assert '"network": "packages"' in fails(offline, "import cv2")["hint"]
    assert "network" not in fails(online, "import cv2")["hint"]


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("import numppy", "There is no module 'numppy'. Of similar names there are: 'numpy'."),
        ("import pnadas", "There is no module 'pnadas'. Of similar names there are: 'pandas'."),
        ("import json5", "There is no module 'json5'. It may come with a package"),
        ("import pandasql", "There is no module 'pandasql'. It may come with a package"),
        ("import numpy.foo", "'numpy' is installed, but has no module 'numpy.foo'"),
        ("import my_helpers", "src/my_helpers.py is there, but not where Python looks"),
        ("open('slaes.csv')", "There is no such file. Of similar names there are: 'sales.csv'."),
        ("open('src/total.json')", "There is no such file. Of similar names there are: 'src/totals.json'."),
        (
            "open('/mnt/data/sales.csv')",
            "There is no such file. Of similar names there are: 'sales.csv'.",
        ),
        ("import os; os.listdir('scr')", "There is no such file. Of similar names there are: 'src'."),
        ("customers = 1\nprint(custmers)", "Of similar names there are: 'customers'."),
        ("math.pi", "'math' is a module of Python's standard library: run `import math` first."),
        ("import subprocess; subprocess.run(['zzz-nope'])", "No program 'zzz-nope' was found."),
        ("import subprocess; subprocess.run(['sudo-', 'ls'])", "No program 'sudo-' was found."),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "Nothing listens at this address."),
    ],
)
def test_what_is_not_there(files: Session, code: str, hint: str) -> None:
    assert fails(files, code)["hint"].startswith(hint)


@pytest.mark.parametrize(
    "code",
    [
        "open('photo.png')",
        "raise FileNotFoundError('slaes.csv')",
        "raise ValueError('No such file or directory')",
        "zzzzzz",
        "{}['custmers']",
        "from json import nope",
        "raise MemoryError",
        "import socket; a, b = socket.socketpair(); a.setblocking(False); a.recv(1)",
        "import fcntl\na, b = open('lock', 'w'), open('lock', 'w')\n"
        "for each in a, b: fcntl.flock(each, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "1 / 0",
        "raise ModuleNotFoundError('nothing is said of which')",
        "import subprocess; subprocess.run(['ls', 'slaes.csv'], check=True)",
    ],
)
def test_what_only_looks_like_it(files: Session, code: str) -> None:
    assert "hint" not in fails(files, code)


def test_a_module_that_is_made_afterwards_and_found_gets_no_hint(files: Session) -> None:
    fails(files, "import my_helpers")
    assert files.run("import sys; sys.path.insert(0, 'src')\nimport my_helpers")["error"] is None


def test_a_deadline_says_how_long_it_was_and_what_is_left(session: Session) -> None:
    execution = session.run("kept = 1\nwhile True: pass", timeout_s=0.5)
    hint = execution["error"]["hint"]
    assert "deadline of 0.5 s" in hint
    assert "as it left them" in hint
    assert "timeout_s" in hint
    assert session.value("print(kept)") == "1\n"


def test_a_deadline_that_the_code_handles_is_told(session: Session) -> None:
    execution = session.run("import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: pass", timeout_s=0.5)
    assert "interrupted at its deadline" in execution["error"]["value"]
    assert execution["status"] == "timed_out"
    assert execution["error"]["name"] == "TimedOut"
    assert "deadline of 0.5 s" in execution["error"]["hint"]


def test_a_deadline_that_killed_says_that_variables_are_gone(make_house: Callable[..., House]) -> None:
    session = make_house(grace_s=0.3).session()
    code = "import time\nwhile True:\n    try: time.sleep(60)\n    except KeyboardInterrupt: pass"
    execution = session.run(code, timeout_s=0.5)
    assert (execution["status"], execution["state_lost"]) == ("timed_out", True)
    assert "deadline of 0.5 s" in execution["error"]["hint"]
    assert "variables are gone" in execution["error"]["hint"]


def test_an_interrupt_says_that_variables_are_there(session: Session) -> None:
    with session.stream("kept = 1\nprint('running', flush=True)\nwhile True: pass") as stream:
        stream.until_text("running")
        session.interrupt()
        told = stream.until("output.error").data
        ended = stream.until("execution.completed").data
    assert ended["status"] == "interrupted"
    assert told["hint"] == ended["error"]["hint"]
    assert "on request" in told["hint"]
    # Code that does it to itself was not stopped by anybody.
    assert "hint" not in fails(session, "raise KeyboardInterrupt")


def test_a_shell_s_kernel_that_ends_is_told_in_its_own_words(house: House) -> None:
    session = house.session(language="bash")
    execution = session.run("kill -SEGV $PPID; sleep 20")
    assert execution["status"] == "killed"
    assert "os._exit" not in execution["error"]["hint"]
    assert "extension module" not in execution["error"]["hint"]


def test_a_command_that_a_shell_does_not_find_is_told(house: House) -> None:
    session = house.session(language="bash")
    assert "does not find a command" in fails(session, "bash -c zzz-nope")["hint"]
    assert "hint" not in fails(session, "false")
