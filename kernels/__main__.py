"""Starts the fork server: `python -I -X frozen_modules=off PATH/kernels`, listening socket at fd 3.

With a number as argument it is instead one kernel in a sandbox, started by `drivers.execute`, and that fd says which.
With the word "inside" it is the first process in a gVisor sandbox.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PRIVATE_NAME = "kernelgw_kernels"


def load() -> None:
    """Imports this folder as a package under its private name, without putting anything on sys.path."""
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        PRIVATE_NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load the kernels package from {folder}")
    package = importlib.util.module_from_spec(spec)
    sys.modules[PRIVATE_NAME] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    # A folder given to the interpreter stands first on sys.path; user code must not import from it.
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]
    load()
    if sys.argv[1:] == ["inside"]:
        importlib.import_module(f"{PRIVATE_NAME}.inside").main()
    if boot_fd := sys.argv[1:]:
        importlib.import_module(f"{PRIVATE_NAME}.drivers").main(int(boot_fd[0]))
    importlib.import_module(f"{PRIVATE_NAME}.forkserver").main()
