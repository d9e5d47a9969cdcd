"""Finds BGP messages in a stream of bytes (RFC 4271 4.1); after a hole it continues at the next marker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from collector.bgp.messages import EXTENDED_LENGTH, HEADER_LENGTH, MARKER, MAXIMUM_LENGTH
from collector.sources.pcap.streams import Bytes, MissingBytes

_TYPES: Final = range(1, 6)
_MOST_REMAINS: Final = 2**16


class FramedMessage(NamedTuple):
    """A whole message."""

    time: int
    data: bytes


class Lost(NamedTuple):
    """A place where messages are missing, or cannot be found."""

    time: int
    reason: str
    remains: bytes
    """Parts of messages whose other parts are missing."""


class Framing:
    """Takes the output of `TcpStream`; gives messages.

    Args:
        begins: whether the beginning of the connection is in the capture.
    """

    def __init__(self, *, begins: bool) -> None:
        self._buffer = b""
        self._time = 0
        self._remains = b""
        self._reason = "" if begins else "the capture begins in the middle of a message"
        self._searches = not begins
        self._lacks = False
        """Whether there was a hole since the last whole message."""

    def take(self, piece: Bytes | MissingBytes) -> Iterator[FramedMessage | Lost]:
        """Take the next bytes, or a hole."""
        if isinstance(piece, MissingBytes):
            self._lose(piece)
            return
        self._buffer += piece.data
        self._time = piece.time
        while self._buffer:
            if self._searches:
                if not self._search():
                    break
                yield from self._lost(piece.time)
            length = self._length()
            if length is None:
                self._search_on("no message begins where one has to (RFC 4271 4.1)")
            elif not length or length > len(self._buffer):
                break
            else:
                data, self._buffer = self._buffer[:length], self._buffer[length:]
                yield FramedMessage(piece.time, data)
        if len(self._remains) > _MOST_REMAINS:
            yield from self._lost(piece.time)
            self._reason = "no message begins in these bytes (RFC 4271 4.1)"

    def conclude(self) -> Iterator[Lost]:
        """What is left when the stream ends."""
        if self._buffer and not self._searches:
            self._reason = "the stream ends in the middle of a message"
        self._remains, self._buffer = self._remains + self._buffer, b""
        if self._remains or self._searches:
            yield from self._lost(self._time)

    def _lose(self, hole: MissingBytes) -> None:
        much = "some bytes" if hole.size is None else f"{hole.size} bytes"
        reason = f"the capture lacks {much} of the stream here"
        self._time = hole.time
        self._remains, self._buffer = self._remains + self._buffer, b""
        self._reason = f"{self._reason}; {reason}" if self._reason else reason
        self._searches = self._lacks = True

    def _lost(self, time: int) -> Iterator[Lost]:
        """What was lost up to here; nothing if the capture begins between two messages."""
        if self._remains or self._lacks:
            yield Lost(time, self._reason, self._remains)
        self._reason, self._remains, self._lacks = "", b"", False

    def _search_on(self, reason: str) -> None:
        self._reason, self._searches = reason, True
        self._remains, self._buffer = self._buffer[:1], self._buffer[1:]

    def _search(self) -> bool:
        """Find the beginning of a message; returns whether there is one."""
        at = self._buffer.find(MARKER)
        while 0 <= at <= len(self._buffer) - HEADER_LENGTH:
            header = self._buffer[at : at + HEADER_LENGTH]
            if HEADER_LENGTH <= int.from_bytes(header[16:18]) <= MAXIMUM_LENGTH and header[18] in _TYPES:
                self._pass_over(at)
                self._searches = False
                return True
            at = self._buffer.find(MARKER, at + 1)
        self._pass_over(at if at >= 0 else max(len(self._buffer) - len(MARKER) + 1, 0))
        return False

    def _pass_over(self, size: int) -> None:
        self._remains += self._buffer[:size]
        self._buffer = self._buffer[size:]

    def _length(self) -> int | None:
        """The length of the message at the buffer's start; 0 if not known yet, None if there is no message."""
        if not self._buffer.startswith(MARKER[: len(self._buffer)]):
            return None
        if len(self._buffer) < HEADER_LENGTH:
            return 0
        length = int.from_bytes(self._buffer[16:18])
        return length if HEADER_LENGTH <= length <= EXTENDED_LENGTH else None
