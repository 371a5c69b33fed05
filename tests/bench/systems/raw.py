"""Raw jupyter_client over ipc: no server at all, the floor that a gateway over stock ipykernel could reach."""

import contextlib
import json
import queue
import time
import uuid
from pathlib import Path

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from tests.bench.environments import Environment
from tests.bench.systems.base import OnText, Outcome

NUDGE_S = 0.1
LOST_AFTER_S = 3.0
"""Output or the idle status is given up this long after the reply, when nothing more comes: ZeroMQ dropped it."""


class RawSession:
    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self._manager = manager
        self._client = client

    def run(self, code: str, on_text: OnText | None = None, timeout: float = 60.0) -> Outcome:
        asked = self._client.execute(code)
        outcome = Outcome()
        replied = False
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=LOST_AFTER_S if replied else 1.0)
            except queue.Empty:
                # Without an idle status the reply is the only sign of an end.
                if replied:
                    outcome.finished = False
                    return outcome
                replied = self._take_reply(asked, 0.0)
                timeout -= 1.0
                if timeout <= 0:
                    raise
                continue
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind = message["msg_type"]
            if kind == "status" and message["content"]["execution_state"] == "idle":
                if not replied:
                    self._take_reply(asked, timeout)
                return outcome
            outcome.add_output(kind, message["content"], on_text)

    def pid(self) -> int:
        return int(self.run("import os; os.getpid()").results[0])

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def _take_reply(self, asked: str, timeout: float) -> bool:
        """Passes over replies to what was asked before, in the handshake."""
        try:
            while self._client.get_shell_msg(timeout=timeout)["parent_header"].get("msg_id") != asked:
                pass
        except queue.Empty:
            return False
        return True


class Raw:
    name = "raw"
    title = "raw jupyter_client, ipc"

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def start(self, folder: Path) -> None:
        self._scratch = folder
        self._environ = self._environment.environ(self._scratch)
        self._specs = KernelSpecManager(kernel_dirs=[str(self._stock_kernelspec().parent)])

    def open(self) -> RawSession:
        stem = self._scratch / uuid.uuid4().hex[:12]
        manager = KernelManager(
            kernel_name="stock",
            kernel_spec_manager=self._specs,
            transport="ipc",
            connection_file=f"{stem}.json",
        )
        manager.start_kernel(env=self._environ, cwd=str(self._scratch))
        client = manager.client()
        client.start_channels()
        self.wait(client)
        return RawSession(manager, client)

    def wait(self, client: BlockingKernelClient) -> None:
        client.wait_for_ready(timeout=120)

    def settle(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def _stock_kernelspec(self) -> Path:
        """The venv's own kernelspec with its interpreter spelled out; `python` would mean the one we run on."""
        stock = self._environment.root / "share/jupyter/kernels/python3/kernel.json"
        spec = json.loads(stock.read_text())
        spec["argv"][0] = self._environment.command("python")
        folder = self._scratch / "kernels" / "stock"
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps(spec))
        return folder


class OwnHandshake(Raw):
    """Without the waits that `wait_for_ready` has built in: as good as jupyter_client gets from outside."""

    name = "raw_handshake"
    title = "raw jupyter_client, own handshake"

    def wait(self, client: BlockingKernelClient) -> None:
        deadline = time.monotonic() + 120
        asked = set()
        while time.monotonic() < deadline:
            asked.add(client.kernel_info())
            with contextlib.suppress(queue.Empty):
                while True:
                    message = client.get_iopub_msg(timeout=NUDGE_S)
                    idle = message["content"].get("execution_state") == "idle"
                    if idle and message["parent_header"].get("msg_id") in asked:
                        return
        raise TimeoutError("the kernel was not ready in time")
