"""ipykernel's own kernel, built in the fork server without a transport and attached in the forked child."""

from __future__ import annotations

import atexit
import contextlib
import io
import logging
import os
import pdb
import random
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from ipykernel.ipkernel import IPythonKernel
from IPython.core import debugger
from IPython.core.profiledir import ProfileDir
from jupyter_client.session import Session
from traitlets.config import Config

from ..changes import Changes
from ..chassis import Chassis
from ..linux import set_process_name
from ..packing import pack
from .debugging import Debugger
from .history import newest
from .interrupts import Interrupts
from .shell import Shell

# Requests that are known by their id when they come again: one runs, and the others wait at the gateway.
FEW = 16


class _NoSubshells:
    """Stands where ipykernel looks for its shell channel thread; there is none, and no subshells."""

    def __init__(self) -> None:
        self.parent_thread = threading.main_thread()

    def __bool__(self) -> bool:
        return False


class OneVoice(Session):
    """Replies to cells and questions take their place in the one order of all that is said, which is kept and can be
    had again; each by a socket of its own would be lost with whoever was connected."""

    output: Any = None
    replied = False

    def send(self, stream: Any, msg_or_type: Any, *args: Any, **kwargs: Any) -> Any:
        if msg_or_type in ("execute_reply", "input_request") and self.output is not None:
            stream, kwargs["ident"] = self.output, str(msg_or_type).encode()
        sent = super().send(stream, msg_or_type, *args, **kwargs)
        self.replied = self.replied or msg_or_type == "execute_reply"
        return sent


class PythonKernel(IPythonKernel):
    """ipykernel with its waits taken out: output order is kept by one queue, so nothing needs a flush."""

    # The sleep and the two flushes per cell that it follows were there to let output overtake the reply.
    _execute_sleep = 0.0
    shell_class = Shell
    debugger_class = Debugger
    chassis: Chassis | None = None
    changes: Changes | None = None

    @property
    def _supports_kernel_subshells(self) -> bool:
        return False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(shell_channel_thread=_NoSubshells(), **kwargs)
        self.shell_handlers["claim_request"] = self.claim_request
        self.interrupts = Interrupts()
        for name, handler in self.shell_handlers.items():
            self.shell_handlers[name] = self.interrupts.hit(handler, self._answer_interrupted)
        self._begun: deque[str] = deque(maxlen=FEW)

    async def claim_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Makes a pooled kernel the session's own: its variables of the environment and its directory."""
        content = parent["content"]
        os.environ.update(content.get("env", {}))
        if cwd := content.get("cwd"):
            os.makedirs(cwd, exist_ok=True)
            os.chdir(cwd)
        self.session.send(stream, "claim_reply", {"status": "ok"}, parent, ident=ident)

    async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
        # A gateway that came back asks again for what may never have arrived.
        if parent["header"]["msg_id"] in self._begun:
            return
        self._begun.append(parent["header"]["msg_id"])
        await super().execute_request(stream, ident, parent)

    def do_history(
        self,
        hist_access_type: str,
        output: bool,
        raw: bool,
        session: int = 0,
        start: int = 0,
        stop: int | None = None,
        n: int | None = None,
        pattern: str | None = None,
        unique: bool = False,
    ) -> Any:
        if hist_access_type not in ("tail", "search"):
            return super().do_history(hist_access_type, output, raw, session, start, stop)
        found = newest(self.shell.history_manager, output, raw, n, pattern or "*", unique)
        return {"status": "ok", "history": found}

    def _answer_interrupted(self, stream: Any, ident: Any, parent: Any) -> None:
        """IPython answers for what interrupts the code, and for nothing that comes between it and the request."""
        if self.session.replied or parent["header"]["msg_type"] != "execute_request":
            return
        error = {"ename": "KeyboardInterrupt", "evalue": "", "traceback": ["KeyboardInterrupt"]}
        self.session.send(self.iopub_socket, "error", error, parent, ident=self._topic("error"))
        count = self.shell.execution_count - 1
        reply = {"status": "error", **error, "execution_count": count, "user_expressions": {}, "payload": []}
        self.session.send(stream, "execute_reply", reply, parent, ident=ident)

    @contextlib.contextmanager
    def _cancel_on_sigint(self, future: Any) -> Iterator[None]:
        with super()._cancel_on_sigint(future):
            if callable(handler := signal.getsignal(signal.SIGINT)):
                signal.signal(signal.SIGINT, self.interrupts.around(handler, awaits=True))
            yield

    def pre_handler_hook(self) -> None:
        """Handlers let interrupts in by themselves: one that came before would end the kernel's loop."""

    def post_handler_hook(self) -> None:
        """Each has shut them out again."""

    def set_parent(self, ident: Any, parent: Any, channel: str = "shell") -> None:
        # Code may have set them to None, which IPython does not survive.
        sys.stdout = sys.stdout or self._stdout
        sys.stderr = sys.stderr or self._stderr
        super().set_parent(ident, parent, channel)

    async def do_execute(self, *args: Any, **kwargs: Any) -> Any:
        reply = await super().do_execute(*args, **kwargs)
        if self.chassis is not None and not self.chassis.is_kernel():
            # A process that the cell forked and that came out of it: there is one kernel, and this is not it.
            self.chassis.leave(0 if reply["status"] == "ok" else 1)
        return reply

    def _publish_status(self, status: str, channel: str, parent: Any = None) -> None:
        if status == "busy" and channel == "shell":
            self.session.replied = False
            self.interrupts.expect()
        if status == "idle" and channel == "shell" and self.chassis is not None:
            self.chassis.end_of_request()
            self._tell_changes()
        super()._publish_status(status, channel, parent)

    def _tell_changes(self) -> None:
        """Of the workspace's files, before the cell counts as over; by the one voice, so that it is never lost."""
        parent = self.get_parent("shell")
        if self.changes is None or parent.get("header", {}).get("msg_type") != "execute_request":
            return
        if (found := self.changes.take()) is not None:
            self.session.send(self.iopub_socket, "files_changed", found, parent)


