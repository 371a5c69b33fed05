"""A file of the workspace as a rich output."""

from __future__ import annotations

import base64
import json
import os
from types import MappingProxyType
from typing import Any

# By how a name ends; what is text is shown as text, and the rest in base64.
TEXT = MappingProxyType(
    {
        "svg": "image/svg+xml",
        "html": "text/html",
        "htm": "text/html",
        "md": "text/markdown",
        "markdown": "text/markdown",
        "tex": "text/latex",
        "txt": "text/plain",
        "csv": "text/plain",
    }
)
BINARY = MappingProxyType(
    {
        "png": "image/png",
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "gif": "image/gif",
        "webp": "image/webp",
        "pdf": "application/pdf",
    }
)
LARGEST = 24 << 20


def bundle(path: str) -> dict[str, Any]:
    """By MIME type. Raises OSError, and ValueError for what cannot be shown."""
    name = os.path.basename(path)
    kind = name.rpartition(".")[2].lower() if "." in name else ""
    if kind != "json" and kind not in TEXT and kind not in BINARY:
        raise ValueError(f"{name}: shown are {', '.join(sorted([*TEXT, *BINARY, 'json']))}")
    with open(path, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{name}: larger than {LARGEST >> 20} MiB")
    if kind in BINARY:
        return {BINARY[kind]: base64.b64encode(content).decode(), "text/plain": name}
    text = content.decode(errors="replace")
    if kind == "json":
        try:
            return {"application/json": json.loads(text), "text/plain": text}
        except ValueError as error:
            raise ValueError(f"{name}: not JSON: {error}") from None
    return {TEXT[kind]: text} | ({} if TEXT[kind] == "text/plain" else {"text/plain": name})
