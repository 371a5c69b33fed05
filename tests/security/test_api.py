"""Every door of the gateway, tried by those who may not pass: strangers, other people's pages, code in a session."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import httpx
import pytest

from tests.live import proc
from tests.live.client import JSON, EventStream, House, Session, problem, visiting
from tests.live.gateway import TOKEN, Gateway
from tests.live.raw import Answer, raw

from .doors import Door, doors

pytestmark = pytest.mark.live

FOREIGN = "token-of-another-gateway"
EVIL = "https://evil.example"
ASKS = "answer = input('? '); print('answered', answer)"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: QUFBQUFBQUFB")
JSON_TYPES = ("application/json", "text/event-stream")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("api") / "data", pool_size=1, wrong_tokens=100_000)
    with gateway:
        gateway.remember_baseline()
        yield gateway


@pytest.fixture
def house(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[House]:
    with visiting(gateway, request.node.name) as house:
        yield house


@dataclass(frozen=True)
class Victim:
    """A session with a cell that waits for an answer, which no call but the right one may give or disturb."""

    session: Session
    execution: str
    stream: EventStream

    def fill(self, door: Door) -> str:
        return door.filled(self.session.id, self.execution)

    def state(self) -> JSON:
        """All that a call could have changed, of all sessions."""
        sessions = self.session.client.get("/v1/sessions").json()["sessions"]
        kept = [{name: value for name, value in each.items() if name != "idle_s"} for each in sessions]
        execution = self.session.execution(self.execution)
        return {"sessions": kept, "execution": {**execution, "duration_s": None}}

    def finish(self) -> None:
        """The proof that it did wait all the time."""
        assert self.session.answer(self.execution, "right").status_code == 202
        self.stream.until_text("answered right")
        assert self.stream.until("execution.completed").data["status"] == "completed"
        self.session.delete()


@pytest.fixture
def victim(house: House) -> Iterator[Victim]:
    session = house.session()
    with session.stream(ASKS, stdin=True) as stream:
        asked = stream.until("input.requested")
        victim = Victim(session, asked.data["execution_id"], stream)
        before = victim.state()
        assert before["execution"]["status"] == "running"
        yield victim
        assert victim.state() == before
        victim.finish()


@pytest.fixture(scope="module")
def every_door(tmp_path_factory: pytest.TempPathFactory) -> list[Door]:
    return doors(tmp_path_factory.mktemp("doors"))


@pytest.fixture(scope="module")
def locked(every_door: list[Door]) -> list[Door]:
    return [door for door in every_door if not door.is_open]


def asked(
    gateway: Gateway, door: Door, path: str, *headers: str, token: str | None = TOKEN, body: bytes = b""
) -> Answer:
    """A WebSocket asks by GET."""
    method = door.method.replace("WS", "GET")
    with raw(gateway) as connection:
        answer = connection.ask(f"{method} {path}", *headers, token=token, body=body)
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    return answer


# who asks


def test_the_table_has_the_doors_that_there_are(gateway: Gateway, house: House, every_door: list[Door]) -> None:
    described = house.client.get("/openapi.json").json()["paths"]
    documented = {Door(method.upper(), path) for path, calls in described.items() for method in calls}
    assert len(documented) > 12
    assert documented < set(every_door)
    assert {door.path for door in set(every_door) - documented} == {
        *("/", "/healthz", "/readyz", "/static/page/{name}", "/docs", "/openapi.json"),
        "/api/kernels/{kernel_id}/channels",
    }
    # With the token, each of them lets in: what is refused below is refused for the token.
    for door in every_door:
        answer = asked(gateway, door, door.filled("absent"))
        assert answer.status not in (401, 403, 421, 429, 500), door
    Session(house.client, "absent").delete()


@pytest.mark.prop("GA01")
def test_without_the_token_no_door_opens(gateway: Gateway, victim: Victim, locked: list[Door]) -> None:
    for door in locked:
        path = victim.fill(door)
        body = json.dumps(door.body()).encode()
        for token in (None, "", "wrong", FOREIGN, TOKEN[:-1], TOKEN + "x", TOKEN.upper()):
            for upgrade in ((), UPGRADE):
                answer = asked(gateway, door, path, *upgrade, token=token, body=body)
                assert (answer.status, answer.code) == (401, "unauthorized"), (door, token)
        for query in ("token=", "token=wrong", f"token={FOREIGN}", f"access_token={TOKEN}"):
            assert asked(gateway, door, f"{path}?{query}", token=None, body=body).status == 401, (door, query)
        for headers in ((f"Cookie: token={TOKEN}",), (f"X-Token: {TOKEN}",), (f"Proxy-Authorization: Bearer {TOKEN}",)):
            assert asked(gateway, door, path, *headers, token=None, body=body).status == 401, (door, headers)


@pytest.mark.prop("GA01")
def test_nor_what_there_is_behind_it(gateway: Gateway, victim: Victim) -> None:
    """The same answer whether a session exists, so that nobody can ask for names."""
    with httpx.Client(base_url=gateway.url, trust_env=False) as stranger:
        known, unknown = (stranger.get(f"/v1/sessions/{id_}") for id_ in (victim.session.id, "absent"))
        assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
        assert stranger.get("/v1/none").status_code == 401


@pytest.mark.prop("GA02")
def test_other_names_and_other_pages_open_none(gateway: Gateway, victim: Victim, every_door: list[Door]) -> None:
    port = urlsplit(gateway.url).port
    hosts = ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "0.0.0.0", "127.1", "")
    origins = (
        "null",
        EVIL,
        f"http://127.0.0.1:{port}.evil.example",
        f"http://localhost:{port}",
        "http://127.0.0.1",
        "",
    )
    for door in every_door:
        path = victim.fill(door)
        body = json.dumps(door.body()).encode()
        with httpx.Client(
            base_url=gateway.url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False
        ) as client:
            for host in hosts:
                method = door.method.replace("WS", "GET")
                problem(client.request(method, path, content=body, headers={"Host": host}), 421, "host_not_allowed")
        for origin in origins:
            for upgrade in ((), UPGRADE):
                answer = asked(gateway, door, path, f"Origin: {origin}", *upgrade, body=body)
                assert (answer.status, answer.code) == (403, "origin_not_allowed"), (door, origin)


@pytest.mark.prop("GA03")
def test_a_form_of_another_page_does_nothing(gateway: Gateway, victim: Victim, locked: list[Door]) -> None:
    simple = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
    for door in locked:
        path = victim.fill(door)
        body = json.dumps({**door.body(), "id": "forged"} if door.path == "/v1/sessions" else door.body()).encode()
        for kind in simple:
            length = (f"Content-Type: {kind}", f"Content-Length: {len(body)}")
            with raw(gateway) as connection:
                # As browsers send it, from a page of others or from a sandboxed frame; and as very old ones did.
                for origin, status in ((f"Origin: {EVIL}", 403), ("Origin: null", 403), ("X-Old: browser", 401)):
                    connection.send(connection.head(f"POST {path}", *length, origin, token=None) + body)
                    assert connection.answer().status == status, (door, kind)


@pytest.mark.prop("GA03")
def test_only_json_is_read_as_json(gateway: Gateway, house: House, locked: list[Door]) -> None:
    described = house.client.get("/openapi.json").json()["paths"]
    taking = [door for door in locked if "requestBody" in described.get(door.path, {}).get(door.method.lower(), {})]
    assert len(taking) >= 4
    victim = house.session(language="python")
    before = len(house.client.get("/v1/sessions").json()["sessions"])
    for door in taking:
        body = json.dumps(door.body() or {"language": "python"}).encode()
        path = door.filled(
            "forged" if door.path.endswith("executions") or door.method == "PUT" else victim.id, "absent"
        )
        for kind in ("text/plain", "application/x-www-form-urlencoded", "text/html", "application/octet-stream", None):
            headers = {} if kind is None else {"Content-Type": kind}
            answer = house.client.request(door.method, path, content=body, headers=headers)
            problem(answer, 400, "bad_request")
    assert len(house.client.get("/v1/sessions").json()["sessions"]) == before


@pytest.mark.prop("GA03")
def test_nothing_is_changed_by_asking(gateway: Gateway, victim: Victim, every_door: list[Door]) -> None:
    """GET is what any link or picture does, whatever else is written beside it."""
    disguises = ("X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE", "X-HTTP-Method: DELETE")
    for path in sorted({door.path for door in every_door}):
        for filled in (Door("GET", path).filled("absent"), victim.fill(Door("GET", path))):
            if filled.endswith("/events") and victim.session.id in filled:
                continue
            for method in ("GET", "HEAD"):
                with raw(gateway) as connection:
                    line = f"{method} {filled}?_method=DELETE&method=DELETE"
                    connection.send(connection.head(line, *disguises, "Connection: close"))
                    assert int(connection.ended().split()[1]) in (200, 404, 405, 503), filled


@pytest.mark.prop("GA03")
def test_nobody_is_told_that_they_may(gateway: Gateway, victim: Victim, every_door: list[Door]) -> None:
    for door in every_door:
        wish = (f"Access-Control-Request-Method: {door.method}", "Access-Control-Request-Headers: authorization")
        path = victim.fill(door)
        for origin, token, statuses in (
            (EVIL, None, (403,)),
            (EVIL, TOKEN, (403,)),
            (gateway.url, None, (401, 405)),
            (gateway.url, TOKEN, (405,)),
        ):
            with raw(gateway) as connection:
                answer = connection.ask(f"OPTIONS {path}", f"Origin: {origin}", *wish, token=token)
            # What is for WebSockets alone is not there for anything else.
            assert answer.status in statuses or (door.method == "WS" and token and answer.status == 404), (door, origin)
            assert not [name for name in answer.headers if name.startswith("access-control-")]


# what they ask for

PATHS = (
    *("..", ".", "../..", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e", "%2e%2e%2f%2e%2e%2f", "....//"),
    *("/etc/passwd", "%2fetc%2fpasswd", "//etc/passwd", "file:///etc/passwd", "%2fproc%2fself%2fenviron", "~root"),
    *("..\\..\\etc\\passwd", "..%5c..%5cetc%5cpasswd", "C:%5cWindows", "%252e%252e%252f", "..%c0%af", "%uff0e%uff0e"),
    *("%00", "a%00b", "..%00.html", "page.css%00.png", "%0d%0aX-Evil:%201", "%0aevil", "a%20b", "a%09b", "%1b[31m"),
    *("%e2%80%ae", "%ef%bc%8e%ef%bc%8e", "%ff%fe", "%ed%a0%80", "%f0%9f%92%a9", "%c3%a9"),
    *("a" * 129, "a" * 300, "a" * 5000, "%61" * 5000, "*", "a*", "$(id)", "`id`", "'", '"', "<script>", "{x}", "a:b"),
    *("page.css/", "..;/", "a;b"),
)
SECRETS = re.compile(rb"root:|daemon:|Traceback|/kernelgw/|site-packages|class Guard", re.IGNORECASE)


def tree(folder: Path) -> set[str]:
    """All names below, but for what a gateway does by itself."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "/run/" not in str(path)}


