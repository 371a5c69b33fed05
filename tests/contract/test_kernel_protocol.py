"""`jupyter_kernel_test`, the suite that kernels are tried with, for each language: at the far end of a gateway, over
our HTTP and WebSocket, and by the provisioner under a stock manager."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import jupyter_kernel_test
import pytest
from jupyter_client.manager import start_new_kernel
from jupyter_kernel_client import KernelHttpManager

from kernelgw.provisioner.house import House
from tests.live.gateway import TOKEN, Gateway
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
    completion_samples: ClassVar[list[dict[str, Any]]] = [
        {"text": "zi", "matches": {"zip"}},
        {"text": "import sys; sys.stdo", "matches": {"stdout"}},
    ]
    complete_code_samples: ClassVar[list[str]] = ["1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n"]
    incomplete_code_samples: ClassVar[list[str]] = ["print('''hello", "def f(x):\n  x*2"]
    invalid_code_samples: ClassVar[list[str]] = ["import = 7q"]
    code_page_something = "zip?"
    code_generate_error = "raise"
    code_execute_result: ClassVar[list[dict[str, str]]] = [
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
    ]
    code_display_data: ClassVar[list[dict[str, str]]] = [
        {"code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))", "mime": "text/html"},
        {"code": "from IPython.display import Math, display; display(Math('\\\\frac{1}{2}'))", "mime": "text/latex"},
    ]
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"


class Bash:
    kernel_name = "bash"
    language_name = "bash"
    file_extension = ".sh"
    code_hello_world = "echo 'hello, world'"
    code_stderr = "echo test >&2"
    completion_samples: ClassVar[list[dict[str, object]]] = [
        {"text": "ech", "matches": {"echo"}},
        {"text": "echo $HOM", "matches": {"$HOME"}},
        {"text": "x=1; ls /usr/bi", "matches": {"/usr/bin/"}},
    ]
    complete_code_samples: ClassVar[list[str]] = ["echo 1", "f() {\n  echo\n}", "cat <<X\na\nX"]
    incomplete_code_samples: ClassVar[list[str]] = ["for i in 1 2", "echo 'a", "if true; then", "cat <<X\na", "a \\"]
    invalid_code_samples: ClassVar[list[str]] = ["fi", "echo )"]
    code_generate_error = "false"
    code_display_data: ClassVar[list[dict[str, str]]] = [
        {"code": "echo '<b>x</b>' >/tmp/a.html; display /tmp/a.html", "mime": "text/html"},
        {"code": "echo '{}' >/tmp/a.json; display /tmp/a.json", "mime": "application/json"},
    ]
    code_history_pattern = "ech*"
    supported_history_operations = ("tail", "range", "search")


class JavaScript:
    kernel_name = "javascript"
    language_name = "javascript"
    file_extension = ".js"
    code_hello_world = "console.log('hello, world')"
    code_stderr = "console.error('test')"
    completion_samples: ClassVar[list[dict[str, Any]]] = [
        {"text": "enc", "matches": {"encodeURI", "encodeURIComponent"}},
        {"text": "JSON.str", "matches": {"stringify"}},
        {"text": "process.versions.v8.toUpp", "matches": {"toUpperCase"}},
        {"text": "require('node:chil", "matches": {"node:child_process"}},
    ]
    complete_code_samples: ClassVar[list[str]] = [
        "1",
        "console.log('hello, world')",
        "function f(x) {\n  return x * 2\n}",
        "await null",
        "import fs from 'fs'\nfs",
    ]
    incomplete_code_samples: ClassVar[list[str]] = [
        "console.log(`hello",
        "function f(x) {\n  x * 2",
        "const x =",
        "[1,",
        "/* x",
    ]
    invalid_code_samples: ClassVar[list[str]] = ["import = 7q", "let 5 = x", "a b"]
    code_generate_error = "throw new Error('e')"
    code_execute_result: ClassVar[list[dict[str, str]]] = [
        {"code": "1+2+3", "result": "6"},
        {"code": "[1, 2, 3].map(n => n * n)", "result": "[ 1, 4, 9 ]"},
    ]
    code_display_data: ClassVar[list[dict[str, str]]] = [
        {"code": "display.html('<b>test</b>')", "mime": "text/html"},
        {"code": "display.latex('\\\\frac{1}{2}')", "mime": "text/latex"},
    ]
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "JSON.stringify"
    code_clear_output = "display.clear()"


@pytest.mark.usefixtures("behind_a_gateway")
class TestPython(Given, Python, jupyter_kernel_test.KernelTests):  # type: ignore[misc]
    pass


@pytest.mark.usefixtures("behind_a_gateway")
class TestBash(Given, Bash, jupyter_kernel_test.KernelTests):  # type: ignore[misc]
    pass


@pytest.mark.usefixtures("provided")
class TestBashProvided(Given, Bash, jupyter_kernel_test.KernelTests):  # type: ignore[misc]
    pass


@pytest.mark.usefixtures("behind_a_gateway")
class TestJavaScript(Given, JavaScript, jupyter_kernel_test.KernelTests):  # type: ignore[misc]
    pass


@pytest.mark.usefixtures("provided")
class TestJavaScriptProvided(Given, JavaScript, jupyter_kernel_test.KernelTests):  # type: ignore[misc]
    pass


@pytest.mark.usefixtures("provided")
class TestPythonProvided(Given, Python, jupyter_kernel_test.KernelTests):  # type: ignore[misc]
    pass
