"""The debugger works inside of each kind of sandbox, which has no need to allow anything for it."""

from __future__ import annotations

import pytest

from tests.live.client import House
from tests.live.jupyter import text
from tests.live.test_debugger import LOOP, asked_by, debug, debugging

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


@pytest.mark.in_gvisor
def test_a_sandboxed_kernel_is_debugged(house: House) -> None:
    chat = house.session()
    chat.run("x = 20")
    with debugging(house.gateway, chat) as debugger:
        assert text(debug(debugger)) == "total 6\n"
        debugger.break_at(LOOP, 2)
        before = len(debugger.client.seen)
        with asked_by(chat, LOOP) as answer:
            debugger.stopped(before)
            chat.interrupt()
        assert (answer["status"], answer["state_lost"]) == ("interrupted", False)
    assert chat.value("print(x)") == "20\n"
