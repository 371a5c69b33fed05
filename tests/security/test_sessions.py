"""Two sessions of one gateway, and what one of them can see, reach or do to the other or to the host."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import uuid
from pathlib import Path

import pytest

from kernelgw.doctor import probes
from kernels.seal import Seal, enter
from tests.live import proc
from tests.live.client import House, Session, problem

from .conftest import World
from .matrix import PLAIN_UID

pytestmark = [pytest.mark.live, pytest.mark.in_gvisor]

# A program that says when it is there, and then waits.
WAITING = """
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', {code!r}], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
print(child.stdout.readline().strip())
"""
IDLE = "print('there', flush=True); input()"
# Hears no signal, has no terminal, no group and no parent that anybody knows.
DAEMON = """
import signal, time
for number in set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, 32, 33}:
    signal.signal(number, signal.SIG_IGN)
time.sleep(600)
"""
DAEMONISE = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 3)
        os.execv(sys.executable, [sys.executable, '-c', daemon])
    os._exit(0)
os.wait()
"""


def kernel_pid(session: Session) -> int:
    return int(session.look()["kernel"]["pid"])


def of(world: World, session: Session, name: str) -> list[int]:
    """Host pids of this session's processes whose command line has `name` in it."""
    family = proc.descendants(world.gateway.pid)
    return [pid for pid in proc.neighbours(kernel_pid(session)) if pid in family and name in proc.command(pid)]


# Files


@pytest.mark.in_gvisor(False)
@pytest.mark.prop("CS01", "FS02")
def test_files_of_another_session_are_not_there(house: House) -> None:
    one, other = house.session(), house.session()
    places = [f"{folder}/only-here" for folder in ("/workspace", "/tmp", "/dev/shm", "/home/user")]
    one.run(f"for path in {places}: open(path, 'w').write('secret')")
    look = f"import os\nprint([os.path.exists(path) for path in {places}])"
    assert one.value(look) == f"{[True] * len(places)}\n"
    assert other.value(look) == f"{[False] * len(places)}\n"
    everywhere = "import subprocess; print(subprocess.run('find / -name only-here 2>/dev/null | sort', shell=True, "
    everywhere += "capture_output=True, text=True).stdout)"
    assert one.value(everywhere).split() == sorted(places)
    assert other.value(everywhere).split() == []


@pytest.mark.prop("CS05")
def test_a_session_made_again_finds_nothing_of_the_old_one(house: House) -> None:
    session = house.session(env={"MINE": "yes"})
    session.run("x = 41; open('/workspace/left', 'w').write('x'); open('/tmp/left', 'w').write('x')")
    look = (
        "import os; print('x' in dir(), os.environ.get('MINE'), os.listdir('/workspace'), os.path.exists('/tmp/left'))"
    )
    assert session.value(look) == "True yes ['left'] True\n"
    session.delete()
    assert session.value(look) == "False None [] False\n"
    history = session.client.get(f"{session.path}/history").json()["executions"]
    assert [each["code"] for each in history] == [look]


@pytest.mark.prop("CS07", "CS05")
def test_a_uid_and_a_name_that_are_used_again_bring_nothing_with_them(house: House, world: World) -> None:
    """A pool has taken uids of its own meanwhile, so several come and go before one comes round again."""
    leave = """
import os, signal
for folder in ('/workspace', '/dev/shm'):
    open(f'{folder}/left', 'w').write('x')
os.fork() or signal.pause()
"""
    seen: dict[int, int] = {}
    for _ in range(4):
        session = house.session()
        uid = host_uid(session)
        assert session.value("import os; print(os.listdir('/workspace'), os.listdir('/dev/shm'))") == "[] []\n"
        session.run(leave)
        seen[uid] = seen.get(uid, 0) + 1
        session.delete()
    assert max(seen.values()) > 1, "no uid came round again: this showed nothing"


@pytest.mark.prop("CS07")
def test_a_sandbox_is_joined_only_if_it_is_the_very_one() -> None:
    """pids are used again: what decides are the namespaces' inodes."""
    names = ("net", "ipc", "uts", "mnt", "pid", "cgroup")
    own = {name: Path(f"/proc/self/ns/{name}").stat().st_ino for name in names}
    with pytest.raises(PermissionError, match="is not the sandbox's"):
        enter(Seal(pid=os.getpid(), namespaces={**own, "ipc": own["ipc"] + 1}))
    # The same call with the right ones gets past that check, to what a process of many threads may not do.
    with pytest.raises(OSError, match="setns"):
        enter(Seal(pid=os.getpid(), namespaces=own))


