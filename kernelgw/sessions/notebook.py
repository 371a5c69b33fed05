"""A session's executions as a notebook, nbformat 4.5: outputs in place, as they were seen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from .execution import Execution

# By the name that Jupyter knows the language by; the kernel that a notebook is opened with is the reader's choice.
KERNELS = MappingProxyType({"python": ("python3", "Python 3", ".py")})


def notebook(session_id: str, language: str, cells: Iterable[Any]) -> dict[str, Any]:
    """`cells`: oldest first."""
    name, title, extension = KERNELS.get(language, (language, language, ".txt"))
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"name": name, "display_name": title, "language": language},
            "language_info": {"name": language, "file_extension": extension},
            "kernelgw": {"session_id": session_id},
        },
        "cells": [*cells],
    }


def cells(executions: Iterable[Execution]) -> list[dict[str, Any]]:
    """Of those that have begun."""
    return [cell(found) for each in executions if (found := each.as_json())["started_at"]]


def cell(execution: Mapping[str, Any]) -> dict[str, Any]:
    """`execution`: as callers see one."""
    outputs = [_output(output) for output in execution["outputs"]]
    error = execution["error"]
    shown = any(output["output_type"] == "error" for output in outputs)
    if error is not None and not shown:
        # Of a kernel that died, or a cell that was stopped: no output tells of it.
        outputs.append(
            {
                "output_type": "error",
                "ename": error["name"],
                "evalue": error["value"],
                "traceback": error["traceback"] or [f"{error['name']}: {error['value']}"],
            }
        )
    return {
        "id": execution["id"],
        "cell_type": "code",
        "execution_count": execution["execution_count"],
        "metadata": {"kernelgw": {"status": execution["status"], "started_at": execution["started_at"]}},
        "source": execution["code"],
        "outputs": outputs,
    }


def _output(output: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in output.items() if name != "seq"}
    if "data" in shown:
        shown["data"] = {kind: _mime(kind, value) for kind, value in shown["data"].items()}
    return shown


def _mime(kind: str, value: Any) -> Any:
    """JSON as it is, everything else as text: so the format wants it."""
    is_json = kind == "application/json" or kind.endswith("+json")
    return value if is_json or isinstance(value, str) else str(value)