@pytest.mark.prop("GA04")
def test_paths_lead_nowhere_else(gateway: Gateway, victim: Victim, every_door: list[Door]) -> None:
    files, state = tree(gateway.data_dir), victim.state()
    taking = [door for door in every_door if door.parameters]
    assert len(taking) > 10
    for door in taking:
        body = json.dumps(door.body()).encode() if door.method in ("POST", "PUT") else b""
        for path in PATHS:
            values = [[path]] if len(door.parameters) == 1 else [[path, "absent"], [victim.session.id, path]]
            for each in values:
                answer = asked(gateway, door, door.filled(*each).replace(" ", "%20"), body=body)
                assert 400 <= answer.status < 500, (str(door), each, answer)
                assert "x-evil" not in answer.headers
                # What was asked for is said back as JSON at most, which is no page and runs nowhere.
                assert answer.headers["content-type"] == "application/json"
                assert not SECRETS.search(answer.body.replace(path.encode(), b"")), (str(door), each)
    assert victim.state() == state
    assert tree(gateway.data_dir) == files
    assert "Traceback" not in gateway.output()


@pytest.mark.prop("GA04")
def test_the_page_s_folder_is_all_that_is_served(gateway: Gateway) -> None:
    source = Path("kernelgw/api/guard.py")
    with raw(gateway) as connection:
        for path in (
            *("/static/page/../../api/guard.py", "/static/page/..%2f..%2fapi%2fguard.py", "/static/page//etc/passwd"),
            *("/static/../api/guard.py", "/static/..%2fapi%2fguard.py", "/static/page/%2e%2e/%2e%2e/api/guard.py"),
            *("/static/page/", "/static/page", "/static/", "/static/page/page.css/../frame.html", "/static/page/."),
            *("/static%2fpage%2fnone.css", "/static/page/page.css%3f", "/static/page/page%2ecss%2f", "//static/page/x"),
            *("/static/page/.gitignore", "/static/page/PAGE.CSS", "/static/page/page.css."),
        ):
            for token in (None, TOKEN):
                answer = connection.ask(f"GET {path}", token=token)
                assert answer.status in (401, 404), path
                assert b"class Guard" not in answer.body
        # Both are there to be had: one by its right name, the other on the disk.
        assert connection.ask("GET /static/page/page.css", token=None).status == 200
    assert "class Guard" in source.read_text()