@pytest.mark.prop("PR10", "CS01", "CS05")
def test_what_a_session_was_given_is_in_no_other_one_s_memory(house: House) -> None:
    """Kernels are made of the fork server's memory, so that must never have held it."""
    secret = f"secret-of-{uuid.uuid4().hex}"
    given, other = house.session(env={"API_KEY": secret}), house.session()
    for session in (given, other):
        # Started for this session rather than taken from the pool, with its variables from the first.
        session.run("1")
        session.restart()
    look = probes.source({"backwards": [secret[::-1]]}, "PR10")
    assert given.value("import os; print(os.environ['API_KEY'])").strip() == secret
    assert [each.seen for each in probes.parse(other.value(look))] == [""]
    assert probes.parse(given.value(look))[0].seen.startswith("found in"), "the control"


# Processes


@pytest.mark.in_gvisor(False)
@pytest.mark.prop("CS02", "PR03", "PR11")
def test_processes_of_others_are_not_there(house: House, world: World) -> None:
    one, other = house.session(), house.session()
    assert one.value(WAITING.format(code=IDLE)) == "there\n"
    (pid,) = of(world, one, "print('there'")
    targets = [pid, kernel_pid(one), world.gateway.pid, world.gateway.forkserver, os.getpid()]
    code = f"""
import errno, os
def sent(pid):
    try:
        os.kill(pid, 0)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "sent"
print([sent(pid) for pid in {targets}])
print(sorted(open(f"/proc/{{name}}/comm").read().strip() for name in os.listdir("/proc") if name.isdigit()))
"""
    answers, names = other.value(code).splitlines()
    # Numbers that are somebody's inside are this session's own; high ones are nobody's.
    assert set(json.loads(answers.replace("'", '"'))) == {"ESRCH"}
    assert names == "['kernel', 'sleep']"
    assert one.value("import os; print(child.pid in map(int, filter(str.isdigit, os.listdir('/proc'))))") == "True\n"
    os.kill(pid, 0)
    assert one.value("child.kill(); print(child.wait())") == f"{-signal.SIGKILL}\n"


@pytest.mark.in_gvisor(False)
@pytest.mark.prop("PR02", "CS04")
def test_who_sessions_are_outside(house: House, world: World) -> None:
    """Root gives each session a uid of its own; a plain user has only its own to give."""
    one, other = house.session(), house.session()
    one.run("1")
    other.run("1")
    uids = {host_uid(one), host_uid(other)}
    assert 0 not in uids
    if world.configuration.is_root:
        assert len(uids) == 2
    else:
        assert uids == {PLAIN_UID if os.geteuid() == 0 else os.geteuid()}
    for pid in (kernel_pid(one), kernel_pid(other)):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert len(set(fields["Uid"].split())) == len(set(fields["Gid"].split())) == 1
        mapped = Path(f"/proc/{pid}/uid_map").read_text().split()
        assert mapped == ["1000", fields["Uid"].split()[0], "1"]
        assert set(fields["Groups"].split()) <= extra_groups(world)
    assert one.value("import os; print(os.getuid(), os.getgid())") == "1000 1000\n"


def host_uid(session: Session) -> int:
    if session.client.get(session.path).status_code == 404:
        session.run("1")
    return Path(f"/proc/{kernel_pid(session)}").stat().st_uid or _real_uid(kernel_pid(session))


