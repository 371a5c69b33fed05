"""The name in a ClientHello: of real ones, of broken ones, and of such that say two things."""

from __future__ import annotations

import pytest

from kernelgw.egress.tls import LARGEST_HELLO, MOST_RECORDS, NotTLS, hello, server_name
from tests.tls import client_hello


def extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(content).to_bytes(2, "big") + content


def name_entry(name: bytes, kind: int = 0) -> bytes:
    return bytes([kind]) + len(name).to_bytes(2, "big") + name


def names_extension(*entries: bytes, after: bytes = b"") -> bytes:
    listed = b"".join(entries)
    return extension(0, len(listed).to_bytes(2, "big") + listed + after)


def body(*extensions: bytes, after: bytes = b"") -> bytes:
    listed = b"".join(extensions)
    return bytes(34) + b"\0" + b"\0\2\x13\x01" + b"\1\0" + len(listed).to_bytes(2, "big") + listed + after


def message(content: bytes) -> bytes:
    return b"\1" + len(content).to_bytes(3, "big") + content


def records(data: bytes, size: int) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"\x16\3\1" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def name_of(data: bytes) -> str | None:
    found = hello(data)
    assert found is not None
    return server_name(found)


@pytest.mark.prop("NE13")
def test_real_ones() -> None:
    assert name_of(client_hello("example.org")) == "example.org"
    assert name_of(client_hello(None)) is None
    assert name_of(client_hello("192.0.2.1")) is None
    assert name_of(client_hello("example.org") + b"whatever follows") == "example.org"


def test_more_is_waited_for_as_long_as_it_may_be_one() -> None:
    whole = client_hello("example.org")
    assert {hello(whole[:count]) for count in range(len(whole))} == {None}


@pytest.mark.prop("NE13")
def test_pieces_are_put_together() -> None:
    content = message(client_hello("example.org")[9:])
    for size in (len(content) // (MOST_RECORDS - 1), 200, 16384):
        assert name_of(records(content, size)) == "example.org"
    whole = records(content, 100)
    assert {hello(whole[:count]) for count in range(len(whole))} == {None}


def test_not_in_any_number_of_pieces() -> None:
    with pytest.raises(NotTLS, match="pieces"):
        hello(records(message(body()), 1))


NOT_TLS = {
    "http": b"GET / HTTP/1.1\r\n",
    "ssh": b"SSH-2.0-OpenSSH\r\n",
    "ssl 2": b"\x80\x2e\1\3\1",
    "alert": b"\x15\3\1\0\2\1\0",
    "data": b"\x17\3\3\0\5hello",
    "version": b"\x16\2\0\0\5",
    "empty record": b"\x16\3\1\0\0",
    "record of impossible length": b"\x16\3\1\xff\xff",
    "server hello": records(b"\2\0\0\1x", 100),
    "another first": records(b"\0", 100),
    "hello of impossible length": records(b"\1" + (LARGEST_HELLO + 1).to_bytes(3, "big"), 100),
    "hello of impossible length, in pieces": records(b"\1\xff\xff", 1),
}


@pytest.mark.prop("NE13")
@pytest.mark.parametrize("name", NOT_TLS)
def test_what_is_no_tls(name: str) -> None:
    with pytest.raises(NotTLS):
        hello(NOT_TLS[name])


BROKEN = {
    "nothing": b"",
    "short": bytes(20),
    "session too long": bytes(34) + b"\xff",
    "no ciphers": bytes(34) + b"\0",
    "extensions too long": body()[:-2] + b"\0\5",
    "extension cut": body()[:-2] + b"\0\2\0\0",
    "more after extensions": body(names_extension(name_entry(b"example.org")), after=b"x"),
    "two names": body(names_extension(name_entry(b"example.org"), name_entry(b"evil.test"))),
    "the same name twice": body(names_extension(name_entry(b"example.org"), name_entry(b"example.org"))),
    "two extensions": body(names_extension(name_entry(b"example.org")), names_extension(name_entry(b"evil.test"))),
    "name too long": body(extension(0, b"\0\x08\0\0\xffabcde")),
    "list too long": body(extension(0, b"\0\xff\0\0\1a")),
    "more after the list": body(names_extension(name_entry(b"example.org"), after=b"\0\0\4evil")),
    "not ascii": body(names_extension(name_entry(b"ex\xe4mple.org"))),
    "empty extension": body(extension(0, b"")),
}


@pytest.mark.prop("NE13")
@pytest.mark.parametrize("name", BROKEN)
def test_broken_ones(name: str) -> None:
    with pytest.raises(NotTLS):
        server_name(BROKEN[name])


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (body(), None),
        (body()[:-2], None),
        (body(extension(43, b"\2\3\4")), None),
        (body(names_extension()), None),
        (body(names_extension(name_entry(b"x", kind=7))), None),
        (body(extension(43, b"\2\3\4"), names_extension(name_entry(b"Example.Org."))), "Example.Org."),
        (body(names_extension(name_entry(b"a\0b"))), "a\0b"),
    ],
)
def test_whole_ones(content: bytes, wanted: str | None) -> None:
    assert server_name(content) == wanted


def test_no_cut_and_no_flipped_byte_makes_it_fail_otherwise() -> None:
    content = client_hello("example.org")[9:]
    seen = set()
    for at in range(len(content)):
        for changed in (content[:at], content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]):
            try:
                seen.add(server_name(changed))
            except NotTLS:
                seen.add("refused")
    assert {"refused", "example.org"} <= seen