@pytest.mark.prop("GA04")
def test_names_in_bodies_lead_nowhere_either(gateway: Gateway, house: House) -> None:
    files = tree(gateway.data_dir)
    for name in ("../x", "/etc/passwd", "..", "a\0b", "a/b", "a\\b", "\u202e", "x" * 10_000, "default/../default", ""):
        for body in ({"environment": name}, {"language": name}, {"id": name}, {"cwd": name + "/../.."}):
            if not any(body.values()) or (name == "" and "cwd" not in body and "id" not in body):
                continue
            problem(house.client.post("/v1/sessions", json=body), 400, problem_code(body))
    assert tree(gateway.data_dir) == files
    assert house.client.get("/v1/sessions").json()["sessions"] == []


def problem_code(body: dict[str, str]) -> str:
    return {"environment": "unknown_environment", "language": "unknown_language"}.get(next(iter(body)), "bad_request")


# from inside

CALL = """
import http.client, os, socket, urllib.parse
proxy = urllib.parse.urlsplit(os.environ["http_proxy"])
def by_proxy(target):
    connection = http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=10)
    connection.request("GET", target, headers={"Authorization": "Bearer TOKEN"})
    answer = connection.getresponse()
    return answer.status
def tunnel(target):
    with socket.create_connection((proxy.hostname, proxy.port), timeout=10) as connection:
        connection.sendall(f"CONNECT {target} HTTP/1.1\\r\\nHost: {target}\\r\\n\\r\\n".encode())
        return int(connection.recv(1000).split()[1])
def directly(host, port):
    try:
        socket.create_connection((host, port), timeout=2).close()
        return "reached"
    except OSError as error:
        return type(error).__name__
"""


