"""Processes, threads and processor time."""

from __future__ import annotations

import pytest

from tests.live import proc
from tests.live.client import House, Session, problem

from ..conftest import World
from ..remains import groups_of
from .limits import GRACE_S, LIMITS, inside, outside

# Gateways start and stop in here, several at a time when the whole suite runs.
pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


FORKS = """
import json, os, signal
children = []
try:
    while len(children) < 2000:
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
    found = 0
except OSError as error:
    found = error.errno
print(json.dumps([len(children), found]))
"""
CLEAR = """
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""
THREADS = """
import threading
over, threads = threading.Event(), []
while len(threads) < 2000:
    threads.append(threading.Thread(target=over.wait, daemon=True))
    threads[-1].start()
"""


@pytest.mark.prop("RS02")
def test_forks_end_at_the_limit(session: Session, neighbour: Session) -> None:
    # Outside, with as much as a session may make and twice that.
    assert outside(FORKS.replace("2000", "96") + CLEAR) == [96, 0]
    made, error = inside(session, FORKS)
    assert LIMITS["processes"] // 2 < made <= LIMITS["processes"]
    assert error == 11
    # While they are all there, others start: the fixture tries. Then it goes on too.
    session.value(CLEAR)
    assert session.value("import subprocess; print(subprocess.getoutput('echo well'))") == "well\n"


@pytest.mark.prop("RS02")
def test_threads_end_at_the_limit_with_a_hint(session: Session, neighbour: Session) -> None:
    execution = session.run(THREADS)
    assert execution["error"]["name"] == "RuntimeError"
    assert "limit on processes and threads" in execution["error"]["hint"]
    made = int(session.value("print(len(threads) - 1); over.set()"))
    assert LIMITS["processes"] // 2 < made <= LIMITS["processes"]


@pytest.mark.prop("RS02")
def test_a_shell_s_fork_bomb_stays_within_and_is_ended_with_its_session(session: Session, neighbour: Session) -> None:
    with session.stream("import subprocess\nsubprocess.run(['bash', '-c', ':(){ :|:& };: ; wait'])") as stream:
        stream.until("execution.started")
        pid = session.look()["kernel"]["pid"]
        proc.wait_until(lambda: len(proc.neighbours(pid)) > LIMITS["processes"] // 2, 20, lambda: proc.neighbours(pid))
        counts = [len(proc.neighbours(pid)) for _ in range(50)]
        assert max(counts) <= LIMITS["processes"] + 2
        assert neighbour.value("print(kept)") == "41\n"
        session.restart()
        stream.until("execution.completed")
    assert session.value("print('again')") == "again\n"


ZOMBIES = """
import json, os
made, error = 0, 0
try:
    while made < 2000:
        if os.fork() == 0: os._exit(0)
        made += 1
except OSError as failure:
    error = failure.errno
print(json.dumps([made, error]))
"""
ORPHANS = """
import json, os
made, error = 0, 0
try:
    while made < 120:
        child = os.fork()
        if child == 0:
            os.fork()
            os._exit(0)
        os.waitpid(child, 0)
        made += 1
except OSError as failure:
    error = failure.errno
print(json.dumps([made, error]))
"""


@pytest.mark.prop("RS10")
def test_zombies_are_bounded_and_orphans_reaped(session: Session, neighbour: Session) -> None:
    # A hundred and more that nobody waits for come and go; their slots come back.
    assert inside(session, ORPHANS) == [120, 0]
    made, error = inside(session, ZOMBIES)
    assert LIMITS["processes"] // 2 < made <= LIMITS["processes"]
    assert error == 11
    assert outside(ZOMBIES.replace("2000", "96")) == [96, 0]


# Processor time --------------------------------------------------------------------------------------------------

BUSY = """
import os, resource, time
children = []
for _ in range({loops}):
    child = os.fork()
    if child == 0:
        end = time.monotonic() + {seconds}
        while time.monotonic() < end: pass
        os._exit(0)
    children.append(child)
