"""One direction of a TCP connection: its bytes in order (RFC 9293 3.4), and what is missing in the capture."""

from __future__ import annotations

import heapq
from typing import Final, NamedTuple

SECOND: Final = 1_000_000_000
_SETTLES: Final = SECOND // 20
"""How long an acknowledgement may precede the acknowledged bytes in a capture."""
_COMES_AGAIN: Final = 5 * SECOND
"""How long missing bytes may still be retransmitted, if the other end does not acknowledge them."""
_MOST_WAITING: Final = 4 * 2**20
_WINDOW: Final = 2**26
"""Data farther away belongs to another connection, whose beginning is not in the capture."""


class Bytes(NamedTuple):
    """The next bytes, and when the last of what they waited for arrived."""

    time: int
    data: bytes


class MissingBytes(NamedTuple):
    """Bytes that the capture does not have."""

    time: int
    size: int | None
    """None: their number is unknown."""


class TcpStream:
    """Takes one direction's segments in the order of the capture; gives each byte once, in order."""

    def __init__(self) -> None:
        self._next: int | None = None
        """The number of the next byte, which continues where TCP's own numbers wrap around."""
        self._acknowledged = 0
        self._waiting: list[tuple[int, int, bytes]] = []
        """Data after a hole, as a heap: the number of the first byte, the time, and the bytes."""
        self._waiting_bytes = 0
        self._hole_since = 0
        self._ends: int | None = None

    @property
    def has_begun(self) -> bool:
        """Whether any of it was in the capture."""
        return self._next is not None

    @property
    def has_ended(self) -> bool:
        """Whether everything before its FIN was given."""
        return self._ends is not None and self._next is not None and self._next >= self._ends

    def begin(self, sequence: int) -> None:
        """Process the sequence number of its SYN."""
        self._next = sequence + 1

    def take(self, time: int, sequence: int, data: bytes) -> list[Bytes | MissingBytes]:
        """Process a segment with data.

        Args:
            time: when it was captured, in nanoseconds.
            sequence: the number of its first byte.
            data: its bytes, as many as the capture has.
        """
        if self._next is None:
            self._next = sequence
        at = self._number(sequence)
        if abs(at - self._next) > _WINDOW:
            found = [*self.conclude(time), MissingBytes(time, None)]
            self._next, self._ends = sequence, None
            return [*found, *self.take(time, sequence, data)]
        if at == self._next and not self._waiting:
            self._next += len(data)
            return [Bytes(time, data)] if data else []
        if at + len(data) > self._next:
            if not self._waiting:
                self._hole_since = time
            heapq.heappush(self._waiting, (at, time, data))
            self._waiting_bytes += len(data)
        return self.settle(time)

    def finish(self, sequence: int) -> None:
        """Process the sequence number of its FIN."""
        if self._next is None:
            self._next = sequence
        self._ends = self._number(sequence)

    def acknowledge(self, number: int) -> None:
        """Process the other end's acknowledgement of all bytes before one."""
        if self._next is not None:
            self._acknowledged = max(self._acknowledged, self._number(number))

    def settle(self, time: int) -> list[Bytes | MissingBytes]:
        """What can be given now; a hole once it is certain that the missing bytes will not follow."""
        found = self._contiguous(time)
        while self._waiting and self._is_lost(time):
            found += [self._hole(time), *self._contiguous(time)]
        return found

    def conclude(self, time: int) -> list[Bytes | MissingBytes]:
        """What can be given when no more packets follow."""
        found = self._contiguous(time)
        while self._waiting:
            found += [self._hole(time), *self._contiguous(time)]
        return found

    def _is_lost(self, time: int) -> bool:
        waited = time - self._hole_since
        if self._acknowledged >= self._waiting[0][0] and waited >= _SETTLES:
            return True
        return waited >= _COMES_AGAIN or self._waiting_bytes > _MOST_WAITING

    def _hole(self, time: int) -> MissingBytes:
        begin = self._waiting[0][0]
        size = begin - (self._next or 0)
        self._next = begin
        return MissingBytes(time, size)

    def _contiguous(self, time: int) -> list[Bytes | MissingBytes]:
        found: list[Bytes | MissingBytes] = []
        while self._waiting and self._next is not None and self._waiting[0][0] <= self._next:
            at, _then, data = heapq.heappop(self._waiting)
            self._waiting_bytes -= len(data)
            self._hole_since = time
            if fresh := data[self._next - at :]:
                self._next += len(fresh)
                found.append(Bytes(time, fresh))
        return found

    def _number(self, sequence: int) -> int:
        """A 32-bit TCP sequence number as the extended number closest to the next byte."""
        near = self._next or 0
        return near + ((sequence - near + 2**31) % 2**32) - 2**31