def _real_uid(pid: int) -> int:
    """A process that is not dumpable is root's in /proc, whoever it is."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:")))


def extra_groups(world: World) -> set[str]:
    """Without root those of the user cannot be given up; inside none of them means anything."""
    return set() if world.configuration.is_root or os.geteuid() == 0 else set(map(str, os.getgroups()))


@pytest.mark.in_gvisor(False)
@pytest.mark.prop("PR15")
@pytest.mark.parametrize("end", ["delete", "restart"])
def test_nothing_survives_the_end(house: House, world: World, end: str) -> None:
    """A daemon, as deep in the background as one can go."""
    session = house.session()
    session.run(f"daemon = {DAEMON!r}\n{DAEMONISE}")
    proc.wait_until(lambda: of(world, session, "time.sleep(600)"), 10, "the daemon")
    daemons = {pid: proc.started_at(pid) or "" for pid in of(world, session, "time.sleep(600)")}
    assert len(daemons) == 1
    if end == "delete":
        session.delete()
        assert proc.still_there(daemons) == {}, "an answered DELETE means that all is gone"
        return
    session.restart()
    proc.wait_until(lambda: not proc.still_there(daemons), 5, lambda: proc.still_there(daemons))


@pytest.mark.prop("PR16")
def test_sessions_draw_different_numbers(house: House) -> None:
    code = """
import json, os, random, tempfile, uuid
import numpy
print(json.dumps([random.random(), numpy.random.random(), uuid.uuid4().hex, uuid.uuid1().hex, os.urandom(8).hex(),
    tempfile.mktemp(), get_ipython().kernel.session.session, get_ipython().kernel.ident]))
"""
    drawn = [json.loads(house.session().value(code)) for _ in range(3)]
    for values in zip(*drawn, strict=True):
        assert len(set(values)) == 3, values
    # The control: from one seed they are the same.
    seeded = "import random, numpy\nrandom.seed(1); numpy.random.seed(1); print(random.random(), numpy.random.random())"
    assert len({house.session().value(seeded) for _ in range(2)}) == 1


@pytest.mark.in_gvisor(False)
@pytest.mark.prop("PR18")
def test_a_killed_holder_ends_its_session_alone(house: House, world: World) -> None:
    one, other = house.session(), house.session()
    one.run("x = 1")
    other.run("x = 2")
    (holder,) = of(world, one, "sleep infinity")
    with one.stream("print('began', flush=True)\nimport time\ntime.sleep(60)") as stream:
        stream.until_text("began")
        os.kill(holder, signal.SIGKILL)
        ended = list(stream)[-1]
    assert ended.data["status"] == "killed"
    assert ended.data["state_lost"] is True
    assert ended.data["error"]["value"]
    assert one.value("print('x' in dir())") == "False\n"
    assert other.value("print(x)") == "2\n"


@pytest.mark.in_gvisor(False)
@pytest.mark.prop("PR11")
def test_the_first_process_does_not_obey(house: House) -> None:
    session = house.session()
    code = """
import os, signal, subprocess
child = subprocess.Popen(['sleep', '60'])
for number in range(1, 65):
    try: os.kill(1, number)
    except OSError: pass
child.send_signal(signal.SIGTERM)
print(child.wait(), open('/proc/1/comm').read().strip())
"""
    assert session.value(code) == f"{-signal.SIGTERM} sleep\n"


# Everything else that processes share

SHARED = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
KEY = 0x6b677731
def tried(action):
    try:
        return action() >= 0
    except OSError:
        return False
def connects(family, address):
    with socket.socket(family) as client:
        client.settimeout(5)
        return client.connect(address) or 0
"""
MAKE = """
abstract = socket.socket(socket.AF_UNIX); abstract.bind('\\0kgw-shared'); abstract.listen()
tcp = socket.create_server(('127.0.0.1', 5999))
pathname = socket.socket(socket.AF_UNIX); pathname.bind('/tmp/shared.sock'); pathname.listen()
print([tried(lambda: libc.shmget(KEY, 4096, 0o1666)), tried(lambda: libc.msgget(KEY, 0o1666)),
       tried(lambda: libc.semget(KEY, 1, 0o1666))])
"""
LOOK = """
print([tried(lambda: libc.shmget(KEY, 0, 0)), tried(lambda: libc.msgget(KEY, 0)), tried(lambda: libc.semget(KEY, 0, 0)),
       tried(lambda: connects(socket.AF_UNIX, '\\0kgw-shared')),
       tried(lambda: connects(socket.AF_INET, ('127.0.0.1', 5999))),
       tried(lambda: connects(socket.AF_UNIX, '/tmp/shared.sock'))])
"""


