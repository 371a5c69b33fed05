"""WebSockets: who may have one, what it costs, and how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus

from tests.live import proc
from tests.live.client import Session
from tests.live.gateway import TOKEN, Gateway
from tests.live.jupyter import V1, attached, kernel_of
from tests.live.raw import raw

pytestmark = pytest.mark.live
OTHER = "token-of-a-new-day"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path / "data", pool_size=1, head_timeout_s=1, max_connections=16, max_strangers=8)


@pytest.mark.prop("GA11")
def test_a_token_that_is_withdrawn_ends_its_upgrades(tmp_path: Path) -> None:
    """It is withdrawn by starting the gateway with another one; the kernel lives on, and so does the chat."""
    gateway = Gateway(tmp_path / "data", pool_size=1, on_stop="keep")
    with gateway.start().client() as client:
        chat = Session(client, "chat")
        chat.run("x = 1")
        kernel = kernel_of(chat)
    with attached(gateway, kernel) as lab:
        assert lab.run("x")[0] == "1"
        process = gateway.process
        assert process is not None
        process.terminate()
        assert lab.closed() == 1012
        assert process.wait(20) == 0
    later = Gateway(gateway.data_dir, pool_size=1, token=OTHER)
    try:
        later.launch()
        proc.wait_until(lambda: "kernelgw is running" in later.output(), 60, later.output)
        later.url = later.output().partition("is running: ")[2].partition("/?token")[0]
        for token, known in ((TOKEN, False), (OTHER, True)):
            headers: dict[str, Any] = {"additional_headers": {"Authorization": f"token {token}"}}
            if known:
                with attached(later, kernel, **headers) as lab:
                    assert lab.run("x")[0] == "1"
            else:
                with pytest.raises(InvalidStatus) as refused, attached(later, kernel, **headers):
                    pass
                assert refused.value.response.status_code == 401
    finally:
        later.stop()


@pytest.mark.prop("GA01", "GA02")
def test_an_upgrade_is_looked_at_before_it_is_one(gateway: Gateway) -> None:
    with gateway, gateway.client() as client:
        chat = Session(client, "chat")
        chat.run("x = 1")
        path = f"GET /api/kernels/{kernel_of(chat)}/channels"
        port = urlsplit(gateway.url).port
        for protocol in ((), (f"Sec-WebSocket-Protocol: {V1}",)):
            for headers, token, status in (
                ((), None, 401),
                ((), "wrong", 401),
                ((), TOKEN + "x", 401),
                (("Origin: http://evil.example",), TOKEN, 403),
                (("Origin: null",), TOKEN, 403),
                ((f"Origin: http://127.0.0.1:{port}",), TOKEN, 101),
                ((), TOKEN, 101),
            ):
                with raw(gateway) as connection:
                    connection.send(connection.head(path, *UPGRADE, KEY, *protocol, *headers, token=token))
                    assert connection.answer().status == status, (headers, token)
        chat.delete()


@pytest.mark.prop("GA09")
def test_an_upgrade_keeps_its_place_and_gives_it_back(gateway: Gateway) -> None:
    """Also when all places are wanted by strangers, and however it ends."""
    with gateway, gateway.client() as client:
        chat = Session(client, "chat")
        chat.run("x = 1")
        kernel = kernel_of(chat)
        with attached(gateway, kernel) as lab:
            for _ in range(40):
                with raw(gateway) as stranger:
                    assert stranger.ask("GET /v1/sessions", token=None).status == 401
            assert lab.run("x")[0] == "1"
        for _ in range(40):
            with attached(gateway, kernel) as lab:
                lab.connection.socket.close()
        for _ in range(40):
            with attached(gateway, kernel) as lab:
                assert lab.run("x")[0] == "1"
        chat.delete()
