"""`jupyter_kernel_test` at the far end of a gateway, with the Bash kernel of a session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import jupyter_kernel_test
import pytest
from jupyter_kernel_client import KernelHttpManager

from tests.live.client import Session
from tests.live.gateway import TOKEN, Gateway
from tests.live.jupyter import kernel_of

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    # The clients' own.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="class", autouse=True)
def kernel(request: pytest.FixtureRequest, gateway: Gateway) -> Iterator[None]:
    with gateway.client() as client:
        session = Session(client, "bash-kernel-test")
        session.create(language="bash")
        session.value("true")
        manager = KernelHttpManager(server_url=gateway.url, token=TOKEN, kernel_id=kernel_of(session))
        kernel = manager.client
        kernel.start_channels()
        kernel.wait_for_ready(timeout=30)
        request.cls.km, request.cls.kc = manager, kernel
        yield
        kernel.stop_channels()
        session.delete()
    del request.cls.km, request.cls.kc


class TestBashKernel(jupyter_kernel_test.KernelTests):  # type: ignore[misc]
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

    @classmethod
    def setUpClass(cls) -> None:
        """`kernel` has it."""

    @classmethod
    def tearDownClass(cls) -> None:
        """`kernel` ends it."""
