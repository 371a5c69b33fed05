"""The second fence, in real processes: what it keeps from changing, and what it must leave alone."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kernels import landlock

ROOT = Path(__file__).parents[2]

PRELUDE = """
import json, os, subprocess, sys
from pathlib import Path
from kernels import landlock, linux
inside, outside = Path('inside').resolve(), Path('outside').resolve()
def refused(what):
    try:
        what()
    except OSError as error:
        return error.errno
    return 0
def say(**facts):
    print(json.dumps(facts))
"""
NO_NEW_PRIVS = "linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)\n"
FENCED = "abi = landlock.restrict([str(inside), str(inside / 'missing'), '/dev/shm'])\n"


@pytest.fixture
def places(tmp_path: Path) -> Path:
    for name in ("inside", "outside"):
        (tmp_path / name / "folder").mkdir(parents=True)
        (tmp_path / name / "file").write_text("old")
    return tmp_path


def facts(places: Path, code: str, prelude: str = PRELUDE + NO_NEW_PRIVS) -> dict[str, Any]:
    result = subprocess.run(
        [sys.executable, "-c", prelude + code],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(places / "inside")},
        cwd=places,
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert result.returncode == 0, result
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


CHANGES = """
def changes(folder):
    return {
        'write': refused(lambda: (folder / 'file').write_text('new')),
        'append': refused(lambda: os.close(os.open(folder / 'file', os.O_WRONLY | os.O_APPEND))),
        'truncate': refused(lambda: os.truncate(folder / 'file', 0)),
        'make': refused(lambda: (folder / 'made').touch()),
        'mkdir': refused(lambda: (folder / 'made.d').mkdir()),
        'fifo': refused(lambda: os.mkfifo(folder / 'fifo')),
        'symlink': refused(lambda: (folder / 'symlink').symlink_to('file')),
        'link': refused(lambda: os.link(folder / 'file', folder / 'hardlink')),
        'link to another folder': refused(lambda: os.link(folder / 'file', folder / 'folder' / 'hardlink')),
        'move': refused(lambda: os.rename(folder / 'file', folder / 'folder' / 'file')),
        'unlink': refused(lambda: (folder / 'folder' / 'file').unlink()),
        'rmdir': refused(lambda: (folder / 'folder2').rmdir()),
    }
for folder in (inside, outside): (folder / 'folder2').mkdir()
"""


def test_without_a_fence_everything_goes(places: Path) -> None:
    free = facts(places, CHANGES + "say(inside=changes(inside), outside=changes(outside))")
    assert set(free["inside"].values()) | set(free["outside"].values()) == {0}


def test_changes_stay_within(places: Path) -> None:
    found = facts(places, CHANGES + FENCED + "say(abi=abi, inside=changes(inside), outside=changes(outside))")
    assert found["abi"] == landlock.version() >= landlock.OLDEST_ABI, "this kernel has no Landlock to test with"
    assert set(found["inside"].values()) == {0}
    moved = {"link", "link to another folder", "move"}
    assert {found["outside"].pop(name) for name in moved} <= {errno.EACCES, errno.EXDEV}
    # The move did not happen, so there is no such file; removing the other is what is refused.
    assert found["outside"].pop("unlink") == errno.ENOENT
    assert set(found["outside"].values()) == {errno.EACCES}, found
    assert (places / "outside" / "file").read_text() == "old"


def test_reading_and_running_stay_free(places: Path) -> None:
    code = FENCED + (
        "(ls := inside / 'ls').write_bytes(Path('/bin/ls').read_bytes()); ls.chmod(0o700)\n"
        "say(read=(outside / 'file').read_text(), list=sorted(os.listdir(outside)),"
        " ran=subprocess.run([ls, outside], capture_output=True, text=True).stdout)"
    )
    assert facts(places, code) == {"read": "old", "list": ["file", "folder"], "ran": "file\nfolder\n"}


def test_it_holds_for_programs_and_cannot_be_widened(places: Path) -> None:
    code = FENCED + (
        "landlock.restrict(['/'])\n"
        "by_shell = subprocess.run('echo new > outside/file', shell=True, stderr=subprocess.DEVNULL).returncode\n"
        "say(by_shell=by_shell, itself=refused(lambda: (outside / 'file').write_text('new')))"
    )
    found = facts(places, code)
    assert found["by_shell"] != 0
    assert found["itself"] == errno.EACCES
    assert (places / "outside" / "file").read_text() == "old"


def test_a_folder_reached_by_links_is_the_same_folder(places: Path) -> None:
    (places / "inside" / "way").symlink_to(places / "outside")
    assert facts(places, FENCED + "say(code=refused(lambda: (inside / 'way' / 'made').touch()))") == {
        "code": errno.EACCES
    }


def test_devices_pipes_and_own_files_in_proc(places: Path) -> None:
    code = (
        """
