"""The door of Jupyter's clients, as they use it: chats with Lab attached, kernels of Lab's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .client import House, Session
from .jupyter import Client, attached, text

pytestmark = pytest.mark.live
both = pytest.mark.parametrize("v1", [True, False], ids=["v1", "legacy"])


def kernel_of(session: Session) -> str:
    found = [each for each in session.client.get("/api/sessions").json() if each["name"] == session.id]
    assert len(found) == 1
    return str(found[0]["kernel"]["id"])


@pytest.fixture
def chat(session: Session) -> Session:
    session.run("x = 20")
    return session


@pytest.fixture(params=[True, False], ids=["v1", "legacy"])
def lab(house: House, chat: Session, request: pytest.FixtureRequest) -> Iterator[Client]:
    with attached(house.gateway, kernel_of(chat), request.param) as client:
        yield client


def test_chat_and_lab_share_their_variables(chat: Session, lab: Client) -> None:
    info, reply = lab.ended(lab.send("kernel_info_request", {}))
    assert reply.content["language_info"]["name"] == "python"
    assert [message.content["execution_state"] for message in info if message.type == "status"] == ["busy", "idle"]
    shown, reply_ = lab.run("y = x + 22; y")
    assert (shown, reply_["status"]) == ("42", "ok")
    assert chat.value("print(y)") == "42\n"
    assert text([lab.until(lambda message: message.type == "stream")]) == "42\n"
