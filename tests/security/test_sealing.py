"""The door that everything enters a sandbox by: what comes through it is sealed, and what cannot be sealed never runs.

Spoken to the fork server directly, as the gateway speaks to it.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kernelgw.environments import find
from kernelgw.errors import KernelDidNotStart
from kernelgw.kernel import recipe
from kernelgw.kernel.forkserver import Event, ForkServer, kernels_folder
from kernelgw.sandbox import bubblewrap, seccomp
from kernelgw.sandbox.identity import own
from kernelgw.sandbox.policy import WRITABLE, Limits
from kernelgw.sandbox.workspaces import Workspace

pytestmark = pytest.mark.live

UID = 1_869_998 if os.geteuid() == 0 else None
TIMEOUT_S = 20
SHOW = (
    "grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Groups|Sig(Ign|Blk))' /proc/self/status; ls /proc/self/fd; ulimit -c; env"
)


def signals(mask: str) -> set[int]:
    """In a mask of /proc, without those that libc keeps to itself."""
    return {number for number in signal.valid_signals() if int(mask, 16) >> number - 1 & 1}


class Door:
    """A fork server and a place for sandboxes."""

    def __init__(self, server: ForkServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.etc = folder / "etc"
        self.environment = server.environment

    async def enter(self, argv: list[str], **seal: Any) -> tuple[str, Event]:
        """What a program prints in a sandbox of its own, and what is told of its end."""
        name = uuid.uuid4().hex[:8]
        workspace = self.folder / "workspaces" / name
        workspace.mkdir(parents=True, mode=0o700)
        own(workspace, UID)
        policy = recipe.policy(self.environment, Workspace(workspace, UID, False, 1 << 20), self.etc, Limits(), "fork")
        ended: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

        def heard(event: Event) -> None:
            if event["event"] in ("exit", "spawn_failed") and not ended.done():
                ended.set_result(event)

        self.server.watch(name, heard)
        self.server.tell("sandbox", id=name, groups=[], **recipe.sandbox(policy, bubblewrap.find()))
        read, write = os.pipe()
        fields = {"uid": UID, "cwd": "/workspace", "writable": list(WRITABLE), "limits": {"nofile": 256, "core": 1}}
        program = {"argv": argv, "env": {"ONLY": "this"}, "stdio": [0, 1, 1]}
        null = os.open(os.devnull, os.O_RDONLY)
        await self.server.spawn({"exec": program}, [null, write], id=name, sandbox=name, seal=fields | seal)
        os.close(null)
        os.close(write)
        event = await asyncio.wait_for(ended, TIMEOUT_S)
        text = os.read(read, 1 << 16).decode()
        os.close(read)
        self.server.tell("end", id=name)
        return text, event


async def open_door(folder: Path, program: bytes) -> Door:
    """`program`: the system call filter of all that is sealed."""
    environment = dataclasses.replace(find("default"), preload=())
    run_dir = folder / "run"
    run_dir.mkdir(mode=0o700)
    server = ForkServer(environment, run_dir)
    door = Door(server, folder)
    bubblewrap.write_etc(door.etc)
    (folder / "workspaces").mkdir(mode=0o711)
    parts = (environment.prefix, *recipe.interpreter_of(environment), folder / "workspaces", kernels_folder())
    await server.start([str(path) for path in parts], [str(door.etc)], base64.b64encode(program).decode())
    return door


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="kgw-door-"))
    place.chmod(0o711)
    yield place
    shutil.rmtree(place)


@pytest.fixture
async def door(folder: Path) -> AsyncIterator[Door]:
    door = await open_door(folder, seccomp.program())
    yield door
    await door.server.stop()


@pytest.mark.prop("PR01", "FS08", "PR09", "PR17")
async def test_a_program_is_sealed_as_a_kernel_is(door: Door) -> None:
    """Programs, terminals and kernels of other kinds come by exec, through the same steps."""
    text, event = await door.enter(["/bin/sh", "-c", SHOW])
    assert (event["event"], event["code"]) == ("exit", 0)
    lines = text.splitlines()
    status = dict(line.split(":\t") for line in lines if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert status["Uid"].split() == ["1000"] * 4
    assert signals(status["SigIgn"]) == signals(status["SigBlk"]) == set()
    assert "ONLY=this" in lines
    assert {line.partition("=")[0] for line in lines if "=" in line} <= {"ONLY", "PWD", "SHLVL", "_", "OLDPWD"}
    # 3 is the folder that `ls` reads; the last is the limit on core files, less than a block.
    assert [line for line in lines if line.isdigit()] == ["0", "1", "2", "3", "0"]


async def test_steps_of_the_gateway_are_not_inherited(folder: Path) -> None:
    """Ignored and blocked signals of whoever started it all."""
    kept = signal.signal(signal.SIGUSR1, signal.SIG_IGN), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        door = await open_door(folder, seccomp.program())
    finally:
        signal.signal(signal.SIGUSR1, kept[0])
        signal.signal(signal.SIGHUP, kept[1])
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    inherited = Path(f"/proc/{door.server.pid}/status").read_text()
    assert f"SigBlk:\t{1 << signal.SIGUSR2 - 1:016x}" in inherited, "the control: the fork server has them"
    try:
        text, _ = await door.enter(["/bin/sh", "-c", SHOW])
    finally:
        await door.server.stop()
    status = dict(line.split(":\t") for line in text.splitlines() if ":\t" in line)
    assert signals(status["SigIgn"]) == signals(status["SigBlk"]) == set()


@pytest.mark.parametrize(
    ("seal", "why"),
    [
        ({"groups": ["/nowhere/cgroup.procs"]}, "No such file"),
        ({"cwd": "/not/there"}, "No such file"),
        ({"limits": {"nofile": -7}}, "ValueError"),
        ({"limits": {"nonsense": 1}}, "RLIMIT_NONSENSE"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_what_cannot_be_sealed_does_not_run(door: Door, seal: dict[str, Any], why: str) -> None:
    text, event = await door.enter(["/bin/echo", "I run"], **seal)
    assert event["event"] == "spawn_failed"
    assert why in event["message"]
    assert text == ""
    # The same without it does.
    assert (await door.enter(["/bin/echo", "I run"]))[0] == "I run\n"


@pytest.mark.prop("PR01")
@pytest.mark.parametrize("program", [b"no program", b"\0" * 8, b"\xff" * 64], ids=["short", "nothing", "nonsense"])
async def test_nothing_runs_under_a_filter_that_is_none(folder: Path, program: bytes) -> None:
    door = await open_door(folder, program)
    try:
        text, event = await door.enter(["/bin/echo", "I run"])
        assert event["event"] == "spawn_failed"
        assert "seccomp" in event["message"]
        assert text == ""
    finally:
        await door.server.stop()


async def test_two_programs_of_one_name_are_refused(door: Door) -> None:
    boot = {"exec": {"argv": ["/bin/sleep", "60"], "env": {}}}
    await door.server.spawn(boot, [], id="same", sandbox=None, seal={})
    with pytest.raises(KernelDidNotStart, match="exists"):
        await door.server.spawn(boot, [], id="same", sandbox=None, seal={})
