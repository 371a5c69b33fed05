"""Everything that can be done once, in the fork server, instead of in each kernel: imports, the interpreter
itself, and a first use of the slow corners, so that their pages are shared and their caches are warm."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any


def prepare(modules: Sequence[str], variables: Mapping[str, str]) -> None:
    """Makes this process a kernel in all but its transport. Raises ImportError when ipykernel is missing.

    A module that cannot be imported is left out with a line on stderr: an environment with a broken
    package still runs code. Raises RuntimeError when an import started a thread, since a fork would lose it.
    """
    os.environ.update(variables)
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    os.environ.setdefault("PLOTLY_RENDERER", "plotly_mimetype")
    from .python import kernel

    kernel.build()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in modules:
            try:
                importlib.import_module(name)
            except Exception as error:
                print(f"preload {name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        for name, warm in WARM_UPS.items():
            if name in sys.modules:
                _try(name, warm)
        _try("tracebacks", _warm_tracebacks)
    sys.stdout.flush()
    if threading.active_count() != 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        raise RuntimeError(f"a preloaded module started threads ({names}); it cannot be preloaded")


def _try(name: str, warm: Callable[[], None]) -> None:
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warm()
    except Exception as error:
        print(f"warm-up {name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def _shell() -> Any:
    from IPython.core.getipython import get_ipython

    return get_ipython()


def _warm_pandas() -> None:
    import pandas

    frame = pandas.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})
    _shell().display_formatter.format(frame)
    _shell().display_formatter.format(frame.groupby("b").mean().describe())
    pandas.read_csv(io.StringIO("a,b\n1,2\n")).to_csv()


def _warm_pyplot() -> None:
    from IPython.core.pylabtools import print_figure
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot([1, 2, 3], label="$x^2$")
    axes.hist([1, 2, 2, 3])
    axes.set_title("warm")
    axes.legend()
    axes.grid(True)
    figure.tight_layout()
    print_figure(figure, fmt="png", bbox_inches="tight")
    _shell().display_formatter.format(figure)
    pyplot.close("all")


def _enable_altair_mime() -> None:
    import altair

    # Its default is HTML that fetches scripts from elsewhere; the MIME type carries the chart itself.
    altair.renderers.enable("mimetype")


def _warm_tracebacks() -> None:
    shell = _shell()
    try:
        exec(compile("def f():\n    1 / 0\nf()", "<warm-up>", "exec"), {})
    except ZeroDivisionError:
        shell.InteractiveTB.structured_traceback(*sys.exc_info(), tb_offset=1)
    shell.transform_cell("!true\n%time 1\n")
    shell.compile.ast_parse("await x")


WARM_UPS: Mapping[str, Callable[[], None]] = MappingProxyType(
    {
        "pandas": _warm_pandas,
        "matplotlib.pyplot": _warm_pyplot,
        "altair": _enable_altair_mime,
    }
)