import multiprocessing, pty, tempfile, threading
started = tempfile.TemporaryFile(dir=inside)
"""
        + FENCED
        + """
def write(path, text='x'):
    with open(path, 'w') as file: file.write(text)
read, write_end = os.pipe()
memory = os.memfd_create('memory')
semaphore = multiprocessing.Semaphore()
leader, follower = pty.openpty()
echoed = subprocess.run('echo out > /dev/stdout; echo err > /dev/stderr', shell=True, capture_output=True, text=True)
say(
    null=refused(lambda: write('/dev/null')),
    tty=refused(lambda: write(os.ttyname(follower))),
    pipe=refused(lambda: write(f'/proc/self/fd/{write_end}')),
    memory=refused(lambda: write(f'/proc/self/fd/{memory}')),
    unlinked=refused(lambda: write(f'/proc/self/fd/{started.fileno()}')),
    name=refused(lambda: write('/proc/self/comm')),
    score=refused(lambda: write('/proc/self/oom_score_adj', '1000')),
    shm=refused(lambda: write('/dev/shm/kernelgw-landlock-test')) or os.unlink('/dev/shm/kernelgw-landlock-test'),
    out=echoed.stdout, err=echoed.stderr,
)
"""
    )
    assert facts(places, code) == {
        **dict.fromkeys(("null", "tty", "pipe", "memory", "unlinked", "name", "score"), 0),
        "shm": None,
        "out": "out\n",
        "err": "err\n",
    }


def test_ordinary_tools_work_within(places: Path) -> None:
    code = (
        FENCED
        + """
import multiprocessing, os, sqlite3, signal
os.chdir(inside)
script = '''
set -e
git init -q repo && cd repo && echo 1 > a && git add a
git -c user.name=a -c user.email=a@localhost commit -qm one && git mv a b && git gc -q && cd ..
git clone -q repo copy && mv copy folder/ && tar cf all.tar repo folder && cp -a repo other && rm -r other
sleep 60 & kill $! ; wait $! || true
'''
subprocess.run(script, shell=True, check=True)
database = sqlite3.connect('x.db')
mode = database.execute('pragma journal_mode=wal').fetchone()[0]
database.execute('create table t(a)'); database.commit()
with multiprocessing.get_context('fork').Pool(2) as pool: numbers = pool.map(abs, [-1, -2])
say(mode=mode, numbers=numbers, copied=os.path.exists('folder/copy/a'))
"""
    )
    assert facts(places, code) == {"mode": "wal", "numbers": [1, 2], "copied": True}


def test_a_plain_user_needs_no_new_privs(places: Path) -> None:
    """Without it, it is an error, never a missing fence."""
    code = """
if os.geteuid() == 0: os.setresuid(65534, 65534, 65534)
without = refused(lambda: landlock.restrict([]))
linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
say(without=without, with_it=refused(lambda: landlock.restrict([])))
"""
    assert facts(places, code, PRELUDE) == {"without": errno.EPERM, "with_it": 0}
