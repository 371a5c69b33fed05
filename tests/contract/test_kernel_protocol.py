"""`jupyter_kernel_test`, the suite that kernels are tried with, at the far end of a gateway: its client is
`jupyter_kernel_client`'s, over our HTTP and WebSocket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import jupyter_kernel_test
import pytest
from jupyter_kernel_client import KernelHttpManager

from tests.live.gateway import TOKEN, Gateway

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    # The clients' own.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="class", autouse=True)
def kernel(request: pytest.FixtureRequest, gateway: Gateway) -> Iterator[None]:
    manager = KernelHttpManager(server_url=gateway.url, token=TOKEN)
    manager.start_kernel("python3")
    client = manager.client
    client.start_channels()
    client.wait_for_ready(timeout=30)
    request.cls.km, request.cls.kc = manager, client
    yield
    # Before the channels are closed, by which it asks.
    manager.shutdown_kernel(now=True)
    client.stop_channels()
    del request.cls.km, request.cls.kc


class TestPythonKernel(jupyter_kernel_test.KernelTests):  # type: ignore[misc]
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

    @classmethod
    def setUpClass(cls) -> None:
        """`kernel` has made it."""

    @classmethod
    def tearDownClass(cls) -> None:
        """`kernel` ends it."""
