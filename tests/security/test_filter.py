"""The system call filter as a session meets it: what it refuses, and everything ordinary that must work under it."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.live.client import Session, text, visiting
from tests.live.gateway import Gateway

from .calls import ALIKE_WITHOUT, LET_THROUGH, MACHINE, PROBES, numbered
from .matrix import usable
from .workloads import NODE, PYTHON

pytestmark = pytest.mark.live

# Answers to single calls as JSON; the same text runs in a session, in a program started there, and outside.
ASK = """
import ctypes, json
def ask(calls):
    libc = ctypes.CDLL(None, use_errno=True)
    def call(values):
        return ctypes.get_errno() if libc.syscall(*[ctypes.c_long(value) for value in values]) == -1 else 0
    return {key: call(values) for key, values in calls.items()}
"""
STATUS = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('Seccomp:')))"
# i386's getpid, by its own door: mov eax, 20; int 0x80; ret. And x32's, which has bit 30 set.
I386 = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex('b814000000cd80c3'))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
X32 = "import ctypes; ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 | 39))\n"
FOREIGN = {"i386": I386, "x32": X32} if MACHINE == "x86_64" else {}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("filter") / "data")
    with gateway:
        gateway.remember_baseline()
        yield gateway


@pytest.fixture
def session(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[Session]:
    """One that has been seen to be filtered, so that nothing here can pass without."""
    with visiting(gateway, request.node.name) as house:
        session = house.session()
        assert session.value(STATUS) == "2\n"
        yield session


def outside(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)


def test_programs_of_a_session_are_filtered(session: Session) -> None:
    code = f"import subprocess, sys\nprint(subprocess.check_output([sys.executable, '-c', {STATUS!r}], text=True))"
    assert session.value(code).strip() == "2"
    assert session.value("import subprocess; print(subprocess.getoutput('grep Seccomp: /proc/self/status'))").endswith(
        "2\n"
    )
    assert outside(STATUS).stdout == "0\n"


# What it refuses -------------------------------------------------------------------------------------------------


def asking(calls: dict[str, list[int]]) -> str:
    return f"{ASK}\nprint(json.dumps(ask({calls!r})))"


def by_property() -> list[object]:
    names = sorted({probe.property for probe in PROBES.values()})
    return [pytest.param(name, id=name, marks=pytest.mark.prop(name)) for name in names]


@pytest.mark.parametrize("name", by_property())
def test_refused(session: Session, name: str) -> None:
    """By the kernel itself and by programs it starts; and not, or not so, by the same calls outside."""
    probes = {key: probe for key, probe in PROBES.items() if probe.property == name}
    wanted = {key: probe.errno for key, probe in probes.items()}
    code = asking(numbered(probes))
    free = json.loads(outside(code).stdout)
    alike = {key for key in wanted if free[key] == wanted[key]}
    assert alike <= ALIKE_WITHOUT, "without the filter these fail alike: they show nothing"
    assert json.loads(session.value(code)) == wanted
    started = f"import subprocess, sys\nprint(subprocess.check_output([sys.executable, '-c', {code!r}], text=True))"
    assert json.loads(session.value(started)) == wanted


@pytest.mark.prop("KS10")
def test_let_through(session: Session) -> None:
    wanted = {key: probe.errno for key, probe in LET_THROUGH.items()}
    assert json.loads(session.value(asking(numbered(LET_THROUGH)))) == wanted


@pytest.mark.prop("KS07")
def test_unknown_numbers_are_not_implemented(session: Session) -> None:
    # The first is umask: proof that it is the number that decides.
    umask = numbered({"umask": PROBES["mount"]._replace(call="umask", arguments=(0o77,))})
    calls = umask | {str(number): [number, 0, 0, 0, 0, 0, 0] for number in (*range(480, 500), 1000, 4095)}
    answers = json.loads(session.value(asking(calls)))
    assert answers.pop("umask") == 0
    assert set(answers.values()) == {errno.ENOSYS}


@pytest.mark.prop("KS08")
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_program_of_a_foreign_architecture_is_ended(session: Session, kind: str) -> None:
    assert outside(FOREIGN[kind]).returncode != -signal.SIGSYS
    code = f"import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', {FOREIGN[kind]!r}]).returncode)"
    assert session.value(code) == f"{-signal.SIGSYS}\n"


@pytest.mark.prop("KS08")
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_kernel_that_makes_a_foreign_call_is_ended_and_told(session: Session, kind: str) -> None:
    execution = session.run(FOREIGN[kind])
    assert execution["status"] == "killed"
    assert "SIGSYS" in json.dumps(execution["error"])
    assert session.value("print('again')") == "again\n"


@pytest.mark.prop("KS11")
def test_the_filter_stays_and_a_second_only_narrows(session: Session) -> None:
    unshare, umask = numbered(
        {
            "unshare": PROBES["unshare"],
            "umask": PROBES["unshare"]._replace(call="umask", arguments=(0o77,)),
        }
    ).values()
    code = f"""{ASK}
