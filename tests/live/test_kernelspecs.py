"""Kernels of others, in all their habits, through the gateway: relayed from inside the sandbox, and answered for."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .client import House, Session, displays, problem, streamed, text, visiting
from .gateway import Gateway
from .jupyter import Message, attached, kernel_of
from .odd import declare

pytestmark = pytest.mark.live
# Lines that a kernel prints one by one, each a message of its own.
FLOOD = 30_000
LARGE = 8 << 20


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    data_dir = tmp_path_factory.mktemp("odd") / "data"
    declare(data_dir, "odd", interrupt_mode="message", env={"ODD": "in ${HOME}"})
    declare(data_dir, "by-signal")
    declare(data_dir, "never", env={"ODD_SLEEPS": "60"}, metadata={"kernelgw": {"start_s": 1}})
    declare(data_dir, "slow", env={"ODD_SLEEPS": "2"})
    declare(data_dir, "failing", env={"ODD_FAILS": "I was not installed whole"})
    declare(data_dir, "absent", argv=["no-such-kernel", "{connection_file}"])
    declare(data_dir, "outside", argv=["/opt/kernel", "{connection_file}"])
    declare(data_dir, "node")
    (declare(data_dir, "broken") / "kernel.json").write_text("{")
    with Gateway(data_dir, pool_size=0, output_bytes=64 << 20) as gateway:
        gateway.remember_baseline()
        yield gateway


@pytest.fixture
def house(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[House]:
    with visiting(gateway, request.node.name) as house:
        yield house


@pytest.fixture
def odd(house: House) -> Session:
    return house.session(language="odd")


def test_which_there_are_and_why_others_are_not(house: House) -> None:
    answer = house.session().post("1", language="absent")
    offered = problem(answer, 400, "unknown_language")["details"]["languages"]
    assert {"odd", "by-signal", "never", "slow", "failing", "python", "bash"} <= set(offered)
    assert {"absent", "outside", "broken", "python3"}.isdisjoint(offered)
    said = house.gateway.output()
    for name, why in (
        ("absent", "there is no program no-such-kernel in the environment or in /usr"),
        ("outside", "sessions do not see /opt/kernel"),
        ("broken", "Expecting property name"),
        ("node", "its name is JavaScript's here"),
    ):
        lines = [line for line in said.splitlines() if f"/{name}/kernel.json is left out" in line]
        assert len(lines) == 1, said
        assert why in lines[0]


def test_what_it_says_is_its_cell_s(odd: Session) -> None:
    """Also with no parent at all, and what it writes beside its messages; nothing that is not signed."""
    assert odd.value("say first") == "first"
    assert odd.value("orphan second") == "second"
    assert odd.value("unsigned") == ""
    execution = odd.run("raw third\n")
    assert sorted(text(execution).splitlines()) == ["third", "written"]
    assert text(execution, "stderr") == "complained\n"
    assert displays(odd.run("colour")) == [{"text/plain": "42"}]
    where = odd.value("where").split()
    assert where[:3] == ["/workspace", "in", "/home/user"]


def test_outputs_are_whole_before_a_cell_is_over(odd: Session) -> None:
    """Whichever comes first, the reply or the end of the outputs; and when one does not come at all."""
    events = odd.events("late")
    assert streamed(events) == "after the reply\n"
    assert events[-1].data["status"] == "completed"
    assert odd.run("noidle")["status"] == "completed"
    execution = odd.run("noreply")
    assert (execution["status"], execution["error"]["name"]) == ("failed", "NoReply")
    assert odd.value("say on") == "on"


def test_errors_have_names(odd: Session) -> None:
    execution = odd.run("class so it is")
    assert (execution["error"]["name"], execution["error"]["value"]) == ("Strange", "so it is")
    assert [each["ename"] for each in execution["outputs"]] == ["Strange"]
    execution = odd.run("nameless")
    assert execution["status"] == "failed"
    assert execution["error"]["name"] == "Error"
    assert "does not say why" in execution["error"]["value"]
    # For a moment it runs nothing, whatever it is told; the cell waits for it, and is run.
    assert odd.value("say again") == "again"


@pytest.mark.slow
def test_much_output_is_whole_and_in_order(odd: Session) -> None:
    assert odd.value(f"flood {FLOOD}") == "".join(f"{number}\n" for number in range(FLOOD))
    execution = odd.run(f"large {LARGE}")
    assert [each["output_type"] for each in execution["outputs"]] == ["stream", "execute_result"]
    assert len(text(execution)) == LARGE + 1


@pytest.mark.parametrize("language", ["odd", "by-signal"])
def test_an_interrupt_in_its_own_way(house: House, language: str) -> None:
    session = house.session(language=language)
    with session.stream("loop") as stream:
        stream.until_text("looping")
        session.interrupt()
        completed = stream.until("execution.completed")
    assert completed.data["status"] == "interrupted"
    way = "by message" if language == "odd" else "by signal"
    assert (completed.data["error"]["name"], completed.data["error"]["value"]) == ("KeyboardInterrupt", way)
    assert session.value("say still here") == "still here"
    assert session.look()["generation"] == 1


def test_it_asks_and_is_answered(odd: Session) -> None:
    with odd.stream("ask", stdin=True) as stream:
        asked = stream.until("input.requested")
        assert asked.data["prompt"] == "name? "
        assert odd.answer(asked.data["execution_id"], "Ada").status_code == 202
        stream.until_text("you said 'Ada'")
        assert stream.until("execution.completed").data["status"] == "completed"


def test_what_it_may_read_is_given_beforehand(odd: Session) -> None:
    """Line by line, and then the end of the file."""
    assert odd.value("read", stdin="one\ntwo\n") == "<one><two>"
    assert odd.value("read", stdin="") == ""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("die 3 the last\nof my words", "exited with code 3: python ended: the last | of my words"),
        ("die 0 enough", "exited with code 0: python ended: enough"),
        (f"kill {signal.SIGSEGV.value}", "SIGSEGV"),
        (f"kill {signal.SIGTERM.value}", "SIGTERM"),
    ],
)
def test_its_death_is_told_with_its_last_words(odd: Session, code: str, reason: str) -> None:
    odd.run("say before")
    execution = odd.run(code)
    assert (execution["status"], execution["error"]["name"]) == ("killed", "KernelDied")
    assert reason in execution["error"]["value"]
    after = odd.run("say after")
    assert (text(after), after["execution_count"], odd.look()["generation"]) == ("after", 1, 2)


def test_what_does_not_start_says_why(house: House) -> None:
    execution = house.session().run("say x", language="failing")
    assert (execution["status"], execution["error"]["name"]) == ("killed", "KernelDied")
    assert (
        "exited with code 1: python ended before it was ready: I was not installed whole" in execution["error"]["value"]
    )
    execution = house.session().run("say x", language="never")
    assert "was not ready within 1 s: still thinking" in execution["error"]["value"]
    assert house.session().value("say it takes its time", language="slow") == "it takes its time"


def test_two_sessions_have_the_same_port(house: House) -> None:
    """Each has loopback of its own, and nothing of the other's or of the host's is on it."""
    one, two = house.session(language="odd"), house.session(language="odd")
    port = int(one.value("where").split()[-1])
    listening = f"import socket\ns = socket.socket()\nout = s.connect_ex(('127.0.0.1', {port}))\nsay(str(out))"
    assert one.value(f"run {listening}") == "0"
    assert two.value(f"run {listening}") == "111"
    # And so it can have the very same.
    assert two.value(f"run {listening.replace('connect_ex', 'bind')}") == "None"


def test_it_is_in_the_sandbox(odd: Session, gateway: Gateway) -> None:
    for path in (gateway.data_dir, Path(__file__), Path("/var/lib")):
        seen = odd.value(
            f"run import pathlib; say(str(pathlib.Path({str(path)!r}).exists() and os.listdir({str(path)!r})))"
        )
        assert seen in ("False", "[]"), path
    assert odd.value("run say(open('/proc/self/status').read().split('NoNewPrivs:')[1].split()[0])") == "1"
    assert odd.value("run say(open('/proc/self/status').read().split('CapEff:')[1].split()[0])") == "0" * 16
    connect = "import socket; s = socket.socket(); s.settimeout(3); say(str(s.connect_ex(('192.0.2.1', 80))))"
    assert odd.value(f"run {connect}") == "101"
    # The key to its sockets lies in no file any more.
    assert odd.value("run say(str([each for each in os.listdir('/tmp') if each.startswith('kernel-')]))") == "[]"


def test_files_that_it_makes_are_told(odd: Session) -> None:
    execution = odd.run("run open('made.txt', 'w').write('by an odd one')")
    assert [each["path"] for each in execution["files"]] == ["made.txt"]


def test_variables_and_a_folder_of_the_session_s(house: House) -> None:
    session = house.session(language="odd", env={"ODD": "of the session", "OTHER": "too"})
    assert session.value("run say(os.environ['OTHER'])") == "too"


def test_a_jupyter_client_has_it_as_it_is(house: House, odd: Session) -> None:
    """kernel_info, completions, and messages with bytes in both directions."""
    odd.run("say x")
    with attached(house.gateway, kernel_of(odd)) as client:
        _, info = client.ended(client.send("kernel_info_request", {}))
        assert info.content["language_info"]["name"] == "odd"
        assert info.content["supported_features"] == ["odd"]
        _, done = client.ended(client.send("complete_request", {"code": "odd", "cursor_pos": 3}))
        assert done.content["matches"] == ["oddly"]
        found, _ = client.ended(client.execute("widget"))
        opened = next(each for each in found if each.type == "comm_open")
        assert opened.content["data"] == {"n": [1, 2.5, None]}
        assert opened.metadata == {"odd": True}
        assert list(opened.buffers) == [b"\x00\xff", b"two"]
        header = {
            "msg_id": "to-it",
            "msg_type": "comm_msg",
            "session": client.session,
            "username": "",
            "version": "5.3",
        }
        client.put(Message("shell", header, {}, {"comm_id": "c", "data": "twice"}, {}, [b"123", b"4"]))
        echoed = client.until(lambda each: each.type == "comm_msg" and each.of == "to-it")
        assert echoed.content["data"] == {"got": "twice", "bytes": [3, 1]}


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"isolation": "none"}, {"start": "exec"}], ids=["none", "exec"])
def test_in_other_ways_of_running_a_gateway(tmp_path: Path, options: dict[str, str]) -> None:
    declare(tmp_path / "data", "odd", interrupt_mode="message")
    with Gateway(tmp_path / "data", pool_size=0, **options) as gateway:
        gateway.remember_baseline()
        with visiting(gateway, "way") as house:
            session = house.session(language="odd")
            with session.stream("loop") as stream:
                stream.until_text("looping")
                session.interrupt()
                assert stream.until("execution.completed").data["status"] == "interrupted"
            assert session.value("say on") == "on"
            assert "exited with code 4: python ended: bye" in session.run("die 4 bye")["error"]["value"]
            assert session.value("say again") == "again"


@pytest.mark.slow
def test_a_warm_one_becomes_the_session_s(tmp_path: Path) -> None:
    """Its program is started again where the session has variables or a folder of its own."""
    declare(tmp_path / "data", "odd", env={"ODD": "${OWN}"})
    with Gateway(tmp_path / "data", pool_size=1) as gateway, gateway.client() as client:
        first = Session(client, "first")
        first.create(language="odd")
        assert first.value("say warm") == "warm"
        gateway.wait_ready()
        second = Session(client, "second")
        second.create(language="odd", env={"OWN": "the session's"}, cwd="deep/down")
        assert second.value("run say(os.environ['ODD'] + ' ' + os.getcwd())") == "the session's /workspace/deep/down"
