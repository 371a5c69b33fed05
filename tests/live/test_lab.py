"""`kernelgw lab` without a browser: what Lab's server lists, writes, passes on, and leaves alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.browser.relay import relay

from . import proc
from .client import House, Session
from .conftest import MakeGateway
from .gateway import TOKEN
from .jupyter import Client, Message, attached, kernel_of
from .lab import Lab
from .test_jupyter import COMM, OPEN

pytestmark = [pytest.mark.live, pytest.mark.slow]
# As the debugger sends it.
DEBUG_EVENT = """
kernel = get_ipython().kernel
kernel.session.send(kernel.iopub_socket, "debug_event", {"type": "event", "event": "stopped"}, kernel.get_parent())
"""
NewLab = Callable[..., Lab]


@pytest.fixture
def new_lab(house: House, tmp_path: Path) -> NewLab:
    """Labs that are not started yet, all in one folder."""

    def new(*arguments: str, url: str = "", credential: str = TOKEN) -> Lab:
        return Lab(tmp_path / "lab", url or house.gateway.url, arguments, credential)

    return new


@pytest.fixture
def lab(shared_lab: Lab, house: House) -> Lab:
    """The `house` is left first, so that its proof holds while Lab is there."""
    return shared_lab


def through(lab: Lab, kernel: str, v1: bool = True) -> Any:
    """A client of Lab's server, as a page of Lab is one."""
    server: Any = type("Server", (), {"url": lab.base})
    return attached(server, kernel, v1, additional_headers={"Authorization": f"token {lab.token}"})


@pytest.fixture(params=[True, False], ids=["v1", "legacy"])
def page(lab: Lab, chat: Session, request: pytest.FixtureRequest) -> Iterator[Client]:
    assert lab.entry(chat.id)
    with through(lab, kernel_of(chat), request.param) as client:
        yield client


def notebook(lab: Lab, chat: str) -> Any:
    entry = lab.entry(chat)
    assert entry is not None
    return lab.get(f"/api/contents/{entry['path']}")["content"]


def sources(content: Any) -> list[str]:
    return [cell["source"] for cell in content["cells"]]


# what is there


def test_each_live_chat_is_listed_with_its_notebook_and_kernel(house: House, lab: Lab) -> None:
    assert lab.get("/api/kernels") == []
    first, second, asleep = house.session(), house.session(), house.session(network="off")
    first.run("print('so far')")
    entry = lab.entry(first.id)
    assert entry is not None
    assert (entry["type"], entry["path"]) == ("notebook", f"{first.id}.ipynb")
    assert entry["kernel"]["id"] == kernel_of(first)
    # Those that come later are there as well; one that never ran has no kernel that could be looked at.
    second.run("1")
    assert lab.entry(second.id) is not None
    assert lab.entry(asleep.id) is None
    assert {each["id"] for each in lab.get("/api/kernels")} == {kernel_of(first), kernel_of(second)}
    content = notebook(lab, first.id)
    nbformat.validate(content)
    assert content["cells"][0]["outputs"][0]["text"] == "so far\n"
    first.delete()
    assert lab.entry(first.id) is None
    assert (lab.folder / f"{first.id}.ipynb").exists()


def test_a_notebook_is_the_chat_so_far_whenever_it_is_opened(lab: Lab, chat: Session) -> None:
    assert sources(notebook(lab, chat.id)) == ["x = 20"]
    chat.run("x + 1")
    assert sources(notebook(lab, chat.id)) == ["x = 20", "x + 1"]


