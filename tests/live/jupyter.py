"""A Jupyter client as tests have it: either protocol, spoken by hand, so that every byte of it is the test's own."""

from __future__ import annotations

import contextlib
import itertools
import json
import struct
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from .client import Session
from .gateway import TOKEN, Gateway

V1 = "v1.kernel.websocket.jupyter.org"
TIMEOUT_S = 30
JSON = dict[str, Any]


def kernel_of(session: Session) -> str:
    found = [each for each in session.client.get("/api/sessions").json() if each["name"] == session.id]
    assert len(found) == 1
    return str(found[0]["kernel"]["id"])


@dataclass(frozen=True)
class Message:
    channel: str
    header: JSON
    parent: JSON
    content: JSON
    metadata: JSON = field(default_factory=dict)
    buffers: Sequence[bytes] = ()

    @property
    def type(self) -> str:
        return str(self.header["msg_type"])

    @property
    def of(self) -> str | None:
        """The id of the request that it came of."""
        return self.parent.get("msg_id")


def pack_v1(message: Message) -> bytes:
    texts = (message.header, message.parent, message.metadata, message.content)
    parts = [message.channel.encode(), *(json.dumps(text).encode() for text in texts), *message.buffers]
    offsets = [8 * (len(parts) + 2)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(parts)


def unpack_v1(data: bytes) -> Message:
    (count,) = struct.unpack_from("<Q", data)
    offsets = struct.unpack_from(f"<{count}Q", data, 8)
    parts = [data[start:end] for start, end in itertools.pairwise(offsets)]
    header, parent, metadata, content = (json.loads(part) for part in parts[1:5])
    return Message(parts[0].decode(), header, parent, content, metadata, parts[5:])


def pack_legacy(message: Message) -> str | bytes:
    text = json.dumps(
        {
            "channel": message.channel,
            "header": message.header,
            "parent_header": message.parent,
            "metadata": message.metadata,
            "content": message.content,
        }
    )
    if not message.buffers:
        return text
    parts = [text.encode(), *message.buffers]
    offsets = [4 * (len(parts) + 1)]
    for part in parts[:-1]:
        offsets.append(offsets[-1] + len(part))
    return struct.pack(f">{len(parts) + 1}I", len(parts), *offsets) + b"".join(parts)


def unpack_legacy(data: str | bytes) -> Message:
    buffers: list[bytes] = []
    if isinstance(data, bytes):
        (count,) = struct.unpack_from(">I", data)
        offsets = [*struct.unpack_from(f">{count}I", data, 4), len(data)]
        first, *buffers = [data[start:end] for start, end in itertools.pairwise(offsets)]
        data = first.decode()
    read = json.loads(data)
    assert read["msg_id"] == read["header"]["msg_id"]
    assert read["msg_type"] == read["header"]["msg_type"]
    return Message(read["channel"], read["header"], read["parent_header"], read["content"], read["metadata"], buffers)


class Client:
    """One connection. Messages that a test has waited past are kept in `seen`."""

    def __init__(self, connection: ClientConnection, session: str) -> None:
        self.connection = connection
        self.session = session
        self.v1 = connection.subprotocol == V1
        self.seen: list[Message] = []

    def send(self, msg_type: str, content: JSON, channel: str = "shell", **header: Any) -> str:
        """Returns the message's id."""
        head = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": msg_type,
            "session": self.session,
            "username": "ada",
            "date": datetime.now(UTC).isoformat(),
            "version": "5.3",
        } | header
        self.put(Message(channel, head, {}, content))
        return str(head["msg_id"])

    def put(self, message: Message) -> None:
        self.connection.send(pack_v1(message) if self.v1 else pack_legacy(message))

    def receive(self) -> Message:
        data = self.connection.recv(TIMEOUT_S)
        if self.v1:
            assert isinstance(data, bytes)
            message = unpack_v1(data)
        else:
            message = unpack_legacy(data)
        self.seen.append(message)
        return message

    def closed(self) -> int | None:
        """Reads to the end; the code that the gateway closed with."""
        try:
            while True:
                self.receive()
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd is not None else None

    def until(self, wanted: Callable[[Message], bool]) -> Message:
        """Reads up to the first that is wanted."""
        while not wanted(message := self.receive()):
            pass
        return message

    def execute(self, code: str, **content: Any) -> str:
        return self.send(
            "execute_request",
            {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True}
            | {"stop_on_error": True}
            | content,
        )

    def ended(self, id_: str) -> tuple[list[Message], Message]:
        """All messages of a request, once both its reply and its idle have come; and the reply."""
        found: list[Message] = [message for message in self.seen if message.of == id_]
        while not (replies(found) and idle(found)):
            message = self.receive()
            if message.of == id_:
                found.append(message)
        return found, replies(found)[0]

    def run(self, code: str, **content: Any) -> tuple[str, JSON]:
        """What a cell printed, or had as its value; and the content of its reply."""
        found, reply = self.ended(self.execute(code, **content))
        return text(found), reply.content


def replies(messages: Sequence[Message]) -> list[Message]:
    return [message for message in messages if message.type.endswith("_reply")]


def idle(messages: Sequence[Message]) -> bool:
    return any(each.type == "status" and each.content["execution_state"] == "idle" for each in messages)


def text(messages: Sequence[Message]) -> str:
    """As a notebook shows it: what was cleared is gone."""
    shown = ""
    for message in messages:
        if message.type == "stream":
            shown += message.content["text"]
        elif message.type == "execute_result":
            shown += message.content["data"]["text/plain"]
        elif message.type == "clear_output":
            shown = ""
    return shown


@contextlib.contextmanager
def attached(gateway: Gateway, kernel: str, v1: bool = True, session: str = "", **options: Any) -> Iterator[Client]:
    session = session or str(uuid.uuid4())
    url = f"{gateway.url.replace('http', 'ws')}/api/kernels/{kernel}/channels?session_id={session}"
    given: JSON = {"additional_headers": {"Authorization": f"token {TOKEN}"}, "max_size": None, "proxy": None}
    offered = [Subprotocol(V1)] if v1 else None
    with connect(url, subprotocols=offered, compression=None, **(given | options)) as connection:
        assert connection.subprotocol == (V1 if v1 else None)
        yield Client(connection, session)
