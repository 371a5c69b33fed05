"""What stays in a session, and what no other session sees."""

from __future__ import annotations

import pytest

from .client import House, Session
from .gateway import TOKEN

pytestmark = pytest.mark.live


def test_variables_persist(session: Session) -> None:
    session.value("import math\nclass A: pass\na = A(); a.n = 1\ndef f(x): return x + a.n")
    session.value("a.n += 1")
    assert session.value("print(f(1), math.floor(2.5))") == "3 2\n"


def test_execution_counts(session: Session) -> None:
    assert [session.run("1")["execution_count"] for _ in range(3)] == [1, 2, 3]


def test_variables_persist_across_clients(house: House) -> None:
    session = house.session()
    session.value("x = 'kept'")
    for _ in range(2):
        with house.gateway.client() as other:
            assert Session(other, session.id).value("print(x)") == "kept\n"


def test_files_outlive_a_restart_and_variables_do_not(session: Session) -> None:
    session.value("x = 1\nopen('/workspace/kept.txt', 'w').write('text')\nopen('/tmp/gone', 'w').close()")
    session.restart()
    assert session.value("print(open('kept.txt').read())") == "text\n"
    assert session.run("x")["error"]["name"] == "NameError"
    assert session.value("import os; print(os.path.exists('/tmp/gone'))") == "False\n"


def test_a_session_has_its_own_files(house: House) -> None:
    first, second = house.session(), house.session()
    places = ("/workspace", "/tmp", "/dev/shm", "/home/user")
    first.value(f"for place in {places}: open(place + '/mine', 'w').close()")
    show = f"import os; print([place for place in {places} if os.path.exists(place + '/mine')])"
    assert first.value(show) == f"{list(places)}\n"
    assert second.value(show) == "[]\n"
    assert [each.value("print(os.getcwd())") for each in (first, second)] == ["/workspace\n"] * 2


def test_a_session_has_its_own_variables(house: House) -> None:
    first, second = house.session(), house.session()
    first.value("shared = 1; import sys; sys.modules['mine'] = sys")
    assert second.run("shared")["error"]["name"] == "NameError"
    assert second.run("import mine")["error"]["name"] == "ModuleNotFoundError"


def test_a_session_sees_no_other_processes(house: House) -> None:
    first, second = house.session(), house.session()
    first.value("import subprocess; child = subprocess.Popen(['sleep', '4321'])")
    show = """
import os
found = []
for pid in filter(str.isdigit, os.listdir('/proc')):
    found.append(open(f'/proc/{pid}/cmdline').read().replace(chr(0), ' '))
print(*found, sep='|')
"""
    assert "sleep 4321" in first.value(show)
    seen = second.value(show)
    assert "4321" not in seen
    assert not any(word in seen for word in ("serve", TOKEN, str(house.gateway.data_dir)))
    assert len(seen.split("|")) == 2


def test_a_session_cannot_reach_anothers_sockets(house: House) -> None:
    first, second = house.session(), house.session()
    port = first.value("""
import socket
listener = socket.create_server(('127.0.0.1', 0))
abstract = socket.socket(socket.AF_UNIX)
abstract.bind('\\0live-test')
abstract.listen()
print(listener.getsockname()[1], end='')
""")
    connect = f"""
import socket
def reach(family, address):
    with socket.socket(family) as sock:
        sock.settimeout(2)
        try:
            sock.connect(address)
        except OSError as error:
            return type(error).__name__
        return 'reached'
print(reach(socket.AF_INET, ('127.0.0.1', {port})), reach(socket.AF_UNIX, '\\0live-test'))
"""
    assert first.value(connect) == "reached reached\n"
    assert second.value(connect) == "ConnectionRefusedError ConnectionRefusedError\n"


def test_the_gateway_is_out_of_reach(house: House) -> None:
    port = house.gateway.url.rpartition(":")[2]
    connect = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
    assert house.session().run(connect)["error"]["name"] == "ConnectionRefusedError"


def test_sessions_draw_different_random_numbers(house: House) -> None:
    draw = "import random, numpy, uuid; print(random.random(), numpy.random.rand(), uuid.uuid4())"
    drawn = [house.session().value(draw).split() for _ in range(3)]
    for column in zip(*drawn, strict=True):
        assert len(set(column)) == 3
