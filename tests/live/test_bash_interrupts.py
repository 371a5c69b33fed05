"""Interrupts and deadlines of Bash cells: what stops, and that the shell is the same afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .client import House, Session, text

pytestmark = pytest.mark.live

# Goes on with the next round of a loop when it is interrupted.
DEALS_WITH_IT = "python3 -c 'import time\ntry: time.sleep(50)\nexcept KeyboardInterrupt: pass'"
# And not even that.
IGNORES_IT = "python3 -c 'import signal, time; signal.signal(2, signal.SIG_IGN); print(1, flush=True); time.sleep(50)'"
WAITS = [
    "sleep 50",
    "while true; do :; done",
    "while sleep 0.01; do :; done",
    "until ! sleep 0.01; do true; done",
    "for ((;;)); do echo x >/dev/null; done",
    "sleep 50 & wait",
    "sleep 50 | cat",
    "sleep 50 || echo never; sleep 50",
    "(sleep 50; echo never)",
    "x=$(sleep 50)",
    "f() { sleep 50; }; f && echo never",
    "mkfifo p; read x <p",
    "set -e; sleep 50",
    "trap 'echo handled' INT; while true; do sleep 50; done; echo never",
    "trap 'sleep 0.01' ERR; while true; do false; done",
    "trap : DEBUG; while true; do :; done",
    "eval 'while true; do :; done'",
    "set -u; while true; do sleep 0.001; done",
    "yes",
    "bash -c 'sleep 50; echo never'",
    f"for i in 1 2 3; do {DEALS_WITH_IT}; done; echo never",
]


@pytest.fixture
def bash(house: House) -> Session:
    return house.session(language="bash")


@pytest.mark.parametrize("wait", WAITS)
def test_interrupt(bash: Session, wait: str) -> None:
    bash.value("kept=1; f1() { echo f $kept; }; sleep 100 & job=$!")
    for _ in range(3):
        with bash.stream(f"echo running\n{wait}") as stream:
            stream.until_text("running")
            bash.interrupt()
            end = stream.until("execution.completed").data
        assert (end["status"], end["state_lost"]) == ("interrupted", False), end
        assert "never" not in text(bash.execution(end["id"]))
    bash.value("trap - INT DEBUG; trap - ERR; set +eu; rm -f p")
    # The job has not had the signal, and what ends a cell by itself still does.
    assert bash.value("f1; jobs -p | grep -qx $job && echo known") == "f 1\nknown\n"
    assert bash.run("set -e; g() { return 9; }; g")["error"]["value"].startswith("exit code 9")
    assert bash.value("set +e; kill $job && echo on") == "on\n"


def test_interrupt_right_after_the_start(bash: Session) -> None:
    bash.value("kept=1")
    for _ in range(20):
        with bash.stream("sleep 50") as stream:
            bash.interrupt()
            end = stream.until("execution.completed")
        assert end.data["status"] == "interrupted", end.data
        assert bash.value("echo $kept") == "1\n"


def test_interrupt_at_the_end_of_a_cell(bash: Session) -> None:
    bash.value("kept=1")
    for n in range(20):
        with bash.stream(f"sleep {n / 1000}") as stream:
            bash.interrupt()
            end = stream.until("execution.completed")
        assert end.data["status"] in ("completed", "interrupted"), end.data
        assert bash.value("echo $kept") == "1\n"


def test_interrupt_of_an_idle_shell(bash: Session) -> None:
    bash.value("kept=1")
    for _ in range(5):
        bash.interrupt()
        assert bash.value("echo $kept") == "1\n"


def test_interrupt_and_the_user_s_trap(bash: Session) -> None:
    with bash.stream("trap 'echo handled' INT; echo running; while true; do sleep 50; done") as stream:
        stream.until_text("running")
        bash.interrupt()
        end = stream.until("execution.completed").data
    assert end["status"] == "interrupted"
    assert text(bash.execution(end["id"])) == "running\nhandled\n"
    assert bash.value("trap -p INT") == "trap -- 'echo handled' SIGINT\n"


def test_deadline(bash: Session) -> None:
    bash.value("kept=1")
    execution = bash.run("echo x; also=2; while true; do :; done", timeout_s=0.3)
    assert (execution["status"], execution["state_lost"], text(execution)) == ("timed_out", False, "x\n")
    assert bash.value("echo $kept $also") == "1 2\n"


def test_a_program_that_ignores_interrupts(make_house: Callable[..., House]) -> None:
    bash = make_house(grace_s=0.5).session(language="bash")
    bash.value("gone=1; echo kept >file")
    execution = bash.run(IGNORES_IT, timeout_s=1)
    assert (execution["status"], execution["state_lost"]) == ("timed_out", True)
    assert "deadline" in execution["error"]["value"]
    assert bash.value("echo ${gone-none}; cat file; ps ax | grep -c '[s]ignal.SIG_IGN' || :") == "none\nkept\n0\n"


@pytest.mark.parametrize(
    "code", ["builtin() { :; }; echo running; sleep 50", "enable -n builtin; echo running; sleep 50"]
)
def test_interrupt_without_builtin(bash: Session, code: str) -> None:
    bash.value("kept=1")
    with bash.stream(code) as stream:
        stream.until_text("running")
        bash.interrupt()
        end = stream.until("execution.completed").data
    assert (end["status"], end["state_lost"]) == ("interrupted", False), end
    assert bash.value("echo $kept") == "1\n"


def test_a_shell_that_is_stuck_ends_after_an_interrupt(bash: Session) -> None:
    with bash.stream("builtin() { while :; do :; done; }; echo running") as stream:
        stream.until_text("running")
        bash.interrupt()
        end = stream.until("execution.completed").data
    assert end["state_lost"] is True, end
    assert "seconds after an interrupt" in bash.execution(end["id"])["error"]["value"]
    assert bash.value("echo on") == "on\n"


def test_a_program_that_ignores_an_interrupt_goes_on(bash: Session) -> None:
    program = "import signal, time; signal.signal(2, signal.SIG_IGN); print(1, flush=True); time.sleep(12); print(2)"
    with bash.stream(f'python3 -c "{program}"') as stream:
        stream.until_text("1\n")
        bash.interrupt()
        # Longer than a shell that is stuck would have.
        stream.until_text("2\n")
        end = stream.until("execution.completed").data
    assert (end["status"], end["state_lost"]) == ("interrupted", False), end
