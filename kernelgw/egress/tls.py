"""The server's name in a TLS ClientHello. Reads hostile bytes: every length is checked against what is there."""

from __future__ import annotations

HANDSHAKE, CLIENT_HELLO, SERVER_NAME, HOST_NAME = 22, 1, 0, 0
# Real ones have two kilobytes in one or two records; each further record is work for whoever looks.
LARGEST_HELLO = 16 << 10
MOST_RECORDS = 16
RECORD_HEAD = 5
LARGEST_RECORD = 16384 + 256


class NotTLS(ValueError):
    """Not the beginning of a TLS connection."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise NotTLS("cut short")
        piece = self.data[self.at : self.at + count]
        self.at += count
        return piece

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def vector(self, width: int) -> bytes:
        return self.take(self.number(width))

    @property
    def more(self) -> bool:
        return self.at < len(self.data)


def hello(data: bytes) -> bytes | None:
    """The ClientHello's body, from records in which it may lie in pieces; None while more is needed. Raises NotTLS."""
    message, at = b"", 0
    for _ in range(MOST_RECORDS):
        head = data[at : at + RECORD_HEAD]
        if head and (head[0] != HANDSHAKE or (len(head) > 1 and head[1] != 3)):
            raise NotTLS("not a TLS handshake")
        if len(head) < RECORD_HEAD:
            return None
        length = int.from_bytes(head[3:5], "big")
        if not 0 < length <= LARGEST_RECORD:
            raise NotTLS("a record of impossible length")
        message += data[at + RECORD_HEAD : at + RECORD_HEAD + length]
        if message and message[0] != CLIENT_HELLO:
            raise NotTLS("not a ClientHello")
        wanted = int.from_bytes(message[1:4], "big")
        if wanted > LARGEST_HELLO:
            raise NotTLS("a ClientHello of impossible length")
        if len(message) >= 4 and len(message) >= 4 + wanted:
            return message[4 : 4 + wanted]
        at += RECORD_HEAD + length
        if at > len(data):
            return None
    raise NotTLS("a ClientHello in too many pieces")


def server_name(body: bytes) -> str | None:
    """None when it names no server. Raises NotTLS, also when it names two."""
    reader = _Reader(body)
    reader.take(2 + 32)
    reader.vector(1)
    reader.vector(2)
    reader.vector(1)
    if not reader.more:
        return None
    extensions = _Reader(reader.vector(2))
    _at_end(reader)
    names: list[str] = []
    while extensions.more:
        kind, content = extensions.number(2), extensions.vector(2)
        if kind == SERVER_NAME:
            names += _names(content)
    if len(names) > 1:
        raise NotTLS("more than one server name")
    return names[0] if names else None


def _names(content: bytes) -> list[str]:
    whole = _Reader(content)
    entries = _Reader(whole.vector(2))
    _at_end(whole)
    found = []
    while entries.more:
        kind, name = entries.number(1), entries.vector(2)
        if kind == HOST_NAME:
            try:
                found.append(name.decode("ascii"))
            except UnicodeDecodeError:
                raise NotTLS("a server name that is not ASCII") from None
    return found


def _at_end(reader: _Reader) -> None:
    if reader.more:
        raise NotTLS("more than there should be")
