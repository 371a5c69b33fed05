"""Jupyter clients and kernels that mean no good: frames of garbage, floods, who does not read, forged messages."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from . import proc
from .client import House, Session
from .gateway import TOKEN
from .jupyter import Client, Message, attached, kernel_of, text

pytestmark = pytest.mark.live
MIB = 1 << 20
# By the kernel's own socket, past all that ipykernel would send.
FORGE = """
import json
def forge(*parts):
    output = get_ipython().kernel.iopub_socket
    output.send_multipart([b'x', b'<IDS|MSG>', b'', *parts])
def head(kind, **more):
    texts = {'msg_id': 'f', 'msg_type': kind, 'session': 's', 'username': 'u', 'version': '5'}
    return json.dumps({**texts, **more}).encode()
parent = json.dumps(get_ipython().parent_header['header'], default=str).encode()
forge(b'{', parent, b'{}', b'{}')
forge(head('stream'), b'[', b'{}', b'{}')
forge(head('stream'), parent, b'[]', b'{}')
forge(head('stream'), parent, b'{}', b'not json')
forge(head('stream'), parent, b'{}', b'[1]')
forge(head('status'), parent, b'{}', b'{"execution_state": "melted"}')
forge(head('stream', msg_id=1), parent, b'{}', b'{"name": "stdout", "text": "forged"}')
forge(head('execute_reply'), b'{"msg_id": "unknown", "session": "nobody"}', b'{}', b'{"status": "ok"}')
forge(head('input_request'), b'{"msg_id": 7, "session": ["x"]}', b'{}', b'{"prompt": "?"}')
forge(head('kernel_info_reply'), parent, b'{}', b'{"supported_features": ["kernel subshells"]}')
forge(head('x' * 100000), parent, b'{}', b'{}')
forge(b'{}', b'{}', b'{}', b'{}', *[b'b'] * 900)
print('end')
"""


@pytest.fixture
def lab(house: House, chat: Session) -> Iterator[Client]:
    with attached(house.gateway, kernel_of(chat)) as client:
        yield client


def assert_untouched(chat: Session, lab: Client) -> None:
    assert chat.value("print(x)") == "20\n"
    assert lab.run("x")[0] == "20"
    assert "Traceback" not in chat.client.get("/healthz").text


V1_GARBAGE = [
    *(
        b"",
        b"\0",
        b"garbage that is longer than one number",
        b"\xff" * 64,
        struct.pack("<Q", 1 << 60),
        struct.pack("<Q", 0),
    ),
    struct.pack("<8Q", 7, 64, 69, 71, 73, 75, 1 << 40, 77) + b"shell{}{}{}{}",
    struct.pack("<8Q", 7, 64, 69, 68, 73, 75, 77, 77) + b"shell{}{}{}{}",
    struct.pack("<8Q", 7, 64, 69, 71, 73, 75, 77, 77) + b"shell{}{}{}{}",
    struct.pack("<8Q", 7, 64, 69, 71, 73, 75, 77, 77) + b"shellnope!!!!",
    "text",
]
HEADER = {"msg_id": "m", "msg_type": "kernel_info_request", "session": "s", "username": "u"}
LEGACY_GARBAGE: list[str | bytes] = [
    *(
        "",
        "{",
        "[]",
        "7",
        '"x"',
        "{}",
        json.dumps({"channel": "shell"}),
        json.dumps({"channel": "shell", "header": {}}),
    ),
    json.dumps({"channel": "nowhere", "header": HEADER}),
    json.dumps({"channel": "shell", "header": {**HEADER, "msg_id": 1}}),
    json.dumps({"channel": "shell", "header": {**HEADER, "session": ["s"]}}),
    json.dumps({"channel": "shell", "header": HEADER, "content": [1]}),
    json.dumps({"channel": "shell", "header": {**HEADER, "extra": "x" * 100_000}}),
    *(b"", b"\0\0\0", b"\xff" * 40, struct.pack(">2I", 1, 4) + b"{}"),
]


@pytest.mark.parametrize(
    ("v1", "frame"), [(True, each) for each in V1_GARBAGE] + [(False, each) for each in LEGACY_GARBAGE], ids=repr
)
def test_what_is_no_message_ends_its_connection_alone(
    house: House, chat: Session, lab: Client, v1: bool, frame: str | bytes
) -> None:
    with attached(house.gateway, kernel_of(chat), v1) as other:
        other.connection.send(frame)
        assert other.closed() == 1003
    assert_untouched(chat, lab)


def test_a_frame_that_is_too_large_ends_its_connection_alone(house: House, chat: Session, lab: Client) -> None:
    with attached(house.gateway, kernel_of(chat)) as other:
        with contextlib.suppress(ConnectionClosed):
            other.connection.send(bytes(17 * MIB))
        assert other.closed() == 1009
    with attached(house.gateway, kernel_of(chat)) as other:
        with contextlib.suppress(ConnectionClosed):
            other.connection.send(b"" for _ in range(5000))
        assert other.closed() == 1009
    assert_untouched(chat, lab)


@pytest.mark.parametrize(
    ("content", "header"),
    [
        ({}, {}),
        ({"code": None}, {}),
        ({"code": ["1"]}, {}),
        ({"code": "1"}, {"msg_id": "a b"}),
        ({"code": "1"}, {"msg_id": "../x"}),
        ({"code": "1"}, {"msg_id": "x" * 129}),
    ],
)
def test_what_is_no_cell_is_answered_and_not_run(
    chat: Session, lab: Client, content: dict[str, Any], header: dict[str, Any]
) -> None:
    _, reply = lab.ended(lab.send("execute_request", content, **header))
    assert (reply.content["status"], reply.content["ename"]) == ("error", "BadRequest")
    assert_untouched(chat, lab)


def test_an_id_runs_once_whoever_uses_it_again(house: House, chat: Session, lab: Client) -> None:
    id_ = lab.execute("n = x = x + 1")
    lab.ended(id_)
    with attached(house.gateway, kernel_of(chat)) as other:
        _, reply = other.ended(other.send("execute_request", {"code": "x = 0"}, msg_id=id_))
        assert reply.content["ename"] == "BadRequest"
    assert lab.run("x")[0] == "21"


def test_a_queue_has_an_end_for_lab_too(house: House, chat: Session, lab: Client) -> None:
    first = lab.execute("while not __import__('os').path.exists('go'): pass")
    last = [lab.execute("1") for _ in range(102)][-1]
    assert lab.ended(last)[1].content["ename"] == "QueueFull"
    chat.touch("go")
    lab.ended(first)


def test_a_kernel_has_so_many_clients(house: House, chat: Session, lab: Client) -> None:
    with contextlib.ExitStack() as others:
        for _ in range(15):
            others.enter_context(attached(house.gateway, kernel_of(chat)))
        with pytest.raises(InvalidStatus) as refused, attached(house.gateway, kernel_of(chat)):
            pass
        assert refused.value.response.status_code == 503
        assert_untouched(chat, lab)
    proc.wait_until(lambda: chat.client.get(f"/api/kernels/{kernel_of(chat)}").json()["connections"] == 1, 10, "parted")


def test_who_does_not_read_is_let_go_and_misses_nothing(house: House, chat: Session, lab: Client) -> None:
    kernel = kernel_of(chat)
    # Slowly enough for the other one, whatever else this machine has to do.
    cell = "import time\nfor i in range(60): print('x' * 1_000_000); time.sleep(0.1)"
    with attached(house.gateway, kernel, session="slow", max_queue=1) as slow:
        slow.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        id_ = slow.execute(cell)
        lab.until(
            lambda message: (
                message.type == "status" and message.of == id_ and message.content["execution_state"] == "idle"
            )
        )
        assert len(text([each for each in lab.seen if each.of == id_])) == 60 * 1_000_001
        proc.wait_until(
            lambda: chat.client.get(f"/api/kernels/{kernel}").json()["connections"] == 1, 20, "the slow one let go"
        )
    with attached(house.gateway, kernel, session="slow") as back:
        found, _ = back.ended(id_)
        assert len(text(found)) == 60 * 1_000_001
    assert_untouched(chat, lab)


def held_back(flooder: Client, most: int) -> int:
    """How many messages of 64 KiB can be sent before nothing is taken for a second; so many at most."""
    flooder.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 1, 0))
    for sent in range(most):
        try:
            flooder.send("comm_msg", {"comm_id": "none", "data": "x" * (64 << 10)})
        except (OSError, ConnectionClosed):
            return sent
    return most


def test_a_flood_at_a_busy_kernel_waits_outside(house: House, chat: Session, lab: Client) -> None:
    id_ = lab.execute("while not __import__('os').path.exists('go'): pass")
    lab.until(lambda message: message.type == "execute_input")
    before = proc.resident_bytes(house.gateway.pid)
    with attached(house.gateway, kernel_of(chat), close_timeout=0.1) as flooder:
        assert held_back(flooder, 5000) < 5000
        assert proc.resident_bytes(house.gateway.pid) - before < 100 * MIB
    chat.touch("go")
    lab.ended(id_)


@pytest.mark.parametrize("v1", [True, False], ids=["v1", "legacy"])
def test_forged_messages_of_a_kernel_s_hurt_nobody(house: House, chat: Session, v1: bool) -> None:
    with attached(house.gateway, kernel_of(chat), v1) as lab:
        found, reply = lab.ended(lab.execute(FORGE))
        assert reply.content["status"] == "ok"
        assert text(found) == "end\n"
        allowed = {"starting", "idle", "busy", "restarting", "dead"}
        for message in lab.seen:
            assert isinstance(message.header["msg_id"], str)
            if message.type == "status":
                assert message.content["execution_state"] in allowed
        assert_untouched(chat, lab)


def test_an_output_of_many_megabytes_comes_as_one_message(lab: Client) -> None:
    found, _ = lab.ended(lab.execute("display({'text/plain': 'x' * 40_000_000}, raw=True)"))
    shown = [message for message in found if message.type == "display_data"]
    assert [len(each.content["data"]["text/plain"]) for each in shown] == [40_000_000]
    assert isinstance(shown[0], Message)


DEEP = "{'a': " * 300 + "1" + "}" * 300


def test_what_is_too_deep_to_be_written_costs_its_own_message_alone(house: House, chat: Session, lab: Client) -> None:
    """What comes from a kernel may be read at more levels than it can be written at."""
    lab.run(f"display({{'application/json': {DEEP}}}, raw=True); 1")
    assert_untouched(chat, lab)
    # The same in a client's own header, which is said again as the parent of all that comes of its cell.
    with attached(house.gateway, kernel_of(chat), True, session="deep") as deep:
        asked = {"code": "print('deep')", "silent": False, "store_history": True, "allow_stdin": False}
        id_ = deep.send("execute_request", asked, more=json.loads(DEEP.replace("'", '"')))
        found, reply = deep.ended(id_)
        assert (text(found), reply.content["status"]) == ("deep\n", "ok")
    with attached(house.gateway, kernel_of(chat), session="two") as lab_again:
        assert lab_again.run("'here'")[0] == "'here'"


def test_the_token_is_in_no_log(house: House, chat: Session) -> None:
    with attached(house.gateway, kernel_of(chat)) as lab:
        assert lab.run("1")[0] == "1"
    assert "/channels" not in house.gateway.output()
    assert f"token={TOKEN}" not in house.gateway.output().replace(f"/?token={TOKEN}", "")