@pytest.mark.prop("GA07")
def test_a_session_cannot_call_the_gateway(
    tmp_path_factory: pytest.TempPathFactory, gateway: Gateway, house: House
) -> None:
    """Though it may reach every host that it names here, and the operator let these lead to loopback."""
    private = "localhost=127.0.0.0/8,gateway.example=127.0.0.0/8"
    inner = Gateway(tmp_path_factory.mktemp("called") / "data", pool_size=0, network_private=private)
    with inner:
        port, other = urlsplit(inner.url).port, urlsplit(gateway.url).port
        names = ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.0.0.2", "[::ffff:127.0.0.1]")
        allow = [f"{name}:{number}" for name in names for number in (port, other)]
        with inner.client() as client:
            session = Session(client, "caller")
            session.create(network={"allow": allow})
            session.run(CALL.replace("TOKEN", TOKEN))
            # The proxy does go where it may: another server of this machine answers, the one beside it never does.
            assert session.value(f"print(by_proxy('http://localhost:{other}/healthz'))") == "200\n"
            for name in names:
                for path in ("/healthz", "/v1/sessions"):
                    assert session.value(f"print(by_proxy('http://{name}:{port}{path}'))") == "403\n", name
                assert session.value(f"print(tunnel('{name}:{port}'))") == "403\n", name
            assert session.value(f"print(directly('127.0.0.1', {port}), directly('localhost', {port}))") != ""
            assert "reached" not in session.value(f"print(directly('127.0.0.1', {port}), directly('::1', {port}))")
            assert session.value("print(directly(proxy.hostname, proxy.port))") == "reached\n"
            session.delete()


