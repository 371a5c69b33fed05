"""The door of Jupyter's clients, as they use it: chats with Lab attached, and all that passes between them."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from .client import House, Session
from .client import text as printed
from .conftest import MakeGateway
from .gateway import TOKEN
from .jupyter import TIMEOUT_S, Client, Message, attached, kernel_of, text

pytestmark = pytest.mark.live
COMM = """
from comm import create_comm
seen = []
def target(comm, message):
    def answer(message):
        seen.append(bytes(message['buffers'][0]))
        comm.send({'n': 2}, buffers=[b'\\xff\\x00'])
    comm.on_msg(answer)
get_ipython().kernel.comm_manager.register_target('echo', target)
"""

OPEN = "from comm import create_comm; c = create_comm(target_name='t', data={'n': 1}, buffers=[b'\\xff\\x00'])"


def types(messages: list[Message]) -> list[str]:
    return [f"{each.channel} {each.content.get('execution_state', each.type)}" for each in messages]


@pytest.fixture
def lab_v1(house: House, chat: Session) -> Iterator[Client]:
    with attached(house.gateway, kernel_of(chat)) as client:
        yield client


# what they share


def test_chat_and_lab_share_their_variables(chat: Session, lab: Client) -> None:
    info, reply = lab.ended(lab.send("kernel_info_request", {}))
    assert reply.content["language_info"]["name"] == "python"
    assert "kernel subshells" not in reply.content["supported_features"]
    assert [message.content["execution_state"] for message in info if message.type == "status"] == ["busy", "idle"]
    shown, content = lab.run("y = x + 22; y")
    assert (shown, content["status"]) == ("42", "ok")
    assert chat.value("print(y)") == "42\n"
    # What the bot runs is told to Lab, but not that it was Lab who asked.
    assert text([lab.until(lambda message: message.type == "stream")]) == "42\n"
    lab.run("1")
    assert {message.parent["session"] for message in lab.seen if message.channel == "shell"} == {lab.session}


def test_messages_come_as_a_kernel_of_ones_own_sends_them(lab: Client) -> None:
    found, reply = lab.ended(lab.execute("import sys; print('a'); print('b', file=sys.stderr); display('c'); 'd'"))
    order = types(found)
    assert order[:2] == ["iopub busy", "iopub execute_input"]
    assert order[2:6] == ["iopub stream", "iopub stream", "iopub display_data", "iopub execute_result"]
    assert sorted(order[6:]) == ["iopub idle", "shell execute_reply"]
    assert {message.parent["session"] for message in found} == {lab.session}
    assert {message.parent["username"] for message in found} == {"ada"}
    assert reply.content["execution_count"] == found[1].content["execution_count"]


def test_what_lab_runs_stands_in_the_history_and_in_the_stream(chat: Session, lab: Client) -> None:
    with chat.follow(after=0) as stream:
        id_ = lab.execute("print('from lab')")
        lab.ended(id_)
        started = stream.until("execution.started", execution_id=id_)
        assert (started.data["by"], started.data["username"]) == ("jupyter", "ada")
        assert stream.until("execution.completed", execution_id=id_).data["by"] == "jupyter"
    history = chat.client.get(f"{chat.path}/history").json()["executions"]
    assert [(each.get("by"), each["code"]) for each in history] == [(None, "x = 20"), ("jupyter", "print('from lab')")]
    assert printed(chat.execution(id_)) == "from lab\n"


def test_the_other_requests_go_to_the_kernel_and_come_back(lab: Client) -> None:
    _, completed = lab.ended(lab.send("complete_request", {"code": "x.bit_l", "cursor_pos": 7}))
    assert completed.content["matches"] == ["x.bit_length"] or "bit_length" in completed.content["matches"]
    _, inspected = lab.ended(lab.send("inspect_request", {"code": "x", "cursor_pos": 1, "detail_level": 0}))
    assert inspected.content["found"]
    _, whole = lab.ended(lab.send("is_complete_request", {"code": "for i in x:"}))
    assert whole.content["status"] == "incomplete"
    _, comms = lab.ended(lab.send("comm_info_request", {}))
    assert comms.content["status"] == "ok"
    _, info = lab.ended(lab.send("kernel_info_request", {}, "control"))
    assert info.channel == "control"
    asked = {"type": "request", "seq": 1, "command": "debugInfo", "arguments": {}}
    _, debugger = lab.ended(lab.send("debug_request", asked, "control"))
    assert (debugger.channel, debugger.content["success"]) == ("control", True)


def test_what_is_not_for_clients_does_not_get_to_the_kernel(chat: Session, lab: Client) -> None:
    _, reply = lab.ended(lab.send("claim_request", {"env": {"STOLEN": "1"}, "cwd": None}))
    assert (reply.content["status"], reply.content["ename"]) == ("error", "NotSupported")
    for kind, channel in (
        ("apply_request", "shell"),
        ("execute_request", "control"),
        ("create_subshell_request", "control"),
    ):
        _, reply = lab.ended(lab.send(kind, {"code": "stolen = 1"}, channel))
        assert reply.content["ename"] == "NotSupported", kind
    lab.send("stream", {"name": "stdout", "text": "forged"}, "iopub")
    lab.send("execute_reply", {"status": "ok"})
    assert lab.run("import os; ('STOLEN' in os.environ, 'stolen' in globals())")[0] == "(False, False)"
    assert len(chat.client.get(f"{chat.path}/history").json()["executions"]) == 2


def test_comms_go_both_ways_with_their_buffers(lab: Client) -> None:
    lab.run(COMM)
    lab.send("comm_open", {"comm_id": "c1", "target_name": "echo", "data": {}})
    header = {"msg_id": "m1", "msg_type": "comm_msg", "session": lab.session, "username": "", "version": "5.3"}
    lab.put(Message("shell", header, {}, {"comm_id": "c1", "data": {}}, {}, [b"\x00\x01\xfe"]))
    answer = lab.until(lambda message: message.type == "comm_msg")
    assert (answer.content["data"], list(answer.buffers)) == ({"n": 2}, [b"\xff\x00"])
    assert lab.run("seen")[0] == "[b'\\x00\\x01\\xfe']"


def test_jupyter_s_own_server_is_given_no_buffers(house: House, chat: Session) -> None:
    """It would stop to hear anything: it takes all that comes for text."""
    with attached(house.gateway, kernel_of(chat), v1=False, user_agent_header="Tornado/6.5") as relay:
        found, _ = relay.ended(relay.execute(OPEN))
        opened = next(message for message in found if message.type == "comm_open")
        assert (opened.content["data"], list(opened.buffers)) == ({"n": 1}, [])
    with attached(house.gateway, kernel_of(chat), v1=False) as other:
        found, _ = other.ended(other.execute(OPEN))
        opened = next(message for message in found if message.type == "comm_open")
        assert list(opened.buffers) == [b"\xff\x00"]


# several at once


def test_everybody_sees_outputs_and_only_who_asked_the_reply(house: House, chat: Session, lab: Client) -> None:
    with attached(house.gateway, kernel_of(chat)) as other:
        other.run("1")
        id_ = lab.execute("print('x is', x)")
        lab.ended(id_)
        other.until(
            lambda message: (
                message.type == "status" and message.of == id_ and message.content["execution_state"] == "idle"
            )
        )
        of_it = [message for message in other.seen if message.of == id_]
        assert text(of_it) == "x is 20\n"
        assert {message.channel for message in of_it} == {"iopub"}
        assert house.client.get(f"/api/kernels/{kernel_of(chat)}").json()["connections"] == 2


def test_questions_come_to_who_asked_for_the_cell(house: House, chat: Session, lab: Client) -> None:
    with attached(house.gateway, kernel_of(chat)) as other:
        id_ = lab.execute("name = input('who? '); print('hello', name)")
        question = lab.until(lambda message: message.type == "input_request")
        assert (question.channel, question.content["prompt"], question.of) == ("stdin", "who? ", id_)
        # Nobody else can answer in their place.
        other.send("input_reply", {"value": "mallory"}, "stdin")
        other.ended(other.send("comm_info_request", {}, "control"))
        lab.send("input_reply", {"value": "ada"}, "stdin")
        found, _ = lab.ended(id_)
        assert text(found) == "hello ada\n"
        assert [message for message in other.seen if message.channel == "stdin"] == []


def test_lab_cannot_answer_what_the_bot_is_asked(chat: Session, lab: Client) -> None:
    with chat.stream("print(input('? '))", stdin=True) as stream:
        asked = stream.until("input.requested")
        lab.send("input_reply", {"value": "mallory"}, "stdin")
        lab.ended(lab.send("kernel_info_request", {}, "control"))
        assert chat.answer(asked.data["execution_id"], "bot").status_code == 202
        stream.until_text("bot")
        stream.until("execution.completed")


def test_cells_of_both_are_run_one_after_another(house: House, chat: Session, lab: Client) -> None:
    first = lab.execute("order = []\nwhile not __import__('os').path.exists('go'): pass\norder.append('lab')")
    lab.until(lambda message: message.type == "execute_input")
    with chat.stream("order.append('bot'); print(order)") as stream:
        second = lab.execute("order.append('lab again'); order")
        house.client.get(f"/api/kernels/{kernel_of(chat)}").raise_for_status()
        chat.touch("go")
        stream.until_text("['lab', 'bot']")
        stream.until("execution.completed")
    lab.ended(first)
    assert text(lab.ended(second)[0]) == "['lab', 'bot', 'lab again']"


def test_what_lab_wants_to_know_of_the_variables_is_written_down_too(chat: Session, lab: Client) -> None:
    """It is code that runs, as the cell is."""
    asked = {"sum": "x + 22", "call": "globals().update(x=0)"}
    with chat.follow(after=0) as stream:
        id_ = lab.execute("x + 1", user_expressions=asked)
        _, reply = lab.ended(id_)
        assert reply.content["user_expressions"]["sum"]["data"] == {"text/plain": "42"}
        started = stream.until("execution.started", execution_id=id_)
        assert started.data["user_expressions"] == asked
    assert chat.execution(id_)["user_expressions"] == asked
    found = chat.client.get(f"{chat.path}/history", params={"search": "globals().update"}).json()["executions"]
    assert [each["id"] for each in found] == [id_]
    for wrong in ({"a": 1}, [1], {"a": "1" * 100_000}):
        assert lab.run("x", user_expressions=wrong)[1]["ename"] == "BadRequest"


def test_who_comes_while_a_cell_s_files_are_kept_is_told_its_end(house: House, chat: Session) -> None:
    """The kernel has said that already."""
    files = "for n in range(4): open(str(n), 'wb').write(os.urandom(1 << 20) * 60)"
    with attached(house.gateway, kernel_of(chat), session="one") as lab:
        id_ = lab.execute(f"import os\n{files}")
        _, reply = lab.ended(id_)
        with attached(house.gateway, kernel_of(chat)) as other, attached(house.gateway, kernel_of(chat), session="one"):
            other.until(lambda message: message.of == id_ and message.type == "execute_input")
            assert chat.look()["running"] == id_
            other.until(lambda message: message.of == id_ and message.content.get("execution_state") == "idle")
            assert {each.channel for each in other.seen if each.of == id_} == {"iopub"}
    assert reply.content["status"] == "ok"


# ends


def test_an_error_ends_what_its_asker_has_waiting_and_nothing_else(chat: Session, lab: Client) -> None:
    first = lab.execute("while not __import__('os').path.exists('go'): pass\n1 / 0")
    lab.until(lambda message: message.type == "execute_input")
    second, third = lab.execute("print('not run')"), lab.execute("print('nor this')")
    with chat.stream("print('bot')") as stream, chat.follow() as events:
        chat.touch("go")
        stream.until_text("bot")
        stream.until("execution.completed")
        # Its end is told before others begin.
        ends = [events.until("execution.completed").data["id"] for _ in range(3)]
        assert ends == [first, second, third]
        events.until("execution.started", code="print('bot')")
    found, reply = lab.ended(first)
    assert reply.content["ename"] == "ZeroDivisionError"
    assert [message.content["ename"] for message in found if message.type == "error"] == ["ZeroDivisionError"]
    for id_ in (second, third):
        found, reply = lab.ended(id_)
        assert (reply.content["status"], text(found)) == ("aborted", "")
    kept = lab.execute("2 / 0", stop_on_error=False), lab.execute("'run'")
    assert text(lab.ended(kept[1])[0]) == "'run'"


def test_deadlines_hold_for_lab_too(make_house: Callable[..., House]) -> None:
    house = make_house(timeout_s=0.5, grace_s=0.5)
    chat = house.session()
    chat.run("x = 1")
    with attached(house.gateway, kernel_of(chat)) as lab:
        id_ = lab.execute("while True: pass")
        _, reply = lab.ended(id_)
        assert reply.content["ename"] == "KeyboardInterrupt"
        assert chat.execution(id_)["status"] == "timed_out"


def test_a_restart_is_told_to_all_and_the_next_kernel_serves_them(house: House, chat: Session, lab: Client) -> None:
    with attached(house.gateway, kernel_of(chat)) as other:
        answer = house.client.post(f"/api/kernels/{kernel_of(chat)}/restart", json={})
        assert (answer.status_code, answer.json()["id"]) == (200, kernel_of(chat))
        for client in (lab, other):
            client.until(lambda message: message.content.get("execution_state") == "restarting")
            assert client.run("'x' in globals()")[0] == "False"


def test_a_death_is_told_and_ends_the_cell_with_its_reason(chat: Session, lab: Client) -> None:
    id_ = lab.execute("import os; os.kill(os.getpid(), 9)")
    waiting = lab.execute("print('never')")
    found, reply = lab.ended(id_)
    assert (reply.content["status"], reply.content["ename"]) == ("error", "KernelDied")
    assert "error" in [message.type for message in found]
    assert lab.ended(waiting)[1].content["status"] == "aborted"
    if not any(message.content.get("execution_state") == "dead" for message in lab.seen):
        lab.until(lambda message: message.content.get("execution_state") == "dead")
    # Whoever goes on gets a fresh one.
    assert lab.run("'x' in globals()")[0] == "False"


def test_lab_may_go_and_shut_down_what_it_likes_and_the_chat_goes_on(house: House, chat: Session, lab: Client) -> None:
    kernel = kernel_of(chat)
    _, reply = lab.ended(lab.send("shutdown_request", {"restart": False}, "control"))
    assert reply.content == {"status": "ok", "restart": False}
    assert house.client.delete(f"/api/kernels/{kernel}").status_code == 204
    entry = next(each for each in house.client.get("/api/sessions").json() if each["kernel"]["id"] == kernel)
    assert house.client.delete(f"/api/sessions/{entry['id']}").status_code == 204
    lab.connection.close()
    assert chat.value("print(x)") == "20\n"
    assert chat.look()["generation"] == 1


def test_the_end_of_the_session_closes_its_sockets_for_good(chat: Session, lab: Client) -> None:
    chat.delete()
    lab.until(lambda message: message.content.get("execution_state") == "dead")
    assert lab.closed() == 1000


# coming back


@pytest.mark.parametrize("same", [True, False], ids=["same-session", "other-session"])
def test_what_was_missed_is_told_to_who_comes_back(house: House, chat: Session, same: bool) -> None:
    kernel = kernel_of(chat)
    with attached(house.gateway, kernel, session="one") as lab:
        id_ = lab.execute(
            "import os\nprint('before', flush=True)\nwhile not os.path.exists('go'): pass\n"
            # So large that it stands outside its event.
            "display({'image/png': os.urandom(2 << 20)}, raw=True); print('after'); 7"
        )
        lab.until(lambda message: message.type == "stream")
    chat.touch("go")
    with chat.follow(id_) as stream:
        stream.until("execution.completed")
    with attached(house.gateway, kernel, session="one" if same else "two") as lab:
        found, reply = lab.ended(id_)
        assert text(found) == "before\nafter\n7"
        (shown,) = (message.content["data"] for message in found if message.type == "display_data")
        assert len(base64.b64decode(shown["image/png"])) == 2 << 20
        assert reply.content["status"] == "ok"
        assert reply.channel == "shell"
        # And from there on as ever.
        assert lab.run("x")[0] == "20"


@pytest.mark.parametrize("v1", [True, False], ids=["v1", "legacy"])
def test_who_comes_while_a_cell_runs_is_told_all_of_it_once(house: House, chat: Session, v1: bool) -> None:
    with chat.stream(
        "print('one', flush=True)\nwhile not __import__('os').path.exists('go'): pass\nprint('two')"
    ) as stream:
        id_ = stream.until_text("one").data["execution_id"]
        with attached(house.gateway, kernel_of(chat), v1) as lab:
            # Clients wait for this before they do anything.
            _, info = lab.ended(lab.send("kernel_info_request", {}))
            assert (info.channel, info.content["status"]) == ("shell", "ok")
            assert text(lab.seen) == "one\n"
            chat.touch("go")
            lab.until(lambda message: message.content.get("execution_state") == "idle" and message.of == id_)
            assert text([message for message in lab.seen if message.of == id_]) == "one\ntwo\n"
        stream.until("execution.completed")


def test_a_question_is_asked_again(house: House, chat: Session) -> None:
    kernel = kernel_of(chat)
    with attached(house.gateway, kernel, session="one") as lab:
        id_ = lab.execute("print('hello', input('who? '))")
        lab.until(lambda message: message.type == "input_request")
    with attached(house.gateway, kernel, session="one") as lab:
        assert lab.until(lambda message: message.type == "input_request").content["prompt"] == "who? "
        lab.send("input_reply", {"value": "ada"}, "stdin")
        found, _ = lab.ended(id_)
        assert text(found) == "hello ada\n"


def test_a_gateway_that_is_restarted_says_so_and_the_cell_is_told_by_the_next(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(on_stop="keep")
    chat = Session(gateway.client(), "kept")
    chat.run("x = 1")
    kernel = kernel_of(chat)
    with attached(gateway, kernel, session="one") as lab:
        id_ = lab.execute("print('a', flush=True)\nwhile not __import__('os').path.exists('go'): pass\nprint('b')")
        lab.until(lambda message: message.type == "stream")
        process = gateway.process
        assert process is not None
        process.terminate()
        assert lab.closed() == 1012
        assert process.wait(TIMEOUT_S) == 0
    chat.client.close()
    with make_gateway(gateway.data_dir, on_stop="end").client() as client:
        again = Session(client, "kept")
        url = str(client.base_url).rstrip("/")
        gateway.url = url
        assert kernel_of(again) == kernel
        with attached(gateway, kernel, session="one") as lab:
            lab.until(lambda message: message.type == "stream")
            again.touch("go")
            found, reply = lab.ended(id_)
            assert (text(found), reply.content["status"]) == ("a\nb\n", "ok")
        execution = again.execution(id_)
        assert (execution["by"], execution["username"]) == ("jupyter", "ada")
        again.delete()


# kernels of its own


def test_a_socket_wakes_a_session_that_has_no_kernel(house: House) -> None:
    session = house.session()
    session.create()
    assert session.look()["state"] == "new"
    with attached(house.gateway, kernel_of(session)) as lab:
        lab.ended(lab.send("kernel_info_request", {}))
        assert session.look()["state"] == "idle"
        assert lab.run("6 * 7")[0] == "42"


def test_output_is_whole_however_much_there_is(lab_v1: Client) -> None:
    found, _ = lab_v1.ended(lab_v1.execute("for i in range(200_000): print(f'{i:09d}' * 11)"))
    lines = text(found).splitlines()
    assert len(lines) == 200_000
    assert lines == [f"{i:09d}" * 11 for i in range(200_000)]


def test_only_with_the_token_and_from_pages_of_ones_own(house: House, chat: Session) -> None:
    kernel = kernel_of(chat)
    port = house.gateway.url.rpartition(":")[2]
    wrong: list[tuple[dict[str, Any], int]] = [
        ({"additional_headers": {}}, 401),
        ({"additional_headers": {"Authorization": "token wrong"}}, 401),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ]
    for v1, (options, status) in itertools.product((True, False), wrong):
        with pytest.raises(InvalidStatus) as refused, attached(house.gateway, kernel, v1, **options):
            pass
        assert refused.value.response.status_code == status, options
    own: tuple[dict[str, Any], ...] = (
        {"origin": f"http://127.0.0.1:{port}"},
        {"additional_headers": {"Authorization": f"Bearer {TOKEN}"}},
    )
    for options in own:
        with attached(house.gateway, kernel, **options) as lab:
            assert lab.run("x")[0] == "20"
    with pytest.raises(InvalidStatus) as refused, attached(house.gateway, kernel[:-1] + "0"):
        pass
    assert refused.value.response.status_code == 404
