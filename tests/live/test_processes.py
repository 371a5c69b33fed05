"""Cells that fork, start threads and leave things behind."""

from __future__ import annotations

import pytest

from .client import Session, text

pytestmark = pytest.mark.live


def test_fork(session: Session) -> None:
    code = """
import os
print('parent before')
pid = os.fork()
if pid == 0:
    print('child speaks')
    os._exit(7)
print('status', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    execution = session.run(code, timeout_s=20)
    assert execution["status"] == "completed", execution["error"]
    assert sorted(text(execution).splitlines()) == ["child speaks", "parent before", "status 7"]
    assert session.value("print('on')") == "on\n"


def test_child_that_leaves_by_an_exception(session: Session) -> None:
    """The child must not go on as a second kernel."""
    for leave in ("sys.exit(0)", "raise ValueError"):
        execution = session.run(f"import os, sys\nif os.fork() == 0: {leave}\nos.wait()", timeout_s=5)
        assert execution["status"] == "completed", execution["error"]
    session.value("x = 0")
    for n in range(1, 6):
        assert session.value("x += 1; print(x)", timeout_s=20) == f"{n}\n"


def test_multiprocessing_pool(session: Session) -> None:
    code = """
import multiprocessing
def square(n):
    print('in child', n)
    return n * n
with multiprocessing.get_context('fork').Pool(2) as pool:
    print(pool.map(square, range(8)))
"""
    out = session.value(code, timeout_s=30)
    assert str([n * n for n in range(8)]) in out
    assert sorted(line for line in out.splitlines() if "child" in line) == [f"in child {n}" for n in range(8)]


def test_process_pool_executor(session: Session) -> None:
    code = """
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(2) as pool:
    print(list(pool.map(abs, [-1, -2, -3])))
"""
    assert session.value(code, timeout_s=30) == "[1, 2, 3]\n"


def test_threads(session: Session) -> None:
    """What is written at once stays together; `print` writes its end by itself, as in any Python."""
    code = """
import threading
def say(n):
    for k in range(100): print(f'{n}:{k}\\n', end='')
threads = [threading.Thread(target=say, args=(n,)) for n in range(5)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print('end')
"""
    out = session.value(code).splitlines()
    assert out[-1] == "end"
    assert sorted(out[:-1]) == sorted(f"{n}:{k}" for n in range(5) for k in range(100))


def test_error_in_a_thread(session: Session) -> None:
    code = (
        "import threading\nthread = threading.Thread(target=lambda: 1 / 0)\nthread.start(); thread.join()\nprint('end')"
    )
    execution = session.run(code)
    assert execution["status"] == "completed"
    assert "ZeroDivisionError" in text(execution, "stderr")
    assert text(execution) == "end\n"


@pytest.mark.parametrize(
    "start",
    [
        "import subprocess; child = subprocess.Popen(['sleep', '1000'])",
        "import subprocess; child = subprocess.Popen('sleep 1000 &', shell=True)",
        "import os; os.system('sleep 1000 &')",
        "import subprocess; child = subprocess.Popen(['yes'])",
        "import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start()",
    ],
)
def test_what_is_left_behind_does_not_hold_up(session: Session, start: str) -> None:
    execution = session.run(f"{start}\nprint('started')", timeout_s=10)
    assert execution["status"] == "completed"
    assert "started\n" in text(execution)
    assert session.run("print('on')", timeout_s=10)["status"] == "completed"


def test_a_program_that_goes_on_writing_does_not_tear_lines(session: Session) -> None:
    code = """
import subprocess, time
child = subprocess.Popen('while :; do echo y; done', shell=True)
for k in range(300):
    print('line', k, 'of it')
    time.sleep(0.0005)
child.kill()
"""
    lines = text(session.run(code, timeout_s=20)).splitlines()
    assert [line for line in lines if line != "y"] == [f"line {k} of it" for k in range(300)]
    assert lines.count("y") > 100


def test_a_line_that_does_not_end_does_not_hold_up_what_programs_write(session: Session) -> None:
    code = """
import subprocess, time
print('...', end='')
started = time.monotonic()
child = subprocess.Popen('for i in 1 2 3; do echo y; sleep 0.01; done', shell=True)
child.wait()
"""
    assert text(session.run(code, timeout_s=20)) == "...y\ny\ny\n"


def test_a_server_in_the_background(session: Session) -> None:
    session.value("""
import http.server, threading
server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
open('page.txt', 'w').write('served')
""")
    code = (
        "import urllib.request; print(urllib.request.urlopen(f'http://127.0.0.1:{server.server_port}/page.txt').read())"
    )
    assert "b'served'" in session.value(code)
    session.value("server.shutdown()")


def test_background_output_of_a_subprocess(session: Session) -> None:
    """Of a program that outlives its cell: it is not lost."""
    code = "import subprocess; child = subprocess.Popen('while [ ! -e go ]; do :; done; echo late', shell=True)"
    session.create()
    with session.follow() as stream:
        session.run(code)
        session.touch("go")
        stream.until_text("late\n")
