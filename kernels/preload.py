"""Everything that can be done once, in the fork server, instead of in each kernel: imports, the interpreter
itself, and a first use of the slow corners, so that their pages are shared and their caches are warm."""

from __future__ import annotations

import atexit
import importlib
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from . import after_import


def prepare(modules: Sequence[str], variables: Mapping[str, str]) -> None:
    """Makes this process a kernel in all but its transport. Raises ImportError when ipykernel is missing.

    A module that cannot be imported is left out with a line on stderr: an environment with a broken
    package still runs code. Raises RuntimeError when an import started a thread, since a fork would lose it.
    """
    os.environ.update(variables)
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    os.environ.setdefault("PLOTLY_RENDERER", "plotly_mimetype")
    # IPython wants a directory of its own.
    os.environ["IPYTHONDIR"] = tempfile.mkdtemp(prefix="ipython-")
    atexit.register(shutil.rmtree, os.environ["IPYTHONDIR"], ignore_errors=True)
    # Only now: what it imports reads the variables above.
    from .bash import kernel as _bash  # noqa: F401
    from .javascript import kernel as _javascript  # noqa: F401
    from .kernelspec import kernel as _kernelspec  # noqa: F401
    from .python import kernel

    kernel.build()
    after_import.watch("altair", _enable_altair_mime)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in modules:
            try:
                importlib.import_module(name)
            except Exception as error:
                print(f"preload {name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        kernel.rehearse([cell for name, cell in WARM_UPS.items() if name in sys.modules])
    if threading.active_count() != 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        raise RuntimeError(f"a preloaded module started threads ({names}); it cannot be preloaded")


def _enable_altair_mime(altair: Any) -> None:
    # Its default is HTML that fetches scripts from elsewhere; the MIME type carries the chart itself.
    altair.renderers.enable("mimetype")


# Cells that are run once, unseen, by module that must be there.
WARM_UPS: Mapping[str, str] = MappingProxyType(
    {
        "sys": "def f():\n    return 1 / 0\nf()",
        "builtins": "%time 1\n[1, {'a': 2.5}]",
        "pandas": """
import io, pandas
frame = pandas.DataFrame({"a": [1.5, 2.5, None], "b": ["x", "y", "x"]})
pandas.read_csv(io.StringIO("a,b\\n1,2\\n")).to_csv()
frame.dropna().sort_values("a")
frame.groupby("b").mean().describe()
""",
        "matplotlib.pyplot": """
from matplotlib import pyplot
figure, axes = pyplot.subplots()
axes.plot([1, 2, 3], label="$x^2$")
axes.hist([1, 2, 2, 3])
axes.set_title("rehearsal")
axes.legend()
axes.grid(True)
figure.tight_layout()
pyplot.show()
""",
    }
)