for child in children: os.waitpid(child, 0)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime)
"""
PERIOD_S, QUOTA = 0.1, 0.25


@pytest.mark.prop("RS03")
def test_cores_are_held_to_the_quota(world: World, house: House) -> None:
    """By the group's own count: of periods, in each of which it may have its part, and of those in which it wanted
    more."""
    if world.configuration.cgroups == "none":
        # Nothing would hold it, so nobody is told that it is held.
        asked = house.client.put("/v1/sessions/quota", json={"limits": {"cpus": QUOTA}})
        assert "cpus cannot be held here" in problem(asked, 400, "bad_request")["message"]
        return
    free, held = house.session(limits=LIMITS), house.session(limits={**LIMITS, "cpus": QUOTA})
    for session in (free, held):
        session.run("1")
    before, unlimited = groups_of(world.gateway.data_dir).cpu(held), groups_of(world.gateway.data_dir).cpu(free)
    used = float(held.value(BUSY.format(loops=4, seconds=1.5), timeout_s=50))
    after = groups_of(world.gateway.data_dir).cpu(held)
    periods = after["nr_periods"] - before["nr_periods"]
    assert after["nr_throttled"] > before["nr_throttled"]
    assert used <= (periods + 2) * PERIOD_S * QUOTA * 1.1
    # The same without a quota is never held back.
    assert float(free.value(BUSY.format(loops=4, seconds=0.5), timeout_s=50)) > 0
    assert groups_of(world.gateway.data_dir).cpu(free).get("nr_throttled", 0) == unlimited.get("nr_throttled", 0) == 0


@pytest.mark.prop("RS03")
def test_busy_loops_leave_neighbours_their_part(session: Session, neighbour: Session) -> None:
    with session.stream(BUSY.format(loops=8, seconds=300)) as stream:
        stream.until("execution.started")
        for number in range(20):
            assert neighbour.value(f"print(kept + {number})") == f"{41 + number}\n"
        session.restart()
        stream.until("execution.completed", status="killed")


@pytest.mark.prop("RS03")
def test_who_computes_stands_back_for_as_long_as_it_does(world: World, house: House) -> None:
    """How much less a neighbour notices is measured by `make bench`."""
    busy, calm = house.session(limits=LIMITS), house.session(limits=LIMITS)
    for session in (busy, calm):
        session.run("1")

    def back(session: Session) -> list[str]:
        files = [folder / "cpu.idle" for folder in groups_of(world.gateway.data_dir).of(session)]
        return [file.read_text().strip() for file in files if file.exists()]

    if world.configuration.cgroups == "none":
        assert (back(busy), back(calm)) == ([], [])
        return
    with busy.stream(BUSY.format(loops=2, seconds=300)) as stream:
        stream.until("execution.started")
        proc.wait_until(lambda: back(busy) == ["1"], 20, "it does not stand back")
        assert calm.value("print('here')") == "here\n"
        assert back(calm) == ["0"]
        busy.interrupt()
        stream.until("execution.completed")
    busy.run("import signal\nfor child in children: os.kill(child, signal.SIGKILL)")
    proc.wait_until(lambda: back(busy) == ["0"], 20, "it does not come forward again")


STUBBORN = """
import signal, subprocess
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGXCPU, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
child = subprocess.Popen(['sleep', '1000'], start_new_session=True)
print('deaf', flush=True)
while True:
    try:
        while True: pass
    except BaseException:
        pass
"""


@pytest.mark.prop("RS04")
def test_a_cell_that_ignores_every_signal_is_killed_at_its_deadline(session: Session, neighbour: Session) -> None:
    session.run("polite = 1")
    execution = session.run("while True: pass", timeout_s=1)
    assert (execution["status"], execution["state_lost"]) == ("timed_out", False)
    assert session.value("print(polite)") == "1\n"
    pid = session.look()["kernel"]["pid"]
    with session.stream(STUBBORN, timeout_s=2) as stream:
        stream.until_text("deaf")
        everything = {each: proc.started_at(each) or "" for each in proc.neighbours(pid)}
        assert len(everything) >= 3
        end = stream.until("execution.completed").data
    assert (end["status"], end["state_lost"]) == ("timed_out", True)
    assert "ran past its deadline" in end["error"]["value"]
    assert "fresh kernel" in end["error"]["hint"]
    # Not before its grace was over.
    assert end["duration_s"] >= 2 + GRACE_S
    proc.wait_until(lambda: not proc.still_there(everything), 5, lambda: proc.still_there(everything))
