"""Sessions and gateways come and go, and leave nothing."""

from __future__ import annotations

import functools
import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.live import proc
from tests.live.client import Session
from tests.live.gateway import Gateway

from .. import matrix
from ..conftest import World
from ..remains import Remains, remains, settled
from .limits import FORKING, LIMITS

# Gateways start and stop in here, several at a time when the whole suite runs.
pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


LIVELY = """
import subprocess, os
open('/workspace/file', 'w').write('x'); open('/tmp/file', 'w').write('x'); open('/dev/shm/file', 'w').write('x')
left = subprocess.Popen(['sleep', '1000'], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    os.execvp('sleep', ['sleep', '1000'])
print('lively')
"""


@pytest.mark.prop("RS09")
@pytest.mark.slow
def test_forty_sessions_leave_nothing(world: World) -> None:
    gateway = world.gateway

    def one(client: httpx.Client, number: int) -> None:
        session = Session(client, f"{uuid.uuid4().hex}.{number}")
        session.create(limits=LIMITS) if number % 2 else None
        assert session.value(LIVELY) == "lively\n"
        if number % 3 == 0:
            session.restart()
            assert session.value("print('again')") == "again\n"
        session.delete()

    with gateway.client() as client:
        # The first of each size has a file system made, which is kept as a pattern.
        one(client, 0)
        one(client, 1)
    gateway.wait_ready()
    before = settled(gateway.pid, gateway.data_dir)
    with gateway.client() as client, ThreadPoolExecutor(4) as threads:
        list(threads.map(functools.partial(one, client), range(40)))
    gateway.wait_ready()
    proc.wait_until(lambda: not grown(gateway, before), 15, lambda: grown(gateway, before))


@pytest.mark.prop("RS09")
def test_sessions_that_are_ended_while_they_start_leave_nothing(world: World) -> None:
    """At once, when the start has begun, and when it is over."""
    gateway = world.gateway
    with gateway.client() as client:
        # The first of its size has a file system made, which is kept as a pattern.
        first = Session(client, uuid.uuid4().hex)
        first.create(limits=LIMITS)
        first.run("1")
        first.delete()
    gateway.wait_ready()
    before = settled(gateway.pid, gateway.data_dir)
    with gateway.client() as client:
        for number in range(12):
            session = Session(client, f"{uuid.uuid4().hex}.{number}")
            session.create(limits=LIMITS)
            with session.stream("print('never mind')") as stream:
                if number % 3 == 1:
                    proc.wait_until(functools.partial(has_begun, session), 10, "it does not start")
                elif number % 3 == 2:
                    stream.until("execution.started")
                session.delete()
                assert stream.until("execution.completed")
    gateway.wait_ready()
    proc.wait_until(lambda: not grown(gateway, before), 15, lambda: grown(gateway, before))


def has_begun(session: Session) -> bool:
    return bool(session.look()["state"] != "new")


def grown(gateway: Gateway, before: Remains) -> dict[str, int]:
    return remains(gateway.pid, gateway.data_dir).more_than(before)


@pytest.mark.prop("RS11")
@pytest.mark.parametrize("configuration", FORKING, ids=str)
def test_what_a_killed_gateway_leaves_is_taken_over_or_cleared(configuration: matrix.Configuration) -> None:
    """Sessions go on; what is nobody's any more is gone before anything new starts."""
    with matrix.gateway(configuration) as gateway:
        with gateway.client() as client:
            for name in ("one", "two"):
                session = Session(client, name)
                session.create(limits=LIMITS) if name == "one" else None
                assert session.value(LIVELY) == "lively\n"
            kernels = {name: Session(client, name).look()["kernel"]["pid"] for name in ("one", "two")}
        fresh = re.compile(r"[0-9a-f]{32}")
        workspaces = {path.name for path in (gateway.data_dir / "workspaces").iterdir() if fresh.fullmatch(path.name)}
        left = gateway.kill()
        # All of it is really there, or its absence would mean nothing.
        assert len(proc.still_there(left)) >= 6
        gateway.start()
        family = {pid for kernel in kernels.values() for pid in proc.neighbours(kernel)}
        # And bubblewrap, which is the parent of what is in there.
        family |= {proc.parent(pid) for pid in family}
        servers = {pid for pid in left if proc.command(pid).rstrip().endswith("/kernels")}
        nobodys = {pid: start for pid, start in left.items() if pid not in family | servers}
        proc.wait_until(lambda: not proc.still_there(nobodys), 5, lambda: proc.still_there(nobodys))
        assert len(workspaces & {path.name for path in (gateway.data_dir / "workspaces").iterdir()}) == 2
        with gateway.client() as client:
            for name, kernel in kernels.items():
                session = Session(client, name)
                assert session.look()["kernel"]["pid"] == kernel
                look = "import os; print(sorted(os.listdir('/workspace')), left.poll())"
                assert session.value(look) == "['file'] None\n"
                session.delete()
        assert not workspaces & {path.name for path in (gateway.data_dir / "workspaces").iterdir()}
        proc.wait_until(lambda: set(proc.still_there(left)) <= servers, 5, lambda: proc.still_there(left))
