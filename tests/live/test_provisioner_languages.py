"""Other languages' kernels of ours under a stock kernel manager, and with no gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelgw.cli import main
from kernelgw.provisioner.house import House

from .languages import SHIPPED, Sample
from .odd import declare
from .provided import TIMEOUT_S, Desk, Notebook, opened

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("l"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in desk.environ.items():
            patch.setenv(name, value)
        declare(desk.data_dir, "odd", interrupt_mode="message")
        desk.prepare()
        for sample in SHIPPED:
            desk.install("--language", sample.name, name=f"kernelgw-{sample.name}")
        desk.install("--language", "odd", name="kernelgw-odd")
        yield desk
        House.here().close()


@pytest.fixture
def folder(desk: Desk, tmp_path: Path) -> Path:
    del desk
    made = tmp_path / "notebooks"
    made.mkdir()
    return made


@pytest.fixture(params=SHIPPED, ids=lambda sample: sample.name)
def sample(request: pytest.FixtureRequest) -> Sample:
    found: Sample = request.param
    return found


@pytest.fixture
def notebook(folder: Path, sample: Sample) -> Iterator[Notebook]:
    with opened(folder, f"kernelgw-{sample.name}") as notebook:
        yield notebook


def test_what_a_notebook_does(notebook: Notebook, folder: Path, sample: Sample) -> None:
    info = notebook.client.kernel_info(reply=True, timeout=TIMEOUT_S)["content"]
    assert info["language_info"]["name"] == sample.name
    assert notebook.value(sample.hello) == "hello\n"
    notebook.value(sample.complain)
    streams = [each["content"]["name"] for each in notebook.outputs if each["msg_type"] == "stream"]
    assert streams == ["stderr"]
    notebook.value(sample.keep)
    assert notebook.value(sample.look) == "42\n"
    assert notebook.run(sample.wrong, stop_on_error=False)["ename"] == sample.error
    notebook.value(sample.written)
    assert (folder / "made.txt").read_text().strip() == "made"


@pytest.mark.parametrize("by", ["signal", "message"])
def test_an_interrupt(notebook: Notebook, sample: Sample, by: str) -> None:
    notebook.run(sample.keep)
    request = notebook.client.execute(sample.busy)
    notebook.until("stream")
    if by == "signal":
        notebook.manager.interrupt_kernel()
    else:
        session, channel = notebook.client.session, notebook.client.control_channel
        channel.send(session.msg("interrupt_request", {}))
    notebook.until_idle(request)
    assert notebook.client.get_shell_msg(timeout=TIMEOUT_S)["content"]["status"] == "error"
    assert notebook.value(sample.look) == "42\n"


def test_a_restart_and_a_shutdown(notebook: Notebook, sample: Sample) -> None:
    notebook.run(sample.keep)
    notebook.manager.restart_kernel(now=False)
    notebook.client.wait_for_ready(timeout=TIMEOUT_S)
    notebook.run(sample.look)
    assert "42" not in notebook.text
    notebook.manager.shutdown_kernel(now=False)
    assert not notebook.manager.is_alive()


def test_a_kernel_of_others_too(folder: Path) -> None:
    with opened(folder, "kernelgw-odd") as notebook:
        assert notebook.client.kernel_info(reply=True, timeout=TIMEOUT_S)["content"]["language_info"]["name"] == "odd"
        assert notebook.value("say hello") == "hello"
        assert notebook.value("where").split()[0] == "/workspace"
        answer = notebook.value("ask", stdin_hook=lambda _: notebook.client.input("Ada"))
        assert answer == "you said 'Ada'\n"
        notebook.manager.shutdown_kernel(now=False)
        assert not notebook.manager.is_alive()


def test_what_is_installed_says_its_language(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--prefix", str(desk.root / "prefix")]
    for wanted, name, language in (("sh", "kernelgw-bash", "bash"), ("js", "kernelgw-javascript", "javascript")):
        assert main(["kernelspec", "install", *options, "--language", wanted]) == 0
        spec = json.loads((desk.root / "prefix/share/jupyter/kernels" / name / "kernel.json").read_text())
        assert spec["language"] == language
        assert spec["metadata"]["debugger"] is False
        assert spec["metadata"]["kernel_provisioner"]["config"]["language"] == language
    for wrong in ("cobol", "typescript"):
        assert main(["kernelspec", "install", *options, "--language", wrong]) != 0
        assert f"there is no kernel of '{wrong}' here" in capsys.readouterr().err
