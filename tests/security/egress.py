"""Code of a session that talks to its proxy, and what the gateway's log says of it."""

from __future__ import annotations

import json
import socket
from typing import Any

from tests.live import proc
from tests.live.client import Session
from tests.live.gateway import Gateway

# A client of the proxy that says exactly what it is given, and a TLS client that names whom it likes.
CLIENT = """
import json, os, socket, ssl
def ask(said, port=3128):
    try:
        with socket.create_connection(('127.0.0.1', port), 20) as s:
            s.sendall(said.encode('latin-1'))
            answer = b''
            while piece := s.recv(65536):
                answer += piece
        return answer.decode('latin-1')
    except OSError as error:
        return f'{type(error).__name__}: {error}'
def get(url, port=3128):
    return ask(f'GET {url} HTTP/1.1\\r\\n\\r\\n', port)
def connect(target):
    return ask(f'CONNECT {target} HTTP/1.1\\r\\n\\r\\n')
def tls(target, name, pem):
    context = ssl.create_default_context(cadata=pem)
    context.check_hostname = False
    with socket.create_connection(('127.0.0.1', 3128), 20) as s:
        s.sendall(f'CONNECT {target} HTTP/1.1\\r\\n\\r\\n'.encode())
        first = s.recv(4096).decode()
        try:
            with context.wrap_socket(s, server_hostname=name) as t:
                t.sendall(b'GET /tls HTTP/1.0\\r\\n\\r\\n')
                answer = b''
                while piece := t.recv(65536):
                    answer += piece
        except OSError as error:
            return [first, type(error).__name__]
        return [first, answer.decode()]
"""


def run(session: Session, code: str, **values: object) -> Any:
    """The JSON that a cell prints last, with the client at hand."""
    given = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    return json.loads(session.value(f"{CLIENT}{given}{code}").splitlines()[-1])


def status(answer: str) -> int:
    return int(answer.split(" ")[1]) if answer.startswith("HTTP/1.1 ") else 0


def statuses(session: Session, requests: list[str]) -> list[int]:
    answers = run(session, "print(json.dumps([ask(said) for said in requests]))", requests=requests)
    return [status(answer) for answer in answers]


def plain_get(url: str) -> str:
    return f"GET {url} HTTP/1.1\r\n\r\n"


def tunnel(target: str) -> str:
    return f"CONNECT {target} HTTP/1.1\r\n\r\n"


def verdicts(gateway: Gateway) -> list[dict[str, Any]]:
    """Those in the gateway's log."""
    lines = [line.partition("kernelgw.egress: egress ")[2] for line in gateway.output().splitlines()]
    return [json.loads(line) for line in lines if line]


def own_addresses() -> list[str]:
    """Of this machine, as far as it can tell without asking anybody."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.200", 9))
        except OSError:
            return []
        return [str(probe.getsockname()[0])]


def proxy_of(gateway: Gateway) -> int:
    found = [pid for pid in proc.descendants(gateway.pid) if "kernelgw.egress" in proc.command(pid)]
    assert len(found) == 1, found
    return found[0]