LOOK_FOR_TOKEN = """
import os, pathlib
found = []
for path in [*pathlib.Path("/proc").glob("[0-9]*/environ"), *pathlib.Path("/proc").glob("[0-9]*/cmdline")]:
    try: text = path.read_bytes()
    except OSError: continue
    found += [str(path)] if NEEDLE.encode() in text else []
WHERE = ("/etc", "/home", "/tmp", "/workspace", "/run", "/var", "/dev/shm")
for folder, _, names in (entry for start in WHERE for entry in os.walk(start)):
    for name in names:
        path = pathlib.Path(folder, name)
        try: found += [str(path)] if path.is_file() and NEEDLE.encode() in path.read_bytes() else []
        except OSError: pass
print(found, [name for name, value in os.environ.items() if NEEDLE in value])
"""


@pytest.mark.prop("GA08")
def test_the_token_is_nowhere(gateway: Gateway, house: House) -> None:
    with raw(gateway) as connection:
        asked_by_address = (
            *(
                f"GET /v1/none?token={TOKEN}",
                f"GET /v1/sessions/none?token={TOKEN}",
                f"PATCH /v1/sessions?token={TOKEN}",
            ),
            *(f"PUT /v1/sessions/..?token={TOKEN}", f"GET /v1/sessions?token={TOKEN}", f"GET /?token={TOKEN}"),
            *(f"GET /healthz?token={TOKEN}", f"GET /docs?token={TOKEN}", f"GET /openapi.json?token={TOKEN}"),
            *(f"GET /v1/sessions/x/history?limit=x&token={TOKEN}", f"POST /v1/sessions/x/executions?token={TOKEN}"),
        )
        for line in asked_by_address:
            for headers in ((), ("Host: evil.example",), (f"Origin: {EVIL}",), ("Last-Event-ID: x",)):
                answer = connection.ask(line, *headers, token=None)
                assert TOKEN not in str(answer), line
                # Nor is it given away as where somebody came from.
                assert answer.headers["referrer-policy"] == "no-referrer"
    for broken in (f"GET /?token={TOKEN} HTTP/9.9\r\n\r\n", f"GET http://x/?token={TOKEN} HTTP/1.1\r\n\r\n"):
        with raw(gateway) as connection:
            connection.send(broken.encode())
            assert TOKEN not in connection.ended().decode()
    session = house.session()
    session.create(env={"OWN": "sought-for"})
    # What is in there is found, by the same look.
    assert session.value(f"NEEDLE = 'sought-' + 'for'\n{LOOK_FOR_TOKEN}").endswith("['OWN']\n")
    half = len(TOKEN) // 2
    needle = f"NEEDLE = {TOKEN[:half]!r} + {TOKEN[half:]!r}"
    assert session.value(f"{needle}\n{LOOK_FOR_TOKEN}") == "[] []\n"
    for path in ("", "/history"):
        assert TOKEN not in house.client.get(f"{session.path}{path}").text
    # Outside, it is told to whoever started the gateway, and to the same user's `kernelgw run`.
    assert gateway.output().count(TOKEN) == 1
    assert TOKEN in (gateway.data_dir / "gateway.json").read_text()
    assert (gateway.data_dir / "gateway.json").stat().st_mode & 0o077 == 0
    for pid in proc.descendants(gateway.pid):
        assert TOKEN not in proc.command(pid)
        assert TOKEN not in proc.environment(pid)
    written = [path for path in gateway.data_dir.rglob("*") if path.is_file() and path.name != "gateway.json"]
    assert [path for path in written if path.stat().st_size < 1 << 20 and TOKEN.encode() in path.read_bytes()] == []


# how often


@pytest.mark.prop("GA12")
def test_guessing_is_slow_and_locks_nobody_out(tmp_path_factory: pytest.TempPathFactory) -> None:
    gateway = Gateway(tmp_path_factory.mktemp("guessed") / "data", pool_size=0, wrong_tokens=20)
    with gateway, raw(gateway) as guesser, raw(gateway, source="127.0.0.9") as other:
        statuses = []
        for n in range(1000):
            # Said to come from anywhere: only where it does come from counts.
            answer = guesser.ask("GET /v1/sessions", f"X-Forwarded-For: 10.0.{n % 256}.{n // 256}", token=f"guess-{n}")
            statuses.append(answer.status)
            if answer.status == 429:
                assert answer.code == "too_many_tries"
                assert int(answer.headers["retry-after"]) >= 1
            if n % 100 == 99:
                assert guesser.ask("GET /v1/sessions").status == 200
                assert guesser.ask(f"GET /v1/sessions?token={TOKEN}", token=None).status == 200
        assert statuses[:20] == [401] * 20
        # As many again in each minute that this took, and it did not take ten.
        assert statuses.count(401) < 200
        assert set(statuses) == {401, 429}
        assert other.ask("GET /v1/sessions", token="guess").status == 401