def test_what_somebody_changed_is_kept_and_the_chat_is_written_beside_it(new_lab: NewLab, chat: Session) -> None:
    with new_lab() as lab, lab.client() as client:
        content = notebook(lab, chat.id)
        content["cells"][0]["source"] = "# a note\nx = 20"
        path = f"/api/contents/{chat.id}.ipynb"
        client.put(path, json={"type": "notebook", "content": content}).raise_for_status()
        chat.run("x + 1")
        assert sources(notebook(lab, chat.id)) == ["# a note\nx = 20"]
    with new_lab() as lab:
        entry = lab.entry(chat.id)
        assert entry is not None
        assert entry["path"] == f"{chat.id} (2).ipynb"
        assert sources(notebook(lab, chat.id)) == ["x = 20", "x + 1"]
        assert sources(lab.get(path)["content"]) == ["# a note\nx = 20"]
        # Whoever opens the older one is at the chat, too.
        document = {"name": f"{chat.id}.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
        with lab.client() as client:
            for path in (f"{chat.id}.ipynb", "as-lab-draws-it"):
                answer = client.post("/api/sessions", json={"path": path, **document})
                assert answer.json()["kernel"]["id"] == kernel_of(chat)


def test_a_chat_that_sleeps_can_be_named(house: House, new_lab: NewLab) -> None:
    asleep = house.session(network="off")
    with new_lab(asleep.id) as lab:
        assert lab.address.startswith(f"{lab.base}/lab/tree/{asleep.id}.ipynb?token=")
        entry = lab.entry(asleep.id)
        assert entry is not None
        with through(lab, entry["kernel"]["id"]) as page:
            assert page.run("6 * 7")[0] == "42"
        assert asleep.value("print('awake')") == "awake\n"


# what is passed on


def test_a_page_and_the_chat_share_their_variables(chat: Session, page: Client) -> None:
    assert page.ended(page.send("kernel_info_request", {}))[1].content["status"] == "ok"
    assert page.run("y = x + 22; y")[0] == "42"
    assert chat.value("print(y)") == "42\n"
    history = chat.client.get(f"{chat.path}/history").json()["executions"]
    assert [each.get("by") for each in history] == [None, "jupyter", None]


def test_buffers_go_both_ways(page: Client) -> None:
    found, _ = page.ended(page.execute(OPEN))
    opened = next(message for message in found if message.type == "comm_open")
    assert (opened.content["data"], list(opened.buffers)) == ({"n": 1}, [b"\xff\x00"])
    page.run(COMM)
    page.send("comm_open", {"comm_id": "c1", "target_name": "echo", "data": {}})
    header = {"msg_id": "m1", "msg_type": "comm_msg", "session": page.session, "username": "", "version": "5.3"}
    page.put(Message("shell", header, {}, {"comm_id": "c1", "data": {}}, {}, [b"\x00\x01\xfe"]))
    answer = page.until(lambda message: message.type == "comm_msg")
    assert (answer.content["data"], list(answer.buffers)) == ({"n": 2}, [b"\xff\x00"])
    assert page.run("seen")[0] == "[b'\\x00\\x01\\xfe']"


def test_input_and_interrupts_reach_the_kernel(lab: Lab, chat: Session, page: Client) -> None:
    id_ = page.execute("print(input('? '))")
    page.until(lambda message: message.type == "input_request")
    page.send("input_reply", {"value": "answered"}, "stdin")
    assert "answered" in str(page.ended(id_)[0])
    running = page.execute("while True: pass")
    page.until(lambda message: message.type == "execute_input" and message.of == running)
    with lab.client() as client:
        assert client.post(f"/api/kernels/{kernel_of(chat)}/interrupt").status_code == 204
    assert page.ended(running)[1].content["ename"] == "KeyboardInterrupt"


def test_the_debugger_s_messages_pass_on_control_and_iopub(page: Client) -> None:
    request = {"type": "request", "seq": 1, "command": "debugInfo", "arguments": {}}
    _, reply = page.ended(page.send("debug_request", request, "control"))
    assert (reply.channel, reply.type, reply.content["success"]) == ("control", "debug_reply", True)
    found, _ = page.ended(page.execute(DEBUG_EVENT))
    event = next(message for message in found if message.type == "debug_event")
    assert (event.channel, event.content["event"]) == ("iopub", "stopped")


# what is left alone


def test_shutting_down_lets_go_of_a_chat_and_ends_what_lab_began(house: House, lab: Lab, chat: Session) -> None:
    with lab.client() as client:
        body = {"path": "own.ipynb", "name": "own", "type": "notebook", "kernel": {"name": "python3"}}
        own = client.post("/api/sessions", json=body).raise_for_status().json()
        assert len(house.client.get("/api/kernels").json()) == 2
        entry = lab.entry(chat.id)
        assert entry is not None
        assert client.delete(f"/api/sessions/{entry['id']}").status_code == 204
        assert client.delete(f"/api/kernels/{kernel_of(chat)}").status_code == 204
        assert client.delete(f"/api/sessions/{own['id']}").status_code == 204
    assert [each["id"] for each in house.client.get("/api/kernels").json()] == [kernel_of(chat)]
    assert lab.entry(chat.id) is not None
    assert chat.value("print(x)") == "20\n"
    assert chat.look()["generation"] == 1


def test_the_end_of_lab_is_nobody_else_s(house: House, new_lab: NewLab, chat: Session) -> None:
    with new_lab() as lab:
        with lab.client() as client:
            client.post("/api/kernels", json={"name": "python3"}).raise_for_status()
        assert lab.entry(chat.id) is not None
        with through(lab, kernel_of(chat)) as page:
            running = page.execute("z = x + 1; print(input())")
            page.until(lambda message: message.type == "input_request")
            lab.stop()
    assert chat.answer(running, "from elsewhere").status_code == 202
    assert chat.value("print(x, z)") == "20 21\n"
    assert chat.look()["generation"] == 1
    assert [each["id"] for each in house.client.get("/api/kernels").json()] == [kernel_of(chat)]
    with new_lab() as lab:
        assert "z = x + 1" in sources(notebook(lab, chat.id))[1]


def test_lab_can_be_ended_from_inside(house: House, new_lab: NewLab, chat: Session) -> None:
    before = keys(house)
    with new_lab() as lab:
        assert lab.entry(chat.id) is not None
        with lab.client() as client:
            # As File, Shut Down does.
            client.post("/api/shutdown").raise_for_status()
        assert lab.process.wait(30) == 0, lab.output()
    assert keys(house) == before
    assert chat.value("print(x)") == "20\n"


def test_when_lab_s_server_dies_it_is_said(house: House, new_lab: NewLab) -> None:
    before = keys(house)
    with new_lab() as lab:
        os.kill(lab.server, signal.SIGKILL)
        assert lab.process.wait(30) == 1
        assert "kernelgw: JupyterLab ended with status -9." in lab.output()
    assert keys(house) == before


def test_a_chat_is_not_restarted_and_what_lab_began_is(house: House, lab: Lab, chat: Session) -> None:
    with lab.client() as client:
        assert lab.entry(chat.id) is not None
        refused = client.post(f"/api/kernels/{kernel_of(chat)}/restart")
        assert (refused.status_code, refused.json()["message"]) == (500, "Exception restarting kernel")
        own = client.post("/api/kernels", json={"name": "python3"}).raise_for_status().json()["id"]
        with through(lab, own) as page:
            page.run("y = 1")
            assert client.post(f"/api/kernels/{own}/restart").status_code == 200
            page.until(lambda message: message.content.get("execution_state") == "restarting")
            assert page.run("'y' in globals()")[0] == "False"
        assert client.delete(f"/api/kernels/{own}").status_code == 204
    assert chat.value("print(x)") == "20\n"
    assert chat.look()["generation"] == 1


# by which credential


def keys(house: House) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = house.client.get("/v1/keys").raise_for_status().json()["keys"]
    return [key for key in found if key["name"] == "kernelgw lab"]


def test_lab_has_a_key_that_is_taken_back(house: House, new_lab: NewLab, chat: Session) -> None:
    before = keys(house)
    with new_lab() as lab:
        (made,) = [key for key in keys(house) if key not in before]
        assert (made["scope"], made["session_id"]) == ("debug", None)
        assert made["expires_at"] is not None
        assert TOKEN not in proc.environment(lab.server)
        assert lab.entry(chat.id) is not None
    assert keys(house) == before


def test_when_its_key_is_revoked_a_page_is_let_go(house: House, new_lab: NewLab, chat: Session) -> None:
    before = keys(house)
    with new_lab() as lab:
        (made,) = [key for key in keys(house) if key not in before]
        assert lab.entry(chat.id) is not None
        with through(lab, kernel_of(chat)) as page:
            page.run("1")
            house.client.delete(f"/v1/keys/{made['id']}").raise_for_status()
            assert page.closed() == 1000
    assert chat.value("print(x)") == "20\n"


def test_whoever_may_make_no_keys_goes_on_with_their_own(house: House, new_lab: NewLab, chat: Session) -> None:
    other = house.session()
    other.run("1")
    wanted = {"scope": "debug", "name": "ada", "session_id": chat.id}
    made = house.client.post("/v1/keys", json=wanted).raise_for_status().json()
    with new_lab(chat.id, credential=made["key"]) as lab:
        assert lab.entry(chat.id) is not None
        assert lab.entry(other.id) is None
        with through(lab, kernel_of(chat)) as page:
            assert page.run("x + 1")[0] == "21"
    house.client.delete(f"/v1/keys/{made['id']}").raise_for_status()


# where the gateway is


def test_a_page_stays_while_the_gateway_is_restarted(make_gateway: MakeGateway, tmp_path: Path) -> None:
    data = tmp_path / "kept"
    first = make_gateway(data, on_stop="keep")
    with relay(first.url) as way, Lab(tmp_path / "lab", way.url) as lab:
        house = House(first, "restart")
        chat = house.session()
        chat.run("x = 20")
        kernel = kernel_of(chat)
        assert lab.entry(chat.id)
        with through(lab, kernel) as page:
            assert page.run("y = 1; y")[0] == "1"
            assert first.process is not None
            first.process.terminate()
            assert first.process.wait(20) == 0
            # Nobody can be asked now, and yet Lab loses nothing.
            assert [each["id"] for each in lab.get("/api/kernels")] == [kernel]
            waiting = page.execute("x + y")
            second = make_gateway(data)
            way.lead_to(second.url)
            assert "21" in str(page.ended(waiting)[0])
            house.close()
            house = House(second, "restart")
            assert Session(house.client, chat.id).look()["generation"] == 1
        house.delete_sessions()
        house.close()


def test_below_a_path_of_another_server(house: House, chat: Session, new_lab: NewLab) -> None:
    with relay(house.gateway.url, "/Gate/way") as way:
        there = f"http://localhost:{way.port}/Gate/way"
        with new_lab(chat.id, url=there) as lab, through(lab, kernel_of(chat)) as page:
            assert page.run("x + 1")[0] == "21"
        assert {path.partition("?")[0].rpartition("/")[0][:9] for path in way.asked()} == {"/Gate/way"}


# what is told to nobody


def test_the_token_is_on_no_command_line_and_in_no_page(lab: Lab) -> None:
    assert "jupyterlab" in proc.command(lab.server)
    assert "kgw_" in proc.environment(lab.server)
    assert "kgw_" not in proc.command(lab.server)
    assert TOKEN not in proc.command(lab.server)
    assert TOKEN not in proc.command(lab.process.pid)
    assert TOKEN not in lab.output()
    with lab.client() as client:
        pages = [client.get(path).text for path in ("/lab", "/api/status", "/api/kernels", "/api/sessions")]
        # What a terminal of Lab's would see.
        made = client.post("/api/terminals").raise_for_status().json()["name"]
        shell = next(pid for pid in proc.descendants(lab.server) if proc.parent(pid) == lab.server)
        pages.append(proc.environment(shell))
        client.delete(f"/api/terminals/{made}").raise_for_status()
    # Nor the key that Lab has in its place.
    assert not [page for page in pages if TOKEN in page or "kgw_" in page]
    assert "HOME=" in pages[-1]