def build() -> PythonKernel:
    """The interpreter state, once a fork server: shell, formatters, comm manager. No thread, no socket."""
    config = Config()
    # A history file would show one chat's code to the next; In and Out need no database.
    config.HistoryManager.enabled = False
    log = logging.getLogger("kernelgw.kernel")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    # Imported here because the kernel would do so after the fork.
    import tornado.platform.asyncio  # noqa: F401

    # pdb asks by input() then, and can be interrupted.
    debugger.Pdb = pdb.Pdb = debugger.InterruptiblePdb  # type: ignore[misc]
    pdb.set_trace = debugger.set_trace
    # `run` makes the same directory inside the sandbox.
    profile = ProfileDir(location=os.path.join(os.environ["IPYTHONDIR"], "profile"))
    session = OneVoice(key=b"", username="kernel", pack=pack)
    kernel = PythonKernel.instance(config=config, log=log, profile_dir=profile, session=session)
    # Last, since the debugger that the kernel has just imported set its own.
    sys.breakpointhook = _breakpoint
    return kernel


def _breakpoint(*_: Any, **__: Any) -> Any:
    """debugpy's hook does nothing unless a debugger is attached, which brings it; without one, ask in the chat."""
    return debugger.set_trace(sys._getframe().f_back)


class _Sink:
    """Stands for the iopub socket during a rehearsal."""

    def send_multipart(self, *_: Any, **__: Any) -> None:
        return None


def rehearse(cells: Sequence[str]) -> None:
    """Runs cells with nobody listening and forgets what they left, so that the first real ones find all warm."""
    shell = PythonKernel.instance().shell
    publishers = (shell.displayhook, shell.display_pub)
    before = set(shell.user_ns)
    for publisher in publishers:
        publisher.session, publisher.pub_socket = PythonKernel.instance().session, _Sink()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for cell in cells:
            shell.run_cell(cell, store_history=True)
        shell.displayhook.flush()
    for publisher in publishers:
        publisher.session = publisher.pub_socket = None
    _forget(shell, before)


def _forget(shell: Any, names: set[str]) -> None:
    """Back to a first cell that has no past; `names` are what the namespace held before."""
    shell.execution_count = 1
    history = shell.history_manager
    history.input_hist_parsed[:] = history.input_hist_raw[:] = [""]
    history.output_hist.clear()
    history._i = history._ii = history._iii = history._i00 = ""
    for name in set(shell.user_ns) - names:
        del shell.user_ns[name]
        shell.user_ns_hidden.pop(name, None)
    # The display hook takes it for the user's own doing when these differ, and stops setting them.
    for namespace in (shell.user_ns, shell.user_ns_hidden):
        namespace.update(_i="", _ii="", _iii="", _="", __="", ___="")
    shell.displayhook._ = shell.displayhook.__ = shell.displayhook.___ = ""
    shell._last_traceback = None
    sys.last_type = sys.last_value = sys.last_traceback = None


def run(boot: dict[str, Any], fds: list[Any]) -> NoReturn:
    """Becomes the kernel in a freshly sealed child. `fds`: the listeners (or where they are), then the crash log."""
    set_process_name("kernel")
    *listeners, log_fd = fds
    _own_environment(boot)
    _own_randomness()
    kernel = PythonKernel.instance()
    os.makedirs(kernel.profile_dir.location, mode=0o700, exist_ok=True)
    atexit._clear()
    chassis = Chassis(kernel, log_fd)
    kernel.chassis = chassis
    plain = boot.get("plain")
    # A gateway is told of files; plain Jupyter has no word for it.
    kernel.changes = None if plain else Changes(os.getcwd())
    chassis.attach(dict(zip(boot["channels"], listeners, strict=True)), plain)
    code = chassis.serve()
    os._exit(code)


def _own_environment(boot: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(boot["env"])
    sys.argv[:] = [""]
    if "" not in sys.path:
        sys.path.insert(0, "")
    for folder in filter(None, os.environ.get("PYTHONPATH", "").split(":")):
        # A folder that is not there is remembered as such, also when something is installed into it later.
        with contextlib.suppress(OSError):
            os.makedirs(folder, exist_ok=True)
        sys.path.insert(1, folder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _own_randomness() -> None:
    # Every child of one fork server would otherwise draw the same numbers.
    random.seed()
    for name in ("numpy.random", "torch"):
        if module := sys.modules.get(name):
            module.seed()