import errno
class Program(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('instructions', ctypes.c_char_p)]
def one(operation, operand, true=0, false=0):
    return operation.to_bytes(2, 'little') + bytes((true, false)) + operand.to_bytes(4, 'little')
def prctl(*values):
    libc = ctypes.CDLL(None, use_errno=True)
    return ctypes.get_errno() if libc.prctl(*values) else 0
def load(code):
    return prctl(22, 2, ctypes.byref(Program(len(code) // 8, code)))
allow = one(0x06, 0x7fff0000)
calls = {{'unshare': {unshare}, 'umask': {umask}}}
off = prctl(22, 0)
loaded = load(allow)
before = ask(calls)
narrowed = load(one(0x20, 0) + one(0x15, {umask[0]}, 0, 1) + one(0x06, 0x50000 | errno.EACCES) + allow)
print(json.dumps([off, loaded, before, narrowed, ask(calls)]))
"""
    started = f"import subprocess, sys\nprint(subprocess.check_output([sys.executable, '-c', {code!r}], text=True))"
    assert json.loads(session.value(started)) == [
        errno.EINVAL,
        0,
        {"unshare": errno.EPERM, "umask": 0},
        0,
        {"unshare": errno.EPERM, "umask": errno.EACCES},
    ]


@pytest.mark.prop("PR07")
def test_a_program_of_the_session_cannot_be_traced_or_read(session: Session) -> None:
    """For real, on a child of one's own, which outside is always allowed."""
    code = """
import ctypes, subprocess, sys
child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
print(libc.ptrace(PTRACE_SEIZE, child.pid, None, None), ctypes.get_errno())
child.kill(); child.wait()
"""
    assert outside(code).stdout == "0 0\n"
    assert session.value(code) == f"-1 {errno.EPERM}\n"


# What works ------------------------------------------------------------------------------------------------------


@pytest.mark.prop("KS10")
@pytest.mark.parametrize("name", PYTHON)
def test_python_works(session: Session, name: str) -> None:
    assert session.value(PYTHON[name], timeout_s=50).splitlines()[-1] == "worked"


@pytest.mark.prop("KS10", "RS01")
def test_memory_files_work_where_something_counts_them(session: Session) -> None:
    code = """
import mmap, os
memory = os.memfd_create('x'); os.ftruncate(memory, 4096)
mmap.mmap(memory, 4096)[:2] = b'ab'
print(os.pread(memory, 2, 0))
"""
    execution = session.run(code)
    if usable("v1") or usable("v2"):
        assert text(execution) == "b'ab'\n"
    else:
        assert execution["error"]["value"].startswith(f"[Errno {errno.ENOSYS}]")


@pytest.mark.prop("KS10")
@pytest.mark.parametrize("name", NODE)
def test_node_works(session: Session, name: str) -> None:
    code = f"""
import subprocess
result = subprocess.run(['node', '-e', {NODE[name]!r}], capture_output=True, text=True, timeout=40)
print(result.stdout, result.stderr)
"""
    assert session.value(code, timeout_s=50).strip().endswith("worked")
