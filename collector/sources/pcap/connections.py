"""The TCP connections of a capture, and the data of each end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from collector.bgp.mrt import CutError
from collector.sources.pcap.capture import CapturedPacket
from collector.sources.pcap.framing import FramedMessage, Framing, Lost
from collector.sources.pcap.segments import ACK, FIN, RST, SYN, Segments, TcpSegment
from collector.sources.pcap.streams import Bytes, MissingBytes, TcpStream

_MOST_BEGINS: Final = 2**16

End = tuple[str, int]
"""One end of a connection: address and port."""


class Ended(NamedTuple):
    """The connection ended, by a FIN or a RST."""

    time: int


class SentData(NamedTuple):
    """What one end sent, or what is missing of it; `Ended` may name either end."""

    connection: int
    """Its number in the capture, in the order of first data."""
    sender: End
    receiver: End
    what: FramedMessage | Lost | Ended


class _Direction:
    """The data of one end."""

    def __init__(self, sender: End, receiver: End, begin: int | None) -> None:
        self.sender, self.receiver = sender, receiver
        self.stream = TcpStream()
        self.framing = Framing(begins=begin is not None)
        if begin is not None:
            self.stream.begin(begin)

    def framed(self, pieces: Iterable[Bytes | MissingBytes]) -> Iterator[FramedMessage | Lost]:
        for piece in pieces:
            yield from self.framing.take(piece)


class _CapturedConnection:
    def __init__(self, number: int, directions: tuple[_Direction, _Direction]) -> None:
        self.number = number
        self.directions = {one.sender: one for one in directions}
        self.is_over = False

    def take(self, time: int, segment: TcpSegment) -> Iterator[SentData]:
        here, there = self.directions[segment.source], self.directions[segment.destination]
        if segment.data:
            yield from self._sent_data(here, here.stream.take(time, segment.sequence, segment.data))
        if segment.flags & ACK:
            there.stream.acknowledge(segment.acknowledged)
            yield from self._sent_data(there, there.stream.settle(time))
        if segment.flags & FIN:
            here.stream.finish(segment.sequence + segment.length)
        if segment.flags & RST:
            yield from self.conclude(time)
        if not self.is_over and (segment.flags & RST or here.stream.has_ended or there.stream.has_ended):
            self.is_over = True
            yield SentData(self.number, here.sender, here.receiver, Ended(time))

    def conclude(self, time: int) -> Iterator[SentData]:
        """What is left when no more packets follow."""
        for one in self.directions.values():
            yield from self._sent_data(one, one.stream.conclude(time))
            for lost in one.framing.conclude():
                yield SentData(self.number, one.sender, one.receiver, lost)

    def _sent_data(self, one: _Direction, pieces: Iterable[Bytes | MissingBytes]) -> Iterator[SentData]:
        for what in one.framed(pieces):
            yield SentData(self.number, one.sender, one.receiver, what)


class CapturedConnections:
    """Takes packets; gives the data of the ends of BGP connections, in the order in which it becomes complete."""

    def __init__(self) -> None:
        self.segments = Segments()
        self._begins: dict[tuple[End, End], int] = {}
        """The number of each SYN whose connection has not sent anything yet."""
        self._connections: dict[frozenset[End], _CapturedConnection] = {}
        self._number = 0
        self._time = 0

    def follow(self, packets: Iterable[CapturedPacket]) -> Iterator[SentData]:
        """The data in these packets; what is left of connections that do not end comes last.

        Raises:
            CutError: see `CaptureReader.packets`; the data before has been yielded.
        """
        fault: CutError | None = None
        try:
            for packet in packets:
                segment = self.segments.read(packet.link, packet.data)
                if segment is not None:
                    self._time = packet.time
                    yield from self._take(packet.time, segment)
        except CutError as error:
            fault = error
        for connection in self._connections.values():
            yield from connection.conclude(self._time)
        if fault is not None:
            raise fault

    def _take(self, time: int, segment: TcpSegment) -> Iterator[SentData]:
        key = frozenset((segment.source, segment.destination))
        if segment.flags & SYN:
            yield from self._begin(time, key, segment)
            return
        connection = self._connections.get(key)
        if connection is None and segment.data and len(key) == 2:
            connection = self._connections[key] = self._opened(segment)
        if connection is not None:
            yield from connection.take(time, segment)

    def _begin(self, time: int, key: frozenset[End], segment: TcpSegment) -> Iterator[SentData]:
        way = segment.source, segment.destination
        if self._begins.get(way) == segment.sequence:
            return  # retransmitted
        self._begins[way] = segment.sequence
        if len(self._begins) > _MOST_BEGINS:
            del self._begins[next(iter(self._begins))]
        if not segment.flags & ACK:
            self._begins.pop(way[::-1], None)
        if before := self._connections.pop(key, None):
            yield from before.conclude(time)
            if not before.is_over:
                yield SentData(before.number, *way, Ended(time))

    def _opened(self, segment: TcpSegment) -> _CapturedConnection:
        self._number += 1
        ends = segment.source, segment.destination
        one, other = (_Direction(*way, self._begins.get(way)) for way in (ends, ends[::-1]))
        return _CapturedConnection(self._number, (one, other))
