"""What kind of content something is, and what a browser may do with it."""

from __future__ import annotations

from typing import Any

import pytest

from kernelgw.artifacts import kinds


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("plot.png", "image/png"),
        ("PLOT.PNG", "image/png"),
        ("data.csv", "text/csv"),
        ("a.parquet", "application/vnd.apache.parquet"),
        ("a.ipynb", "application/x-ipynb+json"),
        ("a.html", "text/html"),
        ("a.svg", "image/svg+xml"),
        ("a.tar.gz", "application/octet-stream"),
        ("none", "application/octet-stream"),
        (".png", "image/png"),
        ("a.", "application/octet-stream"),
        ("a.b/c", "application/octet-stream"),
    ],
)
def test_types_by_name(name: str, type_: str) -> None:
    assert kinds.of_name(name) == type_


@pytest.mark.parametrize(
    ("type_", "sent", "shown"),
    [
        ("image/png", "image/png", True),
        ("text/plain", "text/plain; charset=utf-8", True),
        ("text/csv", "text/csv", False),
        ("application/pdf", "application/pdf", False),
        ("text/html", "application/octet-stream", False),
        ("image/svg+xml", "application/octet-stream", False),
        ("application/vnd.x+xml", "application/octet-stream", False),
        ("TEXT/HTML", "application/octet-stream", False),
        ("text/html; charset=utf-8", "application/octet-stream", False),
        ("text/html\r\nX: y", "application/octet-stream", False),
        ("text", "application/octet-stream", False),
        ("text/ä", "application/octet-stream", False),
        ("", "application/octet-stream", False),
        ("a/" + "b" * 100, "application/octet-stream", False),
    ],
)
def test_what_is_sent_and_whether_it_is_shown(type_: str, sent: str, shown: bool) -> None:
    assert kinds.served(type_) == (sent, shown)


@pytest.mark.parametrize(
    ("type_", "value", "encoding"),
    [
        ("image/png", "iVBORw0KGgo=", "base64"),
        ("text/html", "<b>ä</b>", "text"),
        ("image/svg+xml", "<svg/>", "text"),
        ("application/json", {"a": [1, None]}, "json"),
        ("application/vnd.vega.v5+json", "text", "text"),
        ("application/pdf", "QUJD" * 1_000_000, "base64"),
    ],
)
def test_an_entry_is_the_same_again(type_: str, value: Any, encoding: str) -> None:
    how, pieces = kinds.content_of(type_, value)
    content = b"".join(pieces)
    assert how == encoding
    assert kinds.entry_of(how, content) == value
    assert abs(kinds.size_of(type_, value) - len(content)) <= 3


def test_base64_may_have_lines_and_must_be_base64() -> None:
    assert b"".join(kinds.content_of("image/png", "aGVs\nbG8=\n")[1]) == b"hello"
    for wrong in ("a", "!!!!", "QUJD=QUJD", "ä"):
        with pytest.raises(ValueError, match=r"."):
            b"".join(kinds.content_of("image/png", wrong)[1])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b/plot.png", "plot.png"),
        ("evil\r\nX: y.txt", "evilX: y.txt"),
        ("exe\u202egnp.exe", "exegnp.exe"),
        ("a\\b", "a_b"),
        ("...", "file"),
        ("\u200b", "file"),
        ("x" * 300 + ".csv", "x" * 196 + ".csv"),
    ],
)
def test_names_to_save_by(path: str, name: str) -> None:
    assert kinds.plain_name(path) == name
