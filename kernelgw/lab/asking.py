"""What is asked of the gateway, beside what Jupyter's own client of one does. Runs inside Lab's server."""

from __future__ import annotations

import json
import os
from typing import Any

from jupyter_server.gateway.gateway_client import GatewayClient, gateway_request
from jupyter_server.utils import url_path_join
from tornado import web

from .server import HANDOVER


class GatewayAway(Exception):
    """It does not answer now; what was known of it holds on."""


def take_over() -> list[str]:
    """Takes the gateway's token out of the environment, which terminals of Lab would inherit. The sessions named."""
    handed: dict[str, Any] = json.loads(os.environ.pop(HANDOVER, "{}"))
    if "token" in handed:
        GatewayClient.instance().auth_token = handed["token"]
    return list(handed.get("named", ()))


async def ask(path: str) -> Any:
    """The JSON at a path. Raises GatewayAway, and tornado's HTTPError for what the gateway refuses."""
    try:
        answer = await gateway_request(url_path_join(_url(), path), method="GET")
    except web.HTTPError as error:
        if error.status_code >= 500:
            raise GatewayAway(str(error)) from None
        raise
    except OSError as error:
        raise GatewayAway(str(error)) from None
    return json.loads(answer.body)


def socket_url(kernel_id: str) -> str:
    return url_path_join("ws" + _url().removeprefix("http"), "api/kernels", kernel_id, "channels")


def _url() -> str:
    return str(GatewayClient.instance().url)
