"""A session's executions as a notebook, nbformat 4.5: outputs in place, as they were seen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ..artifacts import kinds
from .execution import Execution

# By the name that Jupyter knows the language by; the kernel that a notebook is opened with is the reader's choice.
KERNELS = MappingProxyType({"python": ("python3", "Python 3", ".py")})


def notebook(
    session_id: str, language: str, executions: Iterable[Execution], contents: Mapping[str, bytes]
) -> dict[str, Any]:
    """`executions`: oldest first; those that have not begun are left out. `contents`: of the artifacts that `parts`
    names, by id; of one that is not among them only a line of text tells."""
    name, title, extension = KERNELS.get(language, (language, language, ".txt"))
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"name": name, "display_name": title, "language": language},
            "language_info": {"name": language, "file_extension": extension},
            "kernelgw": {"session_id": session_id},
        },
        "cells": [_cell(each, contents) for each in executions if each.first_seq and each.summary()["started_at"]],
    }


def parts(executions: Iterable[Execution]) -> Iterator[dict[str, Any]]:
    """The artifacts that are parts of outputs."""
    for execution in executions:
        for output in execution.outputs.as_json():
            yield from output.get("artifacts", {}).values()


def _cell(execution: Execution, contents: Mapping[str, bytes]) -> dict[str, Any]:
    outputs = [_output(output, contents) for output in execution.outputs.as_json()]
    error = execution.error
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
        "id": execution.id,
        "cell_type": "code",
        "execution_count": execution.execution_count,
        "metadata": {"kernelgw": {"status": execution.status.value, "started_at": execution.summary()["started_at"]}},
        "source": execution.code,
        "outputs": outputs,
    }


def _output(output: dict[str, Any], contents: Mapping[str, bytes]) -> dict[str, Any]:
    shown = {name: value for name, value in output.items() if name not in ("seq", "artifacts")}
    if "data" in shown:
        whole = {**shown["data"], **dict(_large(output.get("artifacts", {}), contents, "text/plain" in shown["data"]))}
        shown["data"] = {kind: _mime(kind, value) for kind, value in whole.items()}
    return shown


def _large(
    artifacts: dict[str, dict[str, Any]], contents: Mapping[str, bytes], has_text: bool
) -> Iterator[tuple[str, Any]]:
    for kind, artifact in artifacts.items():
        content = contents.get(artifact["id"])
        if content is not None:
            yield kind, kinds.entry_of(artifact["encoding"], content)
        elif not has_text:
            yield "text/plain", f"[{kind}, {artifact['size']:,} bytes, is not in this notebook: {artifact['url']}]"


def _mime(kind: str, value: Any) -> Any:
    """JSON as it is, everything else as text: so the format wants it."""
    is_json = kind == "application/json" or kind.endswith("+json")
    return value if is_json or isinstance(value, str) else str(value)