# doors that are not there

# Each fails as soon as there is such a door, for whoever makes it to show here that it is safe.
ABSENT = MappingProxyType(
    {
        "GA06": r"archive|import|export|zip|\btar\b",
        "OU06": r"preview|proxy|port",
        "OU07": r"preview|proxy|port",
        "OU08": r"preview|proxy|port",
        "OU09": r"preview|proxy|port",
    }
)
KNOWN = frozenset(
    {
        *("GET /", "GET /healthz", "GET /readyz", "GET /static/page/{name}", "GET /docs", "GET /openapi.json"),
        *("GET /v1/sessions", "POST /v1/sessions", "PUT /v1/sessions/{session_id}", "GET /v1/sessions/{session_id}"),
        *("DELETE /v1/sessions/{session_id}", "POST /v1/sessions/{session_id}/interrupt"),
        *("POST /v1/sessions/{session_id}/restart", "GET /v1/sessions/{session_id}/events"),
        *("GET /v1/sessions/{session_id}/history", "POST /v1/sessions/{session_id}/executions"),
        "GET /v1/sessions/{session_id}/notebook",
        "POST /v1/sessions/{session_id}/replay",
        "GET /v1/sessions/{session_id}/executions/{execution_id}",
        "GET /v1/sessions/{session_id}/executions/{execution_id}/events",
        "POST /v1/sessions/{session_id}/executions/{execution_id}/input",
        *(f"{method} /v1/sessions/{{session_id}}/kernels/{{name}}" for method in ("GET", "PUT", "DELETE")),
        "GET /v1/sessions/{session_id}/kernels",
        "POST /v1/sessions/{session_id}/kernels/{name}/interrupt",
        "POST /v1/sessions/{session_id}/kernels/{name}/restart",
        # GA05, OU05: test_artifacts.py, test_downloads.py.
        "GET /v1/sessions/{session_id}/artifacts",
        "GET /v1/sessions/{session_id}/artifacts/{artifact_id}",
        "DELETE /v1/sessions/{session_id}/artifacts/{artifact_id}",
        # test_keys.py.
        *("GET /v1/keys", "POST /v1/keys", "DELETE /v1/keys/{key_id}"),
        # live/test_execute.py.
        *("GET /api/execute", "POST /api/execute"),
        # live/test_jupyter_bad.py, test_upgrades.py.
        *("GET /api", "GET /api/status", "GET /api/me", "GET /api/kernelspecs", "GET /api/kernelspecs/{name}"),
        *("GET /api/kernels", "POST /api/kernels", "GET /api/kernels/{kernel_id}", "DELETE /api/kernels/{kernel_id}"),
        *("POST /api/kernels/{kernel_id}/interrupt", "POST /api/kernels/{kernel_id}/restart"),
        *("GET /api/sessions", "POST /api/sessions", "GET /api/sessions/{id}", "PATCH /api/sessions/{id}"),
        *("DELETE /api/sessions/{id}", "WS /api/kernels/{kernel_id}/channels"),
    }
)


@pytest.mark.prop(*ABSENT)
def test_every_door_has_been_looked_at(every_door: list[Door]) -> None:
    assert {str(door) for door in every_door} == KNOWN, "say which properties a new door has to keep, and show them"


def _absent(*ids: str) -> list[object]:
    return [pytest.param(id_, marks=pytest.mark.prop(id_)) for id_ in ids]


@pytest.mark.parametrize("id_", _absent(*ABSENT))
def test_there_is_no_such_door(every_door: list[Door], id_: str) -> None:
    pattern = re.compile(ABSENT[id_])
    assert [str(door) for door in every_door if pattern.search(str(door))] == []


