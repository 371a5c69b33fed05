"""`kernelgw kernelspec`: tells Jupyter's clients of our kernels, by kernelspecs that name our provisioner."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .environments import Environment, find
from .errors import GatewayError
from .languages import PYTHON, Language
from .provisioner.house import Wish
from .settings import BadSetting

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpecManager

# As in pyproject.toml, where it is named for jupyter_client to find.
PROVISIONER = "kernelgw-provisioner"
# And the language behind it.
NAME = "kernelgw-"
REFUSED = 2


def kernelspec(arguments: argparse.Namespace) -> int:
    """Exit status 1 when there is nothing of that name."""
    return int(_ACTIONS[arguments.action](arguments))


def spec(environment: Environment, language: Language, config: dict[str, Any]) -> dict[str, Any]:
    """A kernel.json. Clients that know no provisioners would run its `argv`: it says so, and gives them no kernel."""
    return {
        "argv": [sys.executable, "-I", "-m", "kernelgw.kernelspecs", "{connection_file}"],
        "display_name": f"{language.title} (kernelgw, {environment.name})",
        "language": language.known_as,
        "interrupt_mode": "signal",
        "metadata": {
            "debugger": language.name == PYTHON,
            "kernel_provisioner": {"provisioner_name": PROVISIONER, "config": config},
        },
    }


def _install(arguments: argparse.Namespace) -> int:
    config = {name: getattr(arguments, name) for name in ("language", "workspace", "isolation")}
    config |= {"environment": arguments.env, "network": _network(arguments.network), "limits": _limits(arguments.limit)}
    if arguments.data_dir is not None:
        config["data_dir"] = str(arguments.data_dir.absolute())
    # What it cannot be is said now, and not when a kernel starts.
    wish = Wish(**config)
    try:
        environment = find(arguments.env, wish.settings().data_dir)
    except ValueError as error:
        raise BadSetting(str(error)) from None
    language = wish.spoken(environment)
    config["language"] = language.name
    name = arguments.name or f"{NAME}{language.name}"
    prefix = sys.prefix if arguments.sys_prefix else arguments.prefix
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "kernel.json").write_text(json.dumps(spec(environment, language, config), indent=1) + "\n")
        Path(folder).chmod(0o755)
        try:
            found = _manager().install_kernel_spec(folder, name, user=arguments.user, prefix=prefix)
        except (OSError, ValueError) as error:
            raise GatewayError(
                f"The kernelspec cannot be installed: {error}.", "Choose a place with --user, --sys-prefix or --prefix."
            ) from None
    print(f"{name}: {found}")
    if arguments.isolation == "none":
        print("WARNING: --isolation none: its kernels run as whoever starts them, unprotected.", file=sys.stderr)
    return 0


def _network(wanted: str) -> Any:
    return wanted if wanted in ("off", "packages", "full") else {"allow": wanted.split(",")}


def _limits(wanted: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in wanted:
        name, _, number = each.partition("=")
        try:
            found[name] = float(number) if "." in number else int(number)
        except ValueError:
            raise BadSetting(f"--limit is NAME=NUMBER, not {each!r}") from None
    return found


def _list(arguments: argparse.Namespace) -> int:
    for name, folder in sorted(_ours().items()):
        config = _config(folder)
        settings = ", ".join(f"{key}: {json.dumps(value)}" for key, value in config.items() if value)
        print(f"{name}  {folder}\n  {settings}")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    if arguments.name not in _ours():
        print(f"kernelgw: no kernelspec of ours is called {arguments.name}", file=sys.stderr)
        return 1
    print(f"removed {_manager().remove_kernel_spec(arguments.name)}")
    return 0


def _ours() -> dict[str, str]:
    return {name: folder for name, folder in _manager().find_kernel_specs().items() if _config(folder) is not None}


def _config(folder: str) -> Any:
    """What its provisioner is told; None for a kernelspec of somebody else's."""
    try:
        named = json.loads(Path(folder, "kernel.json").read_text())["metadata"]["kernel_provisioner"]
        return named.get("config", {}) if named["provisioner_name"] == PROVISIONER else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _manager() -> KernelSpecManager:
    try:
        from jupyter_client.kernelspec import KernelSpecManager
    except ImportError:
        raise GatewayError(
            "Kernelspecs are for Jupyter's clients, and there are none in this Python.",
            'Install kernelgw beside them: pip install "kernelgw[jupyter]".',
        ) from None
    return KernelSpecManager()


_ACTIONS = MappingProxyType({"install": _install, "list": _list, "remove": _remove})


def _refuse() -> int:
    print(
        "kernelgw: this kernel starts only from clients that know kernel provisioners (jupyter_client 7 and later, "
        "with kernelgw installed beside it). It would have no sandbox otherwise.",
        file=sys.stderr,
    )
    return REFUSED


if __name__ == "__main__":
    sys.exit(_refuse())
