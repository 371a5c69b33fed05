"""What code says in its debugger's place: it holds nothing that nobody debugs, and nothing for longer than may be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.client import House, Session, visiting
from tests.live.debugger import Debugger
from tests.live.gateway import Gateway
from tests.live.jupyter import Client, attached, kernel_of

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

PAUSE_S, TIMEOUT_S = 1, 2
FORGED = """
kernel = get_ipython().kernel
def say(kind, content, **parent):
    parent = {"header": parent} if parent else kernel.get_parent()
    kernel.session.send(kernel.iopub_socket, kind, content, parent, ident=kind.encode())
def debugger(event, **body):
    say("debug_event", {"type": "event", "seq": 1, "event": event, "body": body})
def stopped(): debugger("stopped", reason="breakpoint", threadId=1, allThreadsStopped=True)
def continued(): debugger("continued", threadId=1, allThreadsContinued=True)
"""
HOLD = f"{FORGED}\nstopped()\nwhile True: pass"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    data_dir = tmp_path_factory.mktemp("debugged") / "data"
    with Gateway(data_dir, pause_s=PAUSE_S, timeout_s=TIMEOUT_S, debugger_grace_s=0.5) as gateway:
        gateway.remember_baseline()
        yield gateway


@pytest.fixture
def house(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[House]:
    with visiting(gateway, request.node.name, 90) as house:
        yield house


@pytest.fixture
def chat(house: House) -> Session:
    session = house.session()
    session.run("x = 20")
    return session


@pytest.fixture
def lab(house: House, chat: Session) -> Iterator[Client]:
    with attached(house.gateway, kernel_of(chat)) as client:
        yield client


def test_nobody_debugs_so_nothing_is_held(chat: Session, lab: Client) -> None:
    # Somebody looks, but has no debugger.
    Debugger(lab).ask("debugInfo")
    events = chat.events(HOLD)
    assert events[-1].data["status"] == "timed_out"
    assert events[-1].data["duration_s"] < TIMEOUT_S + PAUSE_S
    assert [event for event in events if "paused" in event.data] == []
    assert chat.look()["paused"] is None


def test_what_pretends_to_be_held_is_let_go_on_like_anything(chat: Session, lab: Client) -> None:
    Debugger(lab).attach()
    with chat.stream(HOLD) as stream:
        assert stream.until("session.state", state="busy", reason="Paused in the debugger.").data["paused"]
        # Its deadline counts from then on.
        stream.until("session.state", state="busy", paused=None)
        assert stream.until("execution.completed").data["status"] == "timed_out"
    assert chat.look()["paused"] is None
    assert chat.value("print(1)") == "1\n"


@pytest.mark.parametrize("both", [True, False], ids=["stops-and-goes", "stops"])
def test_no_number_of_stops_holds_it_longer(chat: Session, lab: Client, both: bool) -> None:
    Debugger(lab).attach()
    flood = f"{FORGED}\nwhile True:\n    stopped()\n" + ("    continued()\n" if both else "")
    events = chat.events(flood)
    assert events[-1].data["status"] in ("timed_out", "killed")
    assert [event for event in events if "paused" in event.data]
    assert chat.value("print(1)") == "1\n"


def test_a_session_that_nobody_debugs_any_more_cannot_be_held(house: House, chat: Session) -> None:
    with attached(house.gateway, kernel_of(chat)) as client:
        debugger = Debugger(client)
        debugger.attach()
        debugger.ask("disconnect", restart=False, terminateDebuggee=False)
        assert chat.run(HOLD)["status"] == "timed_out"


@pytest.mark.parametrize(
    "content",
    ["{}", "{'event': ['stopped']}", "{'event': {}}", "{'event': 'stopped'}", "{'event': 'x' * 1_000_000}"],
)
def test_events_of_any_shape_cost_nothing(chat: Session, lab: Client, content: str) -> None:
    Debugger(lab).attach()
    assert chat.value(f"{FORGED}\nsay('debug_event', {content})\ncontinued()\nprint('after')") == "after\n"
    assert chat.value("print(x)") == "20\n"


def test_a_place_that_is_made_up_is_short(chat: Session, lab: Client) -> None:
    """Of the reply to a question that was really asked."""
    Debugger(lab).attach()
    made_up = f"""{FORGED}
from ipykernel.debugger import Debugger
async def forged(self, message):
    frames = [dict(id=1, line=10 ** 12, name="n" * 100_000, source=dict(path="p" * 100_000))]
    return dict(type="response", command="stackTrace", success=True, body=dict(stackFrames=frames))
kernel.debugger.started_debug_handlers["stackTrace"] = forged.__get__(kernel.debugger)
stopped()
input()
"""
    id_ = lab.execute(made_up)
    lab.until(lambda message: message.type == "input_request")
    Debugger(lab).ask("stackTrace", threadId=1)
    where = chat.look()["paused"]["where"]
    assert (len(where["file"]), len(where["function"]), where["line"]) == (256, 256, 1 << 31)
    lab.send("input_reply", {"value": ""}, "stdin")
    lab.ended(id_)


# what a cell asks in somebody else's name


@pytest.mark.parametrize("whose", ["no request", "an earlier cell of theirs"])
def test_nobody_is_asked_but_who_asked_for_the_cell(chat: Session, lab: Client, whose: str) -> None:
    earlier = lab.execute("1")
    lab.ended(earlier)
    id_ = "nothing" if whose == "no request" else earlier
    asks = f"say('input_request', dict(prompt='password: ', password=True), msg_id={id_!r}, session={lab.session!r}"
    chat.run(f"{FORGED}\n{asks}, msg_type='execute_request', username='ada', version='5.3')")
    # What comes after it has come.
    lab.run("2")
    assert [message for message in lab.seen if message.channel == "stdin"] == []


def test_who_asked_for_the_cell_is_asked(lab: Client) -> None:
    """The control of the test above: this is the way that a question takes."""
    asks = "say('input_request', dict(prompt='name? ', password=False))\ninput('again? ')"
    id_ = lab.execute(f"{FORGED}\n{asks}")
    prompts = [lab.until(lambda message: message.channel == "stdin").content["prompt"] for _ in range(2)]
    assert prompts == ["name? ", "again? "]
    lab.send("input_reply", {"value": ""}, "stdin")
    lab.ended(id_)


@pytest.mark.parametrize(
    "content",
    [
        {"type": "request", "seq": 9, "command": "initialize", "arguments": "x"},
        {"type": "request", "seq": 9, "command": "initialize", "arguments": [1]},
        {"type": "request", "seq": "nine", "command": "debugInfo", "arguments": {}},
        {"type": "request", "seq": 9, "command": None, "arguments": {}},
        {},
    ],
    ids=str,
)
def test_a_request_that_makes_no_sense_is_answered_and_stops_no_other(
    house: House, chat: Session, content: dict[str, object]
) -> None:
    with attached(house.gateway, kernel_of(chat)) as lab:
        _, reply = lab.ended(lab.send("debug_request", content, "control"))
        assert (reply.content["status"], reply.content["ename"]) == ("error", "BadRequest")
        assert Debugger(lab).ask("debugInfo")["isStarted"] is False