@pytest.mark.prop("GA06")
def test_json_is_all_that_comes_in_and_goes_out(house: House, every_door: list[Door]) -> None:
    """No archive to unpack, and no content of a session's under a type that a browser would show or run, but for
    artifacts, which have tests of their own."""
    described = house.client.get("/openapi.json").json()["paths"]
    for calls in described.values():
        for call in calls.values():
            assert set(call.get("requestBody", {}).get("content", {})) <= {"application/json"}
    session = house.session()
    execution = session.run("display({'text/html': '<script>1</script>'}, raw=True)")
    document = house.client.get("/api/sessions").json()[0]
    jupyter = {"kernel_id": document["kernel"]["id"], "id": document["id"], "name": "python3"}
    for door in every_door:
        if door.method != "GET" or door.is_open or door.path == "/docs" or "{artifact_id}" in door.path:
            continue
        values = [jupyter[each] for each in door.parameters if each in jupyter] or [session.id, execution["id"]]
        if "session_id" in door.parameters and "name" in door.parameters:
            values = [session.id, "python"]
        with house.client.stream("GET", door.filled(*values)) as answer:
            assert answer.status_code == 200, door
            kind = answer.headers["content-type"].partition(";")[0]
            # A notebook is to be saved, and is JSON as well.
            saved = answer.headers.get("content-disposition", "").startswith("attachment;")
            assert kind in JSON_TYPES or (kind == "application/x-ipynb+json" and saved), door
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"].startswith("no-")


@pytest.mark.prop("GA10")
@pytest.mark.parametrize("start", ["fork", "exec"])
def test_a_session_has_no_path_to_a_socket_of_the_gateway(tmp_path_factory: pytest.TempPathFactory, start: str) -> None:
    look = """
import os, stat
def sockets():
    found = []
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if (folder, name) not in {("/", "proc"), ("/", "usr"), ("/", "sys")}]
        paths = (os.path.join(folder, name) for name in names)
        found += [path for path in paths if os.path.lexists(path) and stat.S_ISSOCK(os.lstat(path).st_mode)]
    return found
"""
    gateway = Gateway(tmp_path_factory.mktemp("paths") / "data", pool_size=0, start=start)
    with gateway:
        assert proc.unix_sockets(gateway.data_dir)
        with gateway.client() as client:
            session = Session(client, "look")
            session.run(look)
            assert session.value("print(sockets())") == "[]\n"
            own = "import socket; own = socket.socket(socket.AF_UNIX); own.bind('/tmp/own'); print(sockets())"
            assert session.value(own) == "['/tmp/own']\n"
            session.delete()


# what it says


def test_the_description_of_the_calls_needs_nobody_else(house: House) -> None:
    answer = house.client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "script" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"<script|<link|<img|https?://", answer.text)
    for word in ("/v1/sessions/{session_id}/executions", "timeout_s", "network.allow", "limits.memory_bytes"):
        assert word in answer.text


def test_errors_tell_nothing_of_the_machine(gateway: Gateway, house: House) -> None:
    numbers = '{"code": "1", "timeout_s": ' + "9" * 5000 + "}"
    bodies = ("{", "[]", '"x"', "null", '{"code": {"a": 1}}', '{"code": "1", "timeout_s": 1e999}', numbers, "\0")
    answers = [
        house.client.request(method, path, content=body, headers={"Content-Type": "application/json"})
        for body in bodies
        for method, path in (
            ("POST", "/v1/sessions/x/executions"),
            ("PUT", "/v1/sessions/x"),
            ("PATCH", "/v1/sessions"),
        )
    ]
    answers += [house.client.get(path) for path in ("/v1/sessions/x", "/v1/sessions/x/history?limit=0", "/metrics")]
    for answer in answers:
        if answer.status_code >= 400:
            assert answer.status_code < 500
            assert not re.search(rf"{gateway.data_dir}|\.py\b|Traceback|line \d+, in", answer.text), answer.text
    assert sum(answer.status_code >= 400 for answer in answers) > 20
    assert "Traceback" not in gateway.output()


def test_what_is_asked_cannot_write_the_log(gateway: Gateway, house: House) -> None:
    before = gateway.output()
    for path in ("/v1/sessions/%0aFAKE%20LINE", "/v1/sessions/%1b%5b31mFAKE", "/v1/%0d%0aFAKE?x=%0aFAKE"):
        house.client.get(path)
        house.client.post(f"{path}/executions", json={"code": "1"})
    with raw(gateway) as connection:
        connection.ask("GET /v1/sessions", "Host: FAKE\x1b[31m", "Origin: FAKE")
    for junk in (b"FAKE \x1b[31m\r\n\r\n", b"\0" * 100):
        with raw(gateway) as connection:
            connection.send(junk)
            connection.ended()
    assert gateway.output() == before
