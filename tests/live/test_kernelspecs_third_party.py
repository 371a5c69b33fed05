"""Kernels that others have made, as they are in their packages: Deno, xeus-python and Calysto Scheme."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelgw import environments

from .client import House, Session, displays, text, visiting
from .gateway import Gateway
from .jupyter import attached, kernel_of

# The environment takes 12 s to build on two cores, and 227 MB of disk.
pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(240)]
DECLARED = Path(__file__).parent / "environments"
# Its package brings no kernelspec; the one that it installs itself does not say how it is interrupted.
DENO = {
    "argv": ["deno", "jupyter", "--kernel", "--conn", "{connection_file}"],
    "display_name": "Deno",
    "language": "typescript",
    "interrupt_mode": "message",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    data_dir = tmp_path_factory.mktemp("others") / "data"
    (data_dir / "environments").mkdir(parents=True)
    for name in ("others.toml", "others.txt"):
        shutil.copy(DECLARED / name, data_dir / "environments")
    environments.build("others", lambda _: None, data_dir)
    folder = data_dir / "kernelspecs" / "deno"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(DENO))
    with Gateway(data_dir, pool_size=0, environment="others") as gateway:
        gateway.remember_baseline()
        yield gateway


@pytest.fixture
def house(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[House]:
    with visiting(gateway, request.node.name) as house:
        yield house


@pytest.mark.parametrize(
    ("language", "set_up", "look", "seen", "wrong", "error"),
    [
        ("deno", "const x: number = 41", "x + 1", "42", "throw new RangeError('bad')", ("RangeError", "bad")),
        ("xpython", "x = 41", "x + 1", "42", "1 / 0", ("ZeroDivisionError", "division by zero")),
        ("calysto_scheme", "(define x 41)", "(+ x 1)", "42", "(car 5)", ("RunTimeError", "car called on non-pair 5")),
    ],
)
def test_state_results_and_errors(
    house: House, language: str, set_up: str, look: str, seen: str, wrong: str, error: tuple[str, str]
) -> None:
    session = house.session(language=language)
    assert session.run(set_up)["status"] == "completed"
    assert displays(session.run(look)) == [{"text/plain": seen}]
    failed = session.run(wrong)
    assert (failed["status"], failed["error"]["name"], failed["error"]["value"]) == ("failed", *error)
    assert displays(session.run(look)) == [{"text/plain": seen}]


def test_several_in_one_chat_and_one_folder(house: House) -> None:
    session = house.session()
    session.value("open('shared.txt', 'w').write('from Python')")
    read = "await Deno.readTextFile('shared.txt')"
    assert displays(session.run(read, language="deno")) == [{"text/plain": '"from Python"'}]
    assert session.value("print(open('shared.txt').read())", language="xpython") == "from Python\n"
    assert {each["language"] for each in session.look()["kernels"]} == {"python", "deno", "xpython"}


@pytest.mark.parametrize(
    ("language", "set_up", "busy", "look"),
    [
        ("deno", "let kept = 1", "console.log('in'); while (true) {}", "console.log(kept)"),
        ("calysto_scheme", "(define kept 1)", '(begin (display "in") (let loop () (loop)))', "(display kept)"),
    ],
)
def test_an_interrupt_leaves_variables(house: House, language: str, set_up: str, busy: str, look: str) -> None:
    session = house.session(language=language)
    session.run(set_up)
    with session.stream(busy) as stream:
        stream.until_text("in")
        session.interrupt()
        assert stream.until("execution.completed").data["status"] == "interrupted"
    assert session.value(look).strip() == "1"


def test_xeus_python_ends_when_it_is_interrupted_and_that_is_said(house: House) -> None:
    session = house.session(language="xpython")
    with session.stream("print('in')\nwhile True: pass") as stream:
        stream.until_text("in")
        session.interrupt()
        completed = stream.until("execution.completed").data
    assert (completed["status"], completed["error"]["name"]) == ("killed", "KernelDied")
    assert "when it was interrupted" in completed["error"]["value"]
    assert session.value("print('again')") == "again\n"


def test_a_deadline_holds_whatever_a_kernel_does(house: House) -> None:
    """Deno's never ends, once it was interrupted while it waited."""
    session = house.session(language="deno")
    execution = session.run("await new Promise((done) => setTimeout(done, 60_000))", timeout_s=1)
    assert (execution["status"], execution["error"]["name"]) == ("timed_out", "KernelDied")


def test_a_question_and_its_answer(house: House) -> None:
    session = house.session(language="xpython")
    with session.stream("print('hello', input('name? '))", stdin=True) as stream:
        asked = stream.until("input.requested")
        assert asked.data["prompt"] == "name? "
        session.answer(asked.data["execution_id"], "Ada")
        stream.until_text("hello Ada")


def test_a_large_output_is_whole(house: House) -> None:
    """In one message; of very many small ones these kernels lose some themselves, whoever listens."""
    session = house.session(language="xpython")
    printed = session.value("print('\\n'.join(f'{i} {\"x\" * 40}' for i in range(20_000)))").splitlines()
    assert printed == [f"{number} {'x' * 40}" for number in range(20_000)]


@pytest.mark.parametrize(
    ("language", "code"),
    [("deno", "Deno.exit(3)"), ("xpython", "import os; os._exit(3)"), ("calysto_scheme", '(import "os") (os._exit 3)')],
)
def test_its_death_is_told(house: House, language: str, code: str) -> None:
    execution = house.session().run(code, language=language)
    assert (execution["status"], execution["error"]["name"]) == ("killed", "KernelDied")
    assert "exited with code 3" in execution["error"]["value"]


def test_they_are_closed_in(house: House, gateway: Gateway) -> None:
    session = house.session(language="deno")
    failed = session.run(f"[...Deno.readDirSync({json.dumps(str(gateway.data_dir / 'run'))})]")
    assert failed["error"]["name"] == "NotFound"
    failed = session.run("await Deno.connect({hostname: '192.0.2.1', port: 80})")
    assert "unreachable" in failed["error"]["value"]
    assert displays(session.run("Deno.uid()")) == [{"text/plain": "1000"}]


def test_jupyter_s_clients_have_them_by_name(house: House) -> None:
    specs = house.client.get("/api/kernelspecs").json()["kernelspecs"]
    assert {"python3", "deno", "xpython", "xpython-raw", "calysto_scheme"} <= specs.keys()
    assert specs["calysto_scheme"]["spec"]["language"] == "scheme"
    assert specs["deno"]["spec"]["display_name"] == "Deno (kernelgw)"
    made = house.client.post("/api/kernels", json={"name": "calysto_scheme"}).raise_for_status().json()
    assert made["name"] == "calysto_scheme"
    with attached(house.gateway, made["id"]) as client:
        _, info = client.ended(client.send("kernel_info_request", {}))
        assert info.content["language_info"]["name"] == "scheme"
        assert client.run("(+ 20 22)")[0] == "42"
        _, done = client.ended(client.send("complete_request", {"code": "(call-with", "cursor_pos": 10}))
        assert any("call-with" in match for match in done.content["matches"])
    assert house.client.delete(f"/api/kernels/{made['id']}").status_code == 204


def test_a_notebook_of_it_names_it(house: House) -> None:
    session: Session = house.session(language="calysto_scheme")
    assert text(session.run('(display "x")')) == "x"
    metadata = house.client.get(f"{session.path}/notebook").json()["metadata"]
    assert metadata["kernelspec"]["name"] == "calysto_scheme"
    assert metadata["kernelspec"]["language"] == metadata["language_info"]["name"] == "scheme"
    assert kernel_of(session)
