"""`jupyter_kernel_test` for each language's kernel: behind a gateway, and by the provisioner under a stock manager."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import jupyter_kernel_test
import pytest
from jupyter_client.manager import start_new_kernel
from jupyter_kernel_client import KernelHttpManager

from kernelgw.provisioner.house import House
from tests.live.gateway import TOKEN, Gateway
from tests.live.languages import SHIPPED
from tests.live.provided import Desk

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    # The clients' own.
    pytest.mark.filterwarnings("default"),
]
START_S = 30


@pytest.fixture(scope="class")
def behind_a_gateway(request: pytest.FixtureRequest, gateway: Gateway) -> Iterator[None]:
    manager = KernelHttpManager(server_url=gateway.url, token=TOKEN)
    manager.start_kernel(request.cls.kernel_name)
    client = manager.client
    client.start_channels()
    client.wait_for_ready(timeout=START_S)
    request.cls.km, request.cls.kc = manager, client
    yield
    # Before the channels are closed, by which it asks.
    manager.shutdown_kernel(now=True)
    client.stop_channels()
    del request.cls.km, request.cls.kc


@pytest.fixture(scope="class")
def provided(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    desk = Desk(tmp_path_factory.mktemp("t"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in desk.environ.items():
            patch.setenv(name, value)
        desk.prepare()
        desk.install("--language", request.cls.language_name, name="ours")
        folder = desk.root / "notebooks"
        folder.mkdir()
        request.cls.km, request.cls.kc = start_new_kernel(START_S, "ours", cwd=str(folder))
        yield
        request.cls.kc.stop_channels()
        request.cls.km.shutdown_kernel(now=True)
        House.here().close()
    del request.cls.km, request.cls.kc


class Given:
    """`behind_a_gateway` or `provided` makes the kernel, and ends it."""

    @classmethod
    def setUpClass(cls) -> None:
        """Nothing of its own."""

    @classmethod
    def tearDownClass(cls) -> None:
        """Nothing either."""


class Python:
    kernel_name = "python3"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples: ClassVar[list[dict[str, Any]]] = [{"text": "zi", "matches": {"zip"}}]
    code_generate_error = "raise"
    code_execute_result: ClassVar[list[dict[str, str]]] = [{"code": "1+2+3", "result": "6"}]
    supported_history_operations = ("tail", "range", "search")
    code_history_pattern = "1?2*"
    code_inspect_sample = "zip"


class Bash:
    kernel_name = language_name = "bash"
    file_extension = ".sh"
    code_hello_world = "echo hello, world"
    code_stderr = "echo test >&2"
    code_generate_error = "(exit 3)"
    supported_history_operations = ("tail", "range", "search")
    code_history_pattern = "echo*"


class JavaScript:
    kernel_name = language_name = "javascript"
    file_extension = ".js"
    code_hello_world = "console.log('hello, world')"
    code_stderr = "console.error('test')"
    code_generate_error = "throw new Error('no')"
    code_execute_result: ClassVar[list[dict[str, str]]] = [{"code": "1 + 2 + 3", "result": "6"}]
    supported_history_operations = ("tail", "range", "search")
    code_history_pattern = "1 + 2*"


if "bash" in {each.name for each in SHIPPED}:

    @pytest.mark.usefixtures("behind_a_gateway")
    class TestBash(Given, Bash, jupyter_kernel_test.KernelTests):  # type: ignore[misc]
        pass

    @pytest.mark.usefixtures("provided")
    class TestBashProvided(Given, Bash, jupyter_kernel_test.KernelTests):  # type: ignore[misc]
        pass


if "javascript" in {each.name for each in SHIPPED}:

    @pytest.mark.usefixtures("behind_a_gateway")
    class TestJavaScript(Given, JavaScript, jupyter_kernel_test.KernelTests):  # type: ignore[misc]
        pass

    @pytest.mark.usefixtures("provided")
    class TestJavaScriptProvided(Given, JavaScript, jupyter_kernel_test.KernelTests):  # type: ignore[misc]
        pass


@pytest.mark.usefixtures("provided")
class TestPythonProvided(Given, Python, jupyter_kernel_test.KernelTests):  # type: ignore[misc]
    pass
