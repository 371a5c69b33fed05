"""What kind of content something is, by its name or MIME type, and what a browser may do with it. Pure tables."""

from __future__ import annotations

import base64
import mimetypes
import unicodedata
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import orjson

UNKNOWN = "application/octet-stream"
# Those that a browser shows without running anything of them.
SHOWN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "text/plain"})
# Those that it might run, or ask others for parts of: they are saved, under a type that says nothing.
ACTIVE = frozenset(
    {
        *("text/html", "text/xml", "application/xml", "text/javascript", "application/javascript", "text/css"),
        *("application/x-shockwave-flash", "application/x-javascript", "text/xsl", "text/cache-manifest"),
        *("application/ecmascript", "text/ecmascript", "multipart/x-mixed-replace", "message/rfc822"),
    }
)
# In a notebook these are text as they are; whatever else is, is base64.
TEXT_TYPES = frozenset({"application/javascript", "application/json", "application/xml", "image/svg+xml"})
# Beside Python's own table, which differs between its versions.
FURTHER = MappingProxyType(
    {
        ".webp": "image/webp",
        ".md": "text/markdown",
        ".log": "text/plain",
        ".tsv": "text/tab-separated-values",
        ".parquet": "application/vnd.apache.parquet",
        ".ipynb": "application/x-ipynb+json",
        ".geojson": "application/geo+json",
        ".yaml": "application/yaml",
        ".yml": "application/yaml",
        ".xhtml": "application/xhtml+xml",
        ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    }
)
# Of base64: a multiple of four characters.
PIECE = 1 << 20
LONGEST_TYPE, LONGEST_NAME = 100, 200


def of_name(name: str) -> str:
    """The MIME type that a file's name stands for."""
    suffix = "." + name.rpartition(".")[2].lower() if "." in name else ""
    if suffix in FURTHER:
        return FURTHER[suffix]
    # With its own table alone: this machine's would answer differently from the next one's.
    found, encoding = mimetypes.MimeTypes().guess_type(f"x{suffix}")
    return found if found and not encoding else UNKNOWN


def extension_of(type_: str) -> str:
    """With its dot; "" for types that nobody has one for."""
    further = next((suffix for suffix, each in FURTHER.items() if each == type_), None)
    if type_.endswith("+json") and further is None:
        return ".json"
    return further or mimetypes.MimeTypes().guess_extension(type_) or ""


def is_text(type_: str) -> bool:
    """Whether a notebook has it as text; otherwise it is base64."""
    return type_.startswith("text/") or type_ in TEXT_TYPES or type_.endswith(("+json", "+xml"))


def size_of(type_: str, value: Any) -> int:
    """Bytes, roughly, that `content_of` gives."""
    if isinstance(value, str):
        return len(value) if is_text(type_) else len(value) * 3 // 4
    return len(orjson.dumps(value)) if isinstance(value, dict | list) else 0


def content_of(type_: str, value: Any) -> tuple[str, Iterator[bytes]]:
    """One entry of an output's data as bytes: how those are made into the entry again (base64, text, json), and they
    themselves. They raise ValueError when the entry is no base64 and should be."""
    if not isinstance(value, str):
        return "json", iter((orjson.dumps(value),))
    if is_text(type_):
        return "text", _encoded(value)
    return "base64", _decoded(value)


def entry_of(encoding: str, content: bytes) -> Any:
    """What `content_of` was given."""
    if encoding == "base64":
        return base64.b64encode(content).decode()
    return orjson.loads(content) if encoding == "json" else content.decode()


def _encoded(text: str) -> Iterator[bytes]:
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE].encode(errors="replace")


def _decoded(text: str) -> Iterator[bytes]:
    # In pieces, since decoding holds up every other thread.
    text = "".join(text.split())
    for start in range(0, len(text), PIECE):
        yield base64.b64decode(text[start : start + PIECE], validate=True)


def served(type_: str) -> tuple[str, bool]:
    """Under which type it is sent, and whether it may be shown rather than saved."""
    type_ = type_.lower()
    if type_ in SHOWN:
        return ("text/plain; charset=utf-8" if type_ == "text/plain" else type_), True
    if type_ in ACTIVE or type_.endswith("+xml") or not _is_type(type_):
        return UNKNOWN, False
    return type_, False


def _is_type(text: str) -> bool:
    kind, slash, sub = text.partition("/")
    plain = all(
        part.isascii() and part.replace("-", "").replace(".", "").replace("+", "").isalnum() for part in (kind, sub)
    )
    return bool(slash) and plain and len(text) <= LONGEST_TYPE


def plain_name(path: str) -> str:
    """A name to save it by: the last part of its path, without what would hide or turn what stands beside it."""
    name = path.rpartition("/")[2].replace("\\", "_")
    shown = "".join(character for character in name if unicodedata.category(character)[0] != "C")
    return shown.strip(" .")[-LONGEST_NAME:] or "file"
