"""Interrupts by Jupyter's clients, at every moment of a request."""

from __future__ import annotations

import pytest

from .client import House, Session
from .jupyter import Client, attached, kernel_of

pytestmark = pytest.mark.live

# A signal at the next call of something that the kernel does between `busy` and the code.
AT = """
import os, signal
kernel = get_ipython().kernel
before = kernel.{moment}
def interrupted(*args, **kwargs):
    kernel.{moment} = before
    os.kill(os.getpid(), signal.SIGINT)
    return before(*args, **kwargs)
kernel.{moment} = interrupted
"""


@pytest.mark.parametrize("by", ["message", "http"])
@pytest.mark.parametrize("silent", [False, True], ids=["shown", "silent"])
def test_an_interrupt_stops_the_cell(chat: Session, lab: Client, by: str, silent: bool) -> None:
    id_ = lab.execute("while True: pass", silent=silent)
    lab.until(lambda message: message.of == id_)
    if by == "http":
        assert chat.client.post(f"/api/kernels/{kernel_of(chat)}/interrupt", json={}).status_code == 204
    else:
        _, reply = lab.ended(lab.send("interrupt_request", {}, "control"))
        assert reply.content["status"] == "ok"
    assert lab.ended(id_)[1].content["ename"] == "KeyboardInterrupt"
    assert lab.run("x")[0] == "20"


@pytest.mark.parametrize("silent", [False, True], ids=["shown", "silent"])
@pytest.mark.parametrize("moment", ["should_handle", "init_metadata", "do_execute"])
def test_an_interrupt_between_the_request_and_the_code(house: House, chat: Session, moment: str, silent: bool) -> None:
    with attached(house.gateway, kernel_of(chat)) as lab:
        chat.value(AT.format(moment=moment))
        found, reply = lab.ended(lab.execute("ran = True", silent=silent))
        assert (reply.content["status"], reply.content["ename"]) == ("error", "KeyboardInterrupt")
        assert [each.content["ename"] for each in found if each.type == "error"] == ["KeyboardInterrupt"]
        assert lab.run("'ran' in globals()")[0] == "False"
    execution = chat.run("x")
    assert execution["status"] == "completed"
