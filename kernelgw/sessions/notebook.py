"""A session's executions as a notebook, nbformat 4.5: outputs in place, as they were seen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ..artifacts import kinds
from ..languages import BASH, JAVASCRIPT, PYTHON, TYPESCRIPT, Language

JSON = dict[str, Any]

# The kernel that a notebook is opened with is the reader's choice.
OTHERWISE = MappingProxyType({PYTHON: ("python3", "Python 3")})
# By the name that Jupyter knows the language by: extension and MIME type.
FILES = MappingProxyType(
    {
        PYTHON: (".py", "text/x-python"),
        JAVASCRIPT: (".js", "text/javascript"),
        TYPESCRIPT: (".ts", "text/typescript"),
        BASH: (".sh", "text/x-sh"),
    }
)


def notebook(session_id: str, language: Language, cells: Iterable[Any]) -> dict[str, Any]:
    """`language`: of the session's own kernel. `cells`: oldest first."""
    name, title = OTHERWISE.get(language.name, (language.name, language.title))
    extension, kind = FILES.get(language.known_as, (".txt", "text/plain"))
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"name": name, "display_name": title, "language": language.known_as},
            "language_info": {"name": language.known_as, "file_extension": extension, "mimetype": kind},
            "kernelgw": {"session_id": session_id},
        },
        "cells": [*cells],
    }


def parts(executions: Iterable[JSON]) -> Iterator[JSON]:
    """The artifacts that are parts of outputs. `executions`: as callers see them."""
    for execution in executions:
        for output in execution["outputs"]:
            yield from output.get("artifacts", {}).values()


def cells(executions: Iterable[JSON], contents: Mapping[str, bytes]) -> list[JSON]:
    """Of those that have begun. `contents`: of the artifacts that `parts` names, by id; of one that is not among them
    only a line of text tells."""
    return [_cell(each, contents) for each in executions if each["started_at"]]


def _cell(execution: JSON, contents: Mapping[str, bytes]) -> JSON:
    outputs = [_output(output, contents) for output in execution["outputs"]]
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
        "metadata": {"kernelgw": {name: execution[name] for name in ("status", "started_at", "language")}},
        "source": execution["code"],
        "outputs": outputs,
    }


def _output(output: dict[str, Any], contents: Mapping[str, bytes]) -> dict[str, Any]:
    shown = {name: value for name, value in output.items() if name not in ("seq", "artifacts")}
    if "data" in shown:
        whole = bundle(shown["data"], output.get("artifacts", {}), contents)
        shown["data"] = {kind: _mime(kind, value) for kind, value in whole.items()}
    return shown


def bundle(data: JSON, artifacts: dict[str, JSON], contents: Mapping[str, bytes]) -> JSON:
    """An output's data with what was taken out of it."""
    return {**data, **dict(_large(artifacts, contents, "text/plain" in data))}


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
