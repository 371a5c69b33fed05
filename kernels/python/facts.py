"""What the kernel knows of an exception and the gateway does not: which names like the missing one there are."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from .. import similar
from .frames import attribute

Json = dict[str, Any]
MOST_FOLDERS = 50
# Of modules and variables, which are shorter than names of files and more often alike by chance.
ALIKE = 0.8
LONGEST_NAME = 200


def of(value: BaseException, workspace: str) -> Json:
    """`similar`: names that may have been meant, for a file, module or variable that is not there. `module`: of one
    that is not there its `name`, whether the package that it would be in is `installed`, and the `file` of the
    workspace that may have been meant; of a variable's name, that it is a `standard` module's."""
    kind = type(value)
    if issubclass(kind, FileNotFoundError):
        path = attribute(value, OSError, "filename")
        return _similar(similar.files(path, os.getcwd())) if type(path) is str else {}
    if issubclass(kind, ModuleNotFoundError):
        name = attribute(value, ImportError, "name")
        return _module(name, workspace) if type(name) is str and 0 < len(name) <= LONGEST_NAME else {}
    if issubclass(kind, NameError):
        name = attribute(value, NameError, "name")
        return _variable(value, name) if type(name) is str and 0 < len(name) <= LONGEST_NAME else {}
    return {}


def _similar(names: list[str]) -> Json:
    return {"similar": names} if names else {}


def _module(name: str, workspace: str) -> Json:
    top = name.partition(".")[0]
    module: Json = {"name": name, "installed": name != top}
    if file := _file(top, workspace):
        module["file"] = file
    return {"module": module, **_similar(_misspelt(top) if name == top else [])}


def _misspelt(name: str) -> list[str]:
    """Modules whose name differs by one slip. One that goes on where another ends is a name of its own, unless a letter
    is only there twice."""
    found = similar.close(name, _modules(), ALIKE)
    slips = [each for each in found if similar.one_slip(name.lower(), each.lower())]
    return [each for each in slips if not name.startswith(each) or name == each + each[-1]]


def _file(name: str, workspace: str) -> str | None:
    """Of the workspace, or of a folder right in it; as it is called from here."""
    try:
        with os.scandir(workspace) as entries:
            folders = (each.name for each in islice(entries, similar.MOST_NAMES) if each.is_dir(follow_symlinks=False))
            places = ["", *islice((each for each in folders if not each.startswith(".")), MOST_FOLDERS)]
    except OSError:
        return None
    for place in places:
        path = os.path.join(workspace, place, name)
        for file in (path + ".py", os.path.join(path, "__init__.py")):
            if os.path.isfile(file):
                return os.path.relpath(file)
    return None


def _modules() -> Iterator[str]:
    """Those that could be imported."""
    yield from (name for name in sys.stdlib_module_names if not name.startswith("_"))
    for folder in islice(sys.path, MOST_FOLDERS):
        for each in similar.listing(folder if type(folder) is str else ""):
            name = each.partition(".")[0]
            if name.isidentifier() and not name.startswith("_") and each in (name, f"{name}.py"):
                yield name


def _variable(value: BaseException, name: str) -> Json:
    tb = BaseException.__dict__["__traceback__"].__get__(value)
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    if tb is None:
        return {}
    known = chain(tb.tb_frame.f_locals, tb.tb_frame.f_globals, dir(builtins))
    names = {each: None for each in islice(known, similar.MOST_NAMES) if type(each) is str and not each.startswith("_")}
    found = _similar(similar.close(name, names, ALIKE))
    return found or ({"module": {"name": name, "standard": True}} if name in sys.stdlib_module_names else {})
