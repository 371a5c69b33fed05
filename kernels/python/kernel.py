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
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from ipykernel.ipkernel import IPythonKernel
from IPython.core import debugger, interactiveshell
from IPython.core.profiledir import ProfileDir
from traitlets.config import Config

from ..common import OnChassis, become, given_text, new_session
from ..linux import set_process_name
from .debugging import Debugger
from .given import Given
from .history import newest
from .interrupts import Interrupts
from .loops import KernelLoop, nest
from .shell import Shell, advise


class PythonKernel(OnChassis, IPythonKernel):
    """ipykernel with its waits taken out: output order is kept by one queue, so nothing needs a flush."""

    shell_class = Shell
    debugger_class = Debugger

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.interrupts = Interrupts()
        self.given = Given()
        for name, handler in self.shell_handlers.items():
            self.shell_handlers[name] = self.interrupts.hit(handler, self._answer_interrupted)

    def new_loop(self) -> KernelLoop:
        return KernelLoop(self.interrupts.hitting)

    def begins(self) -> None:
        self.interrupts.expect()

    async def claim(self, variables: dict[str, str], cwd: str | None) -> None:
        await super().claim(variables, cwd)
        self.shell.workspace = os.getcwd()

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
                self.interrupts.cancel(handler)
            yield

    def set_parent(self, ident: Any, parent: Any, channel: str = "shell") -> None:
        self._own_streams()
        super().set_parent(ident, parent, channel)

    def _own_streams(self) -> None:
        """In place of what code has set that cannot be written to, which ipykernel does not survive."""
        for name, own in (("stdout", self._stdout), ("stderr", self._stderr)):
            if not callable(getattr(getattr(sys, name, None), "flush", None)):
                setattr(sys, name, own)

    def raw_input(self, prompt: Any = "") -> str:
        return super().raw_input(prompt) if self.given.stream is None else self.given.line(str(prompt))

    def getpass(self, prompt: str = "", *args: Any, **kwargs: Any) -> str:
        return super().getpass(prompt, *args, **kwargs) if self.given.stream is None else self.given.line(prompt)

    async def do_execute(self, *args: Any, cell_meta: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        text = given_text(cell_meta)
        with self.given.reading(text, self.shell.user_ns) if text is not None else contextlib.nullcontext():
            reply = await super().do_execute(*args, cell_meta=cell_meta, **kwargs)
        self._own_streams()
        if self.chassis is not None and not self.chassis.is_kernel():
            # A process that the cell forked and that came out of it: there is one kernel, and this is not it.
            self.chassis.leave(0 if reply["status"] == "ok" else 1)
        if reply["status"] == "error" and (failure := self.shell.failure) is not None:
            self.shell.failure = None
            return {**reply, **failure}
        return reply


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
    kernel = PythonKernel.instance(config=config, log=log, profile_dir=profile, session=new_session())
    interactiveshell.warn = advise
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
    _own_environment(boot)
    _own_randomness()
    kernel = PythonKernel.instance()
    kernel.shell.workspace = os.getcwd()
    os.makedirs(kernel.profile_dir.location, mode=0o700, exist_ok=True)
    atexit._clear()
    nest()
    become(kernel, boot, fds)


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
