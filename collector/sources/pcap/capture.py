"""Reads a capture as a stream of packets: pcap and pcapng (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from collector.bgp.mrt import CutError
from collector.compression import DamagedError, chunks
from collector.errors import ReplayError

_PCAP: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1_000),
    b"\xa1\xb2\xc3\xd4": (">", 1_000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
"""By the first bytes: the byte order of numbers, and the unit of fractions in nanoseconds."""
_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_BYTE_ORDERS: Final = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6
_RESOLUTION, _TIME_OFFSET = 9, 14
_LONGEST: Final = 2**24
"""The maximum length of a packet or block; from a longer one on, the data is not a capture."""
_SECOND: Final = 1_000_000_000


class CapturedPacket(NamedTuple):
    """One packet in the capture."""

    time: int
    """Nanoseconds since 1970; that of the previous packet if the capture has none."""
    link: int
    """The link type of the interface that it was captured on."""
    data: bytes


@dataclass
class _Interface:
    link: int
    snap: int
    unit: float = 1_000
    """Nanoseconds."""
    offset: int = 0


@dataclass
class _CaptureSection:
    """What applies until the next section header."""

    order: str
    interfaces: list[_Interface] = field(default_factory=list)


def is_capture(path: Path) -> bool:
    """Whether a file begins like a capture, compressed or not; False if it cannot be read."""
    try:
        first = next(chunks(path), b"")
    except (OSError, DamagedError):
        return False
    return first[:4] in _PCAP or (first[:4] == _SECTION and first[8:12] in _BYTE_ORDERS)


class CaptureReader:
    """Reads a capture, uncompressed or compressed, according to its first bytes.

    Args:
        path: the file.
        on_read: called with the number of bytes of the file itself read so far.
    """

    def __init__(self, path: Path, on_read: Callable[[int], None] = lambda _: None) -> None:
        self._path = path
        self._chunks = chunks(path, on_read)
        self._buffer = b""
        self._at = 0
        self._before = 0
        """The number of bytes of the uncompressed file before the buffer."""
        self._packets = 0

    def packets(self) -> Iterator[CapturedPacket]:
        """Its packets, in order.

        Raises:
            ReplayError: it cannot be read, or is not a capture.
            CutError: it is truncated or damaged; all packets before have been yielded.
        """
        magic = self._take(4)
        if magic in _PCAP:
            yield from self._pcap(*_PCAP[magic])
        elif magic == _SECTION:
            yield from self._pcapng()
        else:
            raise ReplayError(f"{self._path} is neither pcap nor pcapng", "give a capture that tcpdump -w has made")

    # --- pcap -------------------------------------------------------------------------------------------------------

    def _pcap(self, order: str, unit: int) -> Iterator[CapturedPacket]:
        header = self._take(20)
        link = struct.unpack_from(f"{order}I", header, 16)[0] & 0xFFFF  # the upper bits are the length of the FCS
        layout = struct.Struct(f"{order}IIII")
        while head := self._take(16, may_end=True):
            seconds, fraction, length, _original = layout.unpack(head)
            yield self._packet(seconds * _SECOND + fraction * unit, link, self._take(self._checked(length)))

    # --- pcapng -----------------------------------------------------------------------------------------------------

    def _pcapng(self) -> Iterator[CapturedPacket]:
        section = self._begin_section()
        time: int | None = None
        while head := self._take(8, may_end=True):
            if head[:4] == _SECTION:
                section = self._begin_section(head[4:])
                continue
            kind, length = struct.unpack(f"{section.order}II", head)
            if length < 12 or length % 4:
                self._damaged(f"has a block of {length} bytes")
            body = self._take(self._checked(length) - 12)
            self._take(4)
            packet = self._block(section, kind, body, time)
            if packet is not None:
                time = packet.time
                yield packet

    def _begin_section(self, length: bytes = b"") -> _CaptureSection:
        """Read a section header block, whose type, and possibly length, have been read already."""
        length = length or self._take(4)
        order = _BYTE_ORDERS.get(self._take(4))
        if order is None:
            self._damaged("has a section header without its byte-order magic")
        size = int(struct.unpack(f"{order}I", length)[0])
        if size < 28 or size % 4:
            self._damaged(f"has a section header of {size} bytes")
        self._take(self._checked(size) - 12)
        return _CaptureSection(order)

    def _block(self, section: _CaptureSection, kind: int, body: bytes, time: int | None) -> CapturedPacket | None:
        """The packet in a block; None for blocks of other types."""
        if kind == _INTERFACE:
            section.interfaces.append(self._interface(section.order, body))
            return None
        if kind == _SIMPLE_PACKET:
            interface = self._interface_of(section, 0)
            (original,) = self._fields(section.order, "I", body)
            if time is None:
                self._damaged("has packets without times (Simple Packet Blocks)")
            captured = min(original, interface.snap or original)
            return self._packet(time, interface.link, body[4 : 4 + captured])
        if kind not in (_ENHANCED_PACKET, _OLD_PACKET):
            return None
        number, high, low, captured, _original = self._fields(section.order, "IIIII", body)
        if kind == _OLD_PACKET:  # its interface has two bytes, followed by a count of drops
            (number,) = self._fields(section.order, "H", body)
        if captured > len(body) - 20:
            self._damaged(f"has {captured} bytes of a packet in a block of {len(body)}")
        interface = self._interface_of(section, number)
        since = (
            round((high << 32 | low) * interface.unit) if interface.unit % 1 else (high << 32 | low) * interface.unit
        )
        return self._packet(int(since) + interface.offset, interface.link, body[20 : 20 + captured])

    def _interface(self, order: str, body: bytes) -> _Interface:
        link, _reserved, snap = self._fields(order, "HHI", body)
        found = _Interface(link, snap)
        at = 8
        while at + 4 <= len(body):
            code, length = struct.unpack_from(f"{order}HH", body, at)
            value = body[at + 4 : at + 4 + length]
            at += 4 + (length + 3) // 4 * 4
            if code == _RESOLUTION and len(value) == 1:
                found.unit = _SECOND / (2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0])
            elif code == _TIME_OFFSET and len(value) == 8:
                found.offset = struct.unpack(f"{order}q", value)[0] * _SECOND
            elif not code:
                break
        return found

    def _interface_of(self, section: _CaptureSection, number: int) -> _Interface:
        if number >= len(section.interfaces):
            self._damaged(f"has a packet of interface {number}, which it does not describe")
        return section.interfaces[number]

    def _fields(self, order: str, layout: str, body: bytes) -> tuple[int, ...]:
        fields = struct.Struct(order + layout)
        if len(body) < fields.size:
            self._damaged(f"has a block with {len(body)} bytes in it")
        return fields.unpack_from(body)

    # --- bytes ------------------------------------------------------------------------------------------------------

    def _packet(self, time: int, link: int, data: bytes) -> CapturedPacket:
        self._packets += 1
        return CapturedPacket(time, link, data)

    def _checked(self, length: int) -> int:
        if length > _LONGEST:
            self._damaged(f"claims a length of {length} bytes, more than any packet has")
        return length

    def _take(self, size: int, *, may_end: bool = False) -> bytes:
        """The next bytes; b"" at the end of the file, if it may end here."""
        while len(self._buffer) - self._at < size:
            rest = self._buffer[self._at :]
            try:
                more = next(self._chunks, b"")
            except DamagedError as error:
                self._damaged(f"cannot be unpacked: {error}")
            except OSError as error:
                raise ReplayError(
                    f"{self._path} cannot be read: {error.strerror}", "check the path and its permissions"
                ) from None
            if not more:
                if may_end and not rest:
                    return b""
                self._damaged("is cut short")
            self._before += self._at
            self._buffer, self._at = rest + more, 0
        begin = self._at
        self._at += size
        return self._buffer[begin : self._at]

    def _damaged(self, what: str) -> NoReturn:
        raise CutError(
            f"{self._path} {what}, after packet {self._packets} at offset {self._before + self._at}:"
            " nothing after that can be read",
            "the file is incomplete or damaged: get it again",
        ) from None
