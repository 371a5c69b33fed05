"""What hostile code reaches of the network: through real gateways, with servers outside that are really there."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import proc
from tests.live.client import House, Session, problem, text
from tests.live.gateway import MODULE, TOKEN, Gateway
from tests.tls import server_context

from .egress import own_addresses, plain_get, proxy_of, run, status, statuses, tunnel, verdicts
from .servers import Canary, unix_listener, was_reached

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Its operator says that localhost may lead to loopback: how anything is reached here at all."""
    yield from _gateway(
        tmp_path_factory, "trusting", network_private="localhost=127.0.0.1/32", networks="packages,allow,full"
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Nothing inside may be reached; and its kernels are started, not forked."""
    yield from _gateway(tmp_path_factory, "plain", start="exec")


def _gateway(tmp_path_factory: pytest.TempPathFactory, name: str, **options: object) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp(name) / "data", MODULE, pool_size=0, **options)
    with gateway:
        with gateway.client() as client:
            # The proxy stays, once a first session needed it.
            first = Session(client, "first-with-network")
            first.create(network={"allow": []})
            first.value("1")
            first.delete()
        gateway.remember_baseline()
        yield gateway


MakeSession = Callable[..., Session]


@pytest.fixture
def session_of(request: pytest.FixtureRequest) -> Iterator[MakeSession]:
    """Makes sessions of a gateway, which are gone without a trace afterwards."""
    houses: dict[str, House] = {}
    prefix = re.sub(r"[^A-Za-z0-9._-]", "-", request.node.name)[:60]

    def make(gateway: Gateway, network: Any) -> Session:
        house = houses.setdefault(gateway.url, House(gateway, f"{prefix}.{uuid.uuid4().hex[:8]}"))
        return house.session(network=network)

    try:
        yield make
        for house in houses.values():
            house.delete_sessions()
    finally:
        for house in houses.values():
            house.close()
    for house in houses.values():
        house.gateway.assert_nothing_leaked()


@pytest.fixture
def canary() -> Iterator[Canary]:
    canary = Canary()
    yield canary
    canary.close()


# what is there without a proxy

KINDS = ["off", "packages", {"allow": ["localhost:1"]}, "full"]
each_kind = pytest.mark.parametrize("network", KINDS, ids=["off", "packages", "allow", "full"])


@pytest.mark.prop("NE01", "NE02", "NE05")
@each_kind
def test_there_is_only_loopback_and_the_proxy(
    trusting: Gateway, session_of: MakeSession, canary: Canary, network: Any
) -> None:
    found = run(
        session_of(trusting, network),
        """
def outcome(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return 'reached'
def names():
    socket.getaddrinfo('example.org', 443)
routes = open('/proc/net/route').read().splitlines()[1:]
addresses = [('127.0.0.1', port), ('127.0.0.1', gateway), ('127.0.0.1', 3128), ('1.1.1.1', 443), ('10.0.0.1', 80)]
print(json.dumps({
    'interfaces': [line.split(':')[0].strip() for line in open('/proc/self/net/dev').readlines()[2:]],
    'routes': routes,
    'names': outcome(names),
    'reached': [outcome(lambda: socket.create_connection(address, 5).close()) for address in addresses],
}))
""",
        port=canary.port,
        gateway=int(trusting.url.rpartition(":")[2]),
    )
    assert (found["interfaces"], found["routes"], found["names"]) == (["lo"], [], "gaierror")
    proxy = "ConnectionRefusedError" if network == "off" else "reached"
    assert found["reached"] == ["ConnectionRefusedError", "ConnectionRefusedError", proxy, "OSError", "OSError"]
    with socket.create_connection(("127.0.0.1", canary.port), 5):
        assert not canary.seen


@pytest.mark.prop("NE04")
@each_kind
def test_unix_sockets_of_the_host(trusting: Gateway, session_of: MakeSession, tmp_path: Path, network: Any) -> None:
    abstract = f"\0kernelgw-canary-{uuid.uuid4().hex}"
    reach = """
import json, socket
def outcome(address):
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(address)
        except OSError as error:
            return type(error).__name__
    return 'reached'
"""
    tmp_path.chmod(0o755)
    path = Path("/tmp", f"kernelgw-canary-{uuid.uuid4().hex}")
    try:
        with unix_listener(abstract) as one, unix_listener(path) as other:
            code = f"{reach}print(json.dumps([outcome({abstract!r}), outcome({str(path)!r})]))"
            found = json.loads(session_of(trusting, network).value(code))
            assert found == ["ConnectionRefusedError", "FileNotFoundError"]
            assert not was_reached(one)
            assert not was_reached(other)
            for address, listener in ((abstract, one), (str(path), other)):
                with socket.socket(socket.AF_UNIX) as control:
                    control.connect(address)
                assert was_reached(listener)
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.prop("NE06")
@each_kind
def test_a_server_and_its_client_in_one_session(trusting: Gateway, session_of: MakeSession, network: Any) -> None:
    code = """
import http.server, threading, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'mine')
    def log_message(self, *args): pass
server = http.server.HTTPServer(('localhost', 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
port = server.server_address[1]
print([urllib.request.urlopen(f'http://{host}:{port}/').read() for host in ('localhost', '127.0.0.1')])
server.shutdown(); server.server_close()
"""
    assert session_of(trusting, network).value(code) == "[b'mine', b'mine']\n"


# who is let through


@pytest.mark.prop("NE07")
def test_listed_unlisted_and_empty(trusting: Gateway, session_of: MakeSession, canary: Canary) -> None:
    url, port = f"http://localhost:{canary.port}/", canary.port
    listed = session_of(trusting, {"allow": ["example.org", f"localhost:{port}"]})
    answer = run(listed, "print(json.dumps(get(url)))", url=url)
    assert (status(answer), answer.rpartition("\r\n\r\n")[2]) == (200, "the canary sings")
    assert canary.seen == ["/"]
    both = [plain_get(url), tunnel(f"localhost:{port}")]
    elsewhere = {"allow": ["example.org", "localhost", f"localhost:{port - 1}"]}
    networks: list[Any] = [{"allow": []}, elsewhere, "packages", "full"]
    for network in networks:
        assert statuses(session_of(trusting, network), both) == [403, 403], network
    assert canary.seen == ["/"]
    # On the ports of the web it would have been let through, with nobody there or somebody.
    assert 403 not in statuses(session_of(trusting, "full"), [plain_get("http://localhost/")])


@pytest.mark.prop("NE08")
def test_ways_to_write_a_host(trusting: Gateway, session_of: MakeSession, canary: Canary) -> None:
    port = canary.port
    session = session_of(trusting, {"allow": [f"LOCALHOST.:{port}", f"*.example.org:{port}"]})
    same = ["localhost", "LOCALHOST", "localhost.", "LocalHost."]
    assert statuses(session, [plain_get(f"http://{host}:{port}/") for host in same]) == [200] * len(same)
    assert len(canary.seen) == len(same)
    others = [
        *("xlocalhost", "localhost.evil.test", "evil-localhost", "a.localhost", "example.org", "evilexample.org"),
        *("user@localhost", "localhost@example.org", "local%68ost", "localhost%00.example.org", "localhost\0"),
        *("localhost..", ".localhost", "localhost\t", "localhost\\.example.org", "localhost#", "*.example.org"),
        *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.01", "0", "0.0.0.0"),
        *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[::1%25lo]", "[fe80::1%lo]"),
        *("lоcalhost", "ｌｏｃａｌｈｏｓｔ", "xn--lcalhost-8fg", "localhost:80", "localhost:443", ""),
    ]
    asked = [form for host in others for form in (plain_get(f"http://{host}:{port}/"), tunnel(f"{host}:{port}"))]
    asked += [
        tunnel(f"localhost:{odd}") for odd in (f"0{port}", f"{port}0", f"+{port}", f" {port}", f"{port}/", "", "x")
    ]
    answers = statuses(session, [said.encode().decode("latin-1") for said in asked])
    assert {said: answer for said, answer in zip(asked, answers, strict=True) if answer not in (400, 403)} == {}
    assert len(canary.seen) == len(same)


# where names lead


@pytest.mark.prop("NE09")
def test_allowed_names_that_lead_inside(
    plain: Gateway, trusting: Gateway, session_of: MakeSession, canary: Canary
) -> None:
    port = canary.port
    inside = [
        "localhost",
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
    ]
    inside += [
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "[fd00:ec2::254]",
        "[fd20:ce::254]",
    ]
    inside += ["10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "[fc00::1]", "[fe80::1]", "[2002:7f00:1::]"]
    inside += ["224.0.0.1", "255.255.255.255", *own_addresses()]
    asked = [f"{host}:{port}" for host in inside]
    session = session_of(plain, {"allow": asked})
    answers = run(session, "print(json.dumps([connect(target) for target in targets]))", targets=asked)
    assert {target: answer for target, answer in zip(asked, answers, strict=True) if status(answer) != 403} == {}
    assert all("may not be reached" in answer for answer in answers)
    assert not canary.seen
    assert statuses(session_of(trusting, {"allow": asked}), [plain_get(f"http://localhost:{port}/")]) == [200]
    assert statuses(session_of(trusting, {"allow": asked}), [tunnel(target) for target in asked[1:]]) == [403] * len(
        asked[1:]
    )
    assert canary.seen == ["/"]


@pytest.mark.prop("NE09", "NE10")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process names of its own")
def test_names_whose_answer_changes(tmp_path: Path, canary: Canary) -> None:
    """The gateway has a hosts file of its own here, which is written anew between two lookups."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost changing.test\n")
    hosts.chmod(0o644)
    script = f'mount --bind "{hosts}" /etc/hosts && exec "$@"'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *MODULE]
    gateway = Gateway(tmp_path / "data", command, pool_size=0, network_private="changing.test=127.0.0.1/32")
    other = Canary(host="127.0.0.2", port=canary.port)
    url = plain_get(f"http://changing.test:{canary.port}/")
    try:
        with gateway.start().client() as client:
            session = Session(client, "changing")
            session.create(network={"allow": [f"changing.test:{canary.port}"]})
            for address, wanted in LEADS.items():
                hosts.write_text(f"127.0.0.1 localhost\n{address} changing.test\n")
                assert statuses(session, [url]) == [wanted], address
            session.delete()
        assert (len(canary.seen), len(other.seen)) == (list(LEADS.values()).count(200), 0)
        assert httpx.get(f"http://127.0.0.2:{canary.port}/", trust_env=False).status_code == 200
        assert len(other.seen) == 1
        gateway.stop()
    finally:
        other.close()
        gateway.abandon()


# To which addresses the name leads, one after the other.
LEADS = {
    "127.0.0.1": 200,
    "127.0.0.2": 403,
    "0.0.0.0": 403,
    "10.0.0.1": 403,
    "169.254.169.254": 403,
    "100.100.100.200": 403,
    "::1": 403,
    "fd00:ec2::254": 403,
    "fe80::1": 403,
    "::ffff:127.0.0.2": 403,
    "64:ff9b::7f00:2": 403,
    "127.0.0.1 changing.test\n127.0.0.2": 200,
}


@pytest.mark.prop("NE11")
def test_the_gateway_itself(trusting: Gateway, session_of: MakeSession, canary: Canary) -> None:
    """Though its operator lets localhost lead to where it listens."""
    port = int(trusting.url.rpartition(":")[2])
    hosts = ("localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", socket.gethostname())
    targets = [f"{host}:{port}" for host in hosts]
    session = session_of(trusting, {"allow": [*targets, f"localhost:{canary.port}"]})
    asked = [plain_get(f"http://localhost:{canary.port}/"), *(plain_get(f"http://{each}/healthz") for each in targets)]
    assert statuses(session, [*asked, *map(tunnel, targets)]) == [200, *[403] * 2 * len(targets)]
    with trusting.client() as client:
        assert client.get("/healthz").status_code == 200


# what is said on a connection


@pytest.mark.prop("NE12")
def test_relays_and_reused_connections(trusting: Gateway, session_of: MakeSession, canary: Canary) -> None:
    other = Canary()
    try:
        session = session_of(trusting, {"allow": [f"localhost:{canary.port}"]})
        urls = [f"http://localhost:{port}/" for port in (canary.port, other.port)]
        found = run(
            session,
            """
import threading
def relay(server):
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client:
            client.sendall(ask(client.recv(65536).decode()).encode('latin-1'))
server = socket.create_server(('127.0.0.1', 0))
threading.Thread(target=relay, args=(server,), daemon=True).start()
one, two = (f'GET {url} HTTP/1.1\\r\\n\\r\\n' for url in urls)
print(json.dumps({
    'direct': [get(url) for url in urls],
    'relayed': [get(url, server.getsockname()[1]) for url in urls],
    'pipelined': ask(one + two),
    'early': ask(f'CONNECT localhost:{urls[0].split(":")[2][:-1]} HTTP/1.1\\r\\n\\r\\n' + one),
    'smuggled': ask(one[:-2] + f'Content-Length: {len(two)}\\r\\nConnection: content-length\\r\\n\\r\\n' + two),
}))
server.close()
""",
            urls=urls,
        )
        assert [status(answer) for answer in found["direct"]] == [200, 403]
        assert found["relayed"] == found["direct"]
        assert found["pipelined"].count("HTTP/1.1 ") == found["smuggled"].count("HTTP/1.1 ") == 1
        assert (status(found["pipelined"]), status(found["smuggled"]), status(found["early"])) == (200, 200, 400)
        assert canary.seen == ["/"] * 4
        assert not other.seen
    finally:
        other.close()


@pytest.mark.prop("NE13")
def test_the_name_in_tls_must_be_the_one_asked_for(trusting: Gateway, session_of: MakeSession, tmp_path: Path) -> None:
    canary = Canary(server_context(tmp_path, "localhost"))
    try:
        target, pem = f"localhost:{canary.port}", (tmp_path / "localhost.pem").read_text()
        session = session_of(trusting, {"allow": [target]})
        names = ["localhost", "LOCALHOST", "example.org", "a.localhost", None]
        code = "print(json.dumps([tls(target, name, pem) for name in names]))"
        found = run(session, code, target=target, names=names, pem=pem)
        assert {status(first) for first, _ in found} == {200}
        assert [answer.endswith("the canary sings") for _, answer in found] == [True, True, False, False, False]
        assert canary.seen == ["/tls"] * 2
        assert [
            each["why"] for each in verdicts(trusting) if each["session"] == session.id and not each["allowed"]
        ] == [*("its TLS asks for 'example.org'", "its TLS asks for 'a.localhost'", "its TLS asks for None")]
    finally:
        canary.close()


@pytest.mark.prop("NE14")
def test_a_redirect_leads_no_further(trusting: Gateway, session_of: MakeSession, canary: Canary) -> None:
    other = Canary()
    try:
        session = session_of(trusting, {"allow": [f"localhost:{canary.port}"]})
        code = """
import os, urllib.request
for name in ('no_proxy', 'NO_PROXY'):
    os.environ.pop(name, None)
"""
        session.value(code)
        fine = f"http://localhost:{canary.port}/to/http://localhost:{canary.port}/there"
        assert session.value(f"print(urllib.request.urlopen({fine!r}).url)").strip().endswith("/there")
        execution = session.run(
            f"urllib.request.urlopen('http://localhost:{canary.port}/to/http://localhost:{other.port}/')"
        )
        assert execution["error"]["name"] == "HTTPError"
        assert "403" in execution["error"]["value"]
        assert '"allow"' in execution["error"]["hint"]
        assert not other.seen
        assert len(canary.seen) == 3
    finally:
        other.close()


# sessions by themselves


@pytest.mark.prop("NE15")
def test_sessions_have_their_own_way_out_and_their_own_verdicts(
    trusting: Gateway, session_of: MakeSession, canary: Canary
) -> None:
    url = plain_get(f"http://localhost:{canary.port}/")
    mine = session_of(trusting, {"allow": [f"localhost:{canary.port}"]})
    theirs = session_of(trusting, {"allow": ["example.org:1"]})
    nobody = session_of(trusting, "off")
    assert statuses(mine, [url]) == [200]
    assert statuses(theirs, [url, plain_get("http://evil.test\r\n\r\nX/")]) == [403, 400]
    assert run(nobody, "print(json.dumps(ask(said)))", said=url).startswith("ConnectionRefusedError")
    target = f"localhost:{canary.port}"
    told = {
        session.id: [(each["target"], each["allowed"]) for each in verdicts(trusting) if each["session"] == session.id]
        for session in (mine, theirs, nobody)
    }
    assert told == {mine.id: [(target, True)], theirs.id: [(target, False), ("", False)], nobody.id: []}
    kernels = {each["session"]: each["kernel"] for each in verdicts(trusting)}
    assert kernels[mine.id] == mine.look()["kernel"]["id"]


@pytest.mark.prop("NE16")
def test_one_session_cannot_use_up_the_proxy(trusting: Gateway, session_of: MakeSession, canary: Canary) -> None:
    hostile = session_of(trusting, {"allow": [f"localhost:{canary.port}"]})
    neighbour = session_of(trusting, {"allow": [f"localhost:{canary.port}"]})
    url = plain_get(f"http://localhost:{canary.port}/")
    before = len(proc.open_fds(proxy_of(trusting)))
    found = run(
        hostile,
        """
held = []
for _ in range(64):
    s = socket.create_connection(('127.0.0.1', 3128), 20)
    s.sendall(f'CONNECT localhost:{port} HTTP/1.1\\r\\n\\r\\n'.encode())
    held.append(s)
firsts = [s.recv(4096).decode() for s in held]
late = [get(f'http://localhost:{port}/') for _ in range(5)]
flood = []
for _ in range(1500):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(('127.0.0.1', 3128))
    flood.append(s)
print(json.dumps([firsts, late]))
""",
        port=canary.port,
    )
    assert [status(answer) for answer in found[0]] == [200] * 64
    assert [status(answer) for answer in found[1]] == [503] * 5
    assert statuses(neighbour, [url] * 5) == [200] * 5
    assert len(proc.open_fds(proxy_of(trusting))) - before <= 64 * 2 + 64 + 10
    hostile.value("for s in held + flood: s.close()")
    proc.wait_until(lambda: statuses(hostile, [url]) == [200], 30, "it gets no further")


@pytest.mark.prop("NE16")
def test_one_session_cannot_flood_the_log(trusting: Gateway, session_of: MakeSession) -> None:
    session = session_of(trusting, {"allow": []})
    assert set(statuses(session, [tunnel("example.org:443")] * 200)) == {403}
    session.delete()

    def told() -> list[int]:
        return [1 + each.get("untold", 0) for each in verdicts(trusting) if each["session"] == session.id]

    assert sum(told()) <= 201
    assert len(told()) < 150
    assert len(told()) > 5


# the proxy as a process


def test_the_proxy_has_and_knows_little(trusting: Gateway) -> None:
    pid = proxy_of(trusting)
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert facts["NoNewPrivs"] == "1"
    if os.geteuid() == 0:
        assert "0" not in facts["Uid"].split()
        assert "0" not in facts["Gid"].split()
        assert int(facts["CapEff"], 16) == int(facts["CapPrm"], 16) == 0
        assert facts["Groups"].strip() == ""
        assert TOKEN.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    assert TOKEN not in proc.command(pid)
    assert not [fd for fd in proc.open_fds(pid) if str(trusting.data_dir) in fd and not fd.endswith(".out")]


def test_a_proxy_that_is_lost_is_replaced(trusting: Gateway, session_of: MakeSession, canary: Canary) -> None:
    url = plain_get(f"http://localhost:{canary.port}/")
    session = session_of(trusting, {"allow": [f"localhost:{canary.port}"]})
    other = session_of(trusting, {"allow": []})
    assert statuses(session, [url]) == [200]
    lost = proxy_of(trusting)
    os.kill(lost, signal.SIGKILL)
    # Whoever comes in the meantime waits in the session's own queue.
    assert statuses(session, [url]) == [200]
    assert statuses(other, [url]) == [403]
    assert proxy_of(trusting) != lost
    assert [each["allowed"] for each in verdicts(trusting) if each["session"] == session.id] == [True, True]
    late = session_of(trusting, {"allow": [f"localhost:{canary.port}"]})
    assert statuses(late, [url]) == [200]


def test_a_restarted_kernel_has_its_network_again(trusting: Gateway, session_of: MakeSession, canary: Canary) -> None:
    url = plain_get(f"http://localhost:{canary.port}/")
    session = session_of(trusting, {"allow": [f"localhost:{canary.port}"]})
    assert statuses(session, [url]) == [200]
    session.restart()
    assert statuses(session, [url, plain_get("http://localhost:1/")]) == [200, 403]


# what may be asked for


@pytest.mark.prop("NE07")
def test_what_the_operator_does_not_allow_nobody_gets(plain: Gateway) -> None:
    with plain.client() as client:
        asked = client.put("/v1/sessions/full", json={"network": "full"})
        assert "--networks" in problem(asked, 403, "network_not_allowed")["hint"]
        for rule in ("*", "*.org", "http://example.org", "user@example.org", "example.org:0", "127.1", "a" * 70_000):
            wrong = client.put("/v1/sessions/bad", json={"network": {"allow": [rule]}})
            assert problem(wrong, 400, "bad_request")["message"].startswith("network: ")
        assert client.get("/v1/sessions").json()["sessions"] == []


def test_a_session_says_what_network_it_has(plain: Gateway, session_of: MakeSession) -> None:
    for network in ("off", "packages", {"allow": ["example.org"]}):
        session = session_of(plain, network)
        assert session.look()["network"] == network
    execution = session.run("!curl -sS --max-time 20 https://other.test")
    assert 'Name it in "network"' in text(execution, "stderr")