@pytest.mark.prop("CS03", "NE02", "NE04", "NE06")
def test_what_processes_share_is_not_shared_between_sessions(house: House, world: World) -> None:
    one, other = house.session(), house.session()
    # Where nothing counts memory there is nothing of System V, which belongs to no process.
    memory = world.configuration.cgroups != "none"
    there = f"{[memory] * 3 + [True] * 3}\n"
    assert one.value(SHARED + MAKE) == f"{[memory] * 3}\n"
    assert one.value(LOOK) == there
    assert other.value(SHARED + LOOK) == f"{[False] * 6}\n"
    # Another program of the same session sees them too.
    code = (
        f"import subprocess, sys; print(subprocess.check_output([sys.executable, '-c', {SHARED + LOOK!r}], text=True))"
    )
    assert one.value(code).strip() == there.strip()


@pytest.mark.prop("CS06")
def test_forged_messages_reach_nobody_else(house: House) -> None:
    """A kernel can say anything about whose message this is; where it came from decides."""
    one, other = house.session(), house.session()
    other.run("1")
    with other.stream("print(input())", stdin=True) as stream:
        victim = stream.until("execution.started").data["execution_id"]
        stream.until("input.requested")
        forged = f"""
kernel = get_ipython().kernel
def forge(parent, session):
    header = {{'header': {{'msg_id': parent, 'session': session, 'username': 'x', 'date': None,
              'msg_type': 'execute_request', 'version': '5.3'}}}}
    contents = {{'stream': {{'name': 'stdout', 'text': 'not its own\\n'}}, 'status': {{'execution_state': 'idle'}}}}
    for kind, content in contents.items():
        kernel.session.send(kernel.iopub_socket, kind, content, parent=header, ident=b'x')
forge({victim!r}, {other.id!r})
forge(kernel.get_parent()['header']['msg_id'], 'x')
print('sent')
"""
        mine = one.run(forged)
        assert "not its own" in json.dumps(mine["outputs"]), "the control: what is one's own arrives"
        other.answer(victim, "hello")
        events = list(stream)
    assert events[-1].data["status"] == "completed"
    assert "not its own" not in json.dumps([event.data for event in events])
    text = "".join(event.data["text"] for event in events if event.type == "output.stream")
    assert text == "hello\n"


# The gateway's own processes


@pytest.mark.prop("PR09", "PR10")
def test_the_gateway_and_its_fork_server_cannot_be_looked_into(house: House, world: World) -> None:
    """By whoever a session is outside. Without root that is the gateway's own user, so they must not be dumpable."""
    session = house.session()
    session.run("1")
    user = host_uid(session)
    look = "import sys; open(f'/proc/{sys.argv[1]}/environ', 'rb').read(1); open(f'/proc/{sys.argv[1]}/mem', 'rb')"
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if os.geteuid() == 0 else []
    with subprocess.Popen([*as_user, "/bin/sleep", "60"]) as plain:
        try:
            proc.wait_until(lambda: proc.command(plain.pid).startswith("/bin/sleep"), 5, "the control")
            command = [*as_user, "/usr/bin/python3", "-I", "-c", look]
            pids = (plain.pid, world.gateway.pid, world.gateway.forkserver)
            codes = {pid: subprocess.run([*command, str(pid)], capture_output=True).returncode for pid in pids}
        finally:
            plain.kill()
    assert codes == {plain.pid: 0, world.gateway.pid: 1, world.gateway.forkserver: 1}


@pytest.mark.prop("CS07")
def test_a_name_that_is_in_use_is_not_made_again(house: House) -> None:
    session = house.session()
    session.run("x = 1")
    again = session.client.put(session.path, json={"network": "full"})
    assert (again.status_code, again.json()["network"]) == (200, "off")
    assert session.value("print(x)") == "1\n"


@pytest.mark.prop("NE02")
def test_the_host_does_not_answer_though_it_could(house: House) -> None:
    """A listener that a test has just talked to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        address = server.getsockname()
        with socket.create_connection(address, 5):
            server.accept()[0].close()
        server.setblocking(False)
        code = f"import socket\nsocket.create_connection({address!r}, 2)"
        assert house.session().run(code)["error"]["name"] == "ConnectionRefusedError"
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.prop("PR01")
def test_more_than_may_be_had_is_refused(house: House) -> None:
    response = house.client.put("/v1/sessions/greedy", json={"limits": {"memory_bytes": 1 << 50}})
    problem(response, 400, "bad_request")
