"""The seam to `jupyter_client`: what a kernel manager asks of whoever has the kernel's process.

Named in a kernelspec's metadata (`kernelgw kernelspec install`), made by the manager, one for each of its kernels, and
kept over restarts. See docs/provisioner.md.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jupyter_core.paths
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from traitlets import Any as AnyTrait
from traitlets import Dict, Enum, Unicode

from .. import environments
from ..errors import GatewayError, IsolationUnavailable
from ..kernel import recipe
from ..kernel.exits import Exit
from ..kernel.forkserver import kernels_folder
from ..kernel.kernel import Kernel
from ..languages import PYTHON
from ..sandbox.policy import WORKSPACE
from . import lending
from .house import ISOLATIONS, NAMES, WORKSPACES, House, Place, Wish

# Ends that somebody who looks at a notebook would otherwise not understand.
TOLD = frozenset({"out_of_memory", "workspace_full", "crashed", "killed", "server_lost", "unknown"})
# What says where things are outside of the sandbox, or how a program there is to be run.
NOT_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "VIRTUAL_ENV", "PYTHON", "LD_", "XDG_", "JUPYTER_")


class KernelNotProvided(RuntimeError):
    """Why there is no kernel, in words for whoever looks at the notebook."""


class Provisioner(KernelProvisionerBase):
    """A kernel out of a fork server, in a sandbox. Never a kernel without one, unless the kernelspec says so."""

    environment = Unicode("default", config=True, help="The environment that kernels are forked in.")
    language = Unicode(PYTHON, config=True, help="What the kernel speaks, as a gateway's sessions name it.")
    workspace = Enum(WORKSPACES, "cwd", config=True, help="cwd: the notebook's folder, to be written; empty: its own.")
    isolation = Enum(ISOLATIONS, "auto", config=True, help="none: no sandbox at all; auto never means that.")
    network = AnyTrait("off", config=True, help='off, packages, full, or {"allow": ["example.org"]}.')
    limits = Dict(config=True, help="What the kernel may use, by the names of the gateway's settings.")
    data_dir = Unicode("", config=True, help="Where people's own environments are declared.")

    def __init__(self, **kwargs: Any) -> None:
        unknown = set(kwargs) - set(NAMES) - {"kernel_id", "kernel_spec", "parent", "config", "log"}
        if unknown:
            raise KernelNotProvided(f"The kernelspec's provisioner has no option called {', '.join(sorted(unknown))}.")
        super().__init__(**kwargs)
        self._kernel: Kernel | None = None
        self._place: Place | None = None
        self._folder = Path()

    @property
    def _manager(self) -> Any:
        """Whose kernel it is."""
        return self.parent

    # its life, as the manager asks for it

    @property
    def has_process(self) -> bool:
        return self._kernel is not None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """`cmd` is what clients would run that know no provisioners; nobody does here."""
        kwargs.pop("extra_arguments", None)
        kwargs.pop("transport_encryption", None)
        return await super().pre_launch(cmd=list(self.kernel_spec.argv), **kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Raises KernelNotProvided."""
        folder = Path(kwargs.get("cwd") or Path.cwd()).resolve()
        try:
            house = House.here()
            place = await self._settle(house, folder)
            session = self._manager.session
            key, scheme = session.key.decode(), session.signature_scheme
            self._kernel = await house.do(place.launch(self._passed(kwargs.get("env", {})), key, scheme))
        except (GatewayError, ValueError, OSError, RuntimeError) as error:
            raise KernelNotProvided(_words(error)) from error
        self._kernel.exited = lambda end: None if house.closing else self._tell(end)
        door = place.door(key, scheme)
        told: Any = {"transport": "ipc", "ip": door.ip, **door.ports, "key": session.key, "signature_scheme": scheme}
        self.connection_info = told
        return self.connection_info

    async def _settle(self, house: House, folder: Path) -> Place:
        if self._place is not None and self._folder != folder:
            await self._leave()
        if self._place is None:
            wish = Wish(**{name: getattr(self, name) for name in NAMES})
            lent: Path | None = None
            read_only: tuple[str, ...] = ()
            if wish.workspace == "cwd":
                lent, read_only = folder, lending.kept(folder, self._private(house, folder), _programs(wish))
            self._place = await house.do(house.settle(wish, lent, read_only))
            self._folder = folder
        return self._place

    def _private(self, house: House, folder: Path) -> Iterable[Path]:
        """What no kernel may read: other kernels' keys and the server's token above all."""
        yield Path.home()
        yield from lending.private_in(folder)
        yield Path(tempfile.gettempdir())
        yield house.slot.folder
        yield house.slot.sockets
        yield Path(jupyter_core.paths.jupyter_runtime_dir())
        yield Path(jupyter_core.paths.jupyter_config_dir())
        if self._manager.connection_file:
            yield Path(self._manager.connection_file).parent

    async def poll(self) -> int | None:
        return 0 if self._kernel is None else _code(self._kernel)

    async def wait(self) -> int | None:
        """Returns once nothing is left of it."""
        kernel = self._kernel
        if kernel is None:
            return 0
        await House.here().do(kernel.ended())
        self._kernel = None
        return _code(kernel)

    async def send_signal(self, signum: int) -> None:
        if self._kernel is not None:
            kernel = self._kernel
            House.here().soon(lambda: kernel.server.tell("signal", id=kernel.id, signal=int(signum), group=True))

    async def kill(self, restart: bool = False) -> None:
        if self._kernel is not None:
            House.here().soon(self._kernel.end, "ended")

    async def terminate(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        if self._kernel is not None:
            await self.kill()
            await self.wait()
        if not restart:
            await self._leave()

    async def _leave(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            await House.here().do(place.leave())

    # what is told of it

    async def get_provisioner_info(self) -> dict[str, Any]:
        info = await super().get_provisioner_info()
        kernel = self._kernel
        return info | {"pid": kernel.pid if kernel else None, "process": os.getpid()}

    async def load_provisioner_info(self, provisioner_info: dict[str, Any]) -> None:
        """Where it is said to be. It has ended with the process that had it, so there is none to take over."""
        await super().load_provisioner_info(provisioner_info)

    def resolve_path(self, path: str) -> str | None:
        """A path of the kernel's on this side; None where it has no other side."""
        inside = Path(WORKSPACE, path)
        if self._place is None or not self._place.workspace.lent or not inside.is_relative_to(WORKSPACE):
            return None
        outside = self._folder / inside.relative_to(WORKSPACE)
        try:
            found = outside.resolve(strict=True)
        except OSError:
            return None
        return found.as_posix() if found.is_relative_to(self._folder) else None

    def _passed(self, variables: Mapping[str, str]) -> dict[str, str]:
        """What was said for this kernel: by its kernelspec, or by who starts it. Nothing that the client's process has
        itself, where tokens and keys are."""
        said = {name for name in variables if name not in os.environ} | set(self.kernel_spec.env)
        return {name: variables[name] for name in said & set(variables) if not name.startswith(NOT_PASSED)}

    def _tell(self, end: Exit) -> None:
        if end.cause in TOLD:
            self.log.warning("Kernel %s: %s %s", self.kernel_id, end.reason, end.hint)


def _programs(wish: Wish) -> Iterable[Path]:
    """What runs outside of any sandbox and could lie in a notebook's folder."""
    environment = environments.find(wish.environment, wish.settings().data_dir)
    yield Path(sys.prefix)
    yield environment.prefix
    yield from recipe.interpreter_of(environment)
    yield kernels_folder()
    yield Path(environments.__file__).parent


def _code(kernel: Kernel) -> int | None:
    """As of subprocess: negative for a signal, None as long as it lives."""
    end = kernel.exit
    if end is None:
        return None
    return end.code if end.code is not None else -(end.signal or signal.SIGKILL)


def _words(error: Exception) -> str:
    parts = [str(error) or type(error).__name__]
    if isinstance(error, GatewayError):
        parts.append(error.hint)
    if isinstance(error, IsolationUnavailable):
        parts.append("`kernelgw doctor` says what this machine can enforce.")
    return "kernelgw: " + " ".join(parts)
