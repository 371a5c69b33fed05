"""`jupyter_kernel_test` with our JavaScript kernel, at the far end of a gateway as in test_kernel_protocol.py."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, ClassVar

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
        session = Session(client, f"contract-{uuid.uuid4().hex[:8]}")
        session.create(language="javascript")
        session.run("0")
        manager = KernelHttpManager(server_url=gateway.url, token=TOKEN, kernel_id=kernel_of(session))
        client_ = manager.client
        client_.start_channels()
        client_.wait_for_ready(timeout=30)
        request.cls.km, request.cls.kc = manager, client_
        yield
        client_.stop_channels()
        del request.cls.km, request.cls.kc
        session.delete()


class TestJavaScriptKernel(jupyter_kernel_test.KernelTests):  # type: ignore[misc]
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

    @classmethod
    def setUpClass(cls) -> None:
        """`kernel` has made it."""

    @classmethod
    def tearDownClass(cls) -> None:
        """`kernel` ends it."""
