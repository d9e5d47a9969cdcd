"""Finds the TCP segment in a captured packet: link layers, VLAN tags, IPv4 and IPv6 with headers and fragments."""

from __future__ import annotations

import socket
from typing import Final, NamedTuple

BGP_PORT: Final = 179

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLANS: Final = frozenset((0x8100, 0x88A8, 0x9100))  # 802.1Q, 802.1ad, and its predecessor
_NULL, _ETHERNET, _RAW, _LOOP, _SLL, _SLL2 = 0, 1, 101, 108, 113, 276
_KINDS_AT: Final = {_ETHERNET: (12, 14), _SLL: (14, 16), _SLL2: (0, 20)}
"""The offset of the payload's type in each link layer, and that of the payload."""
_TCP: Final = 6
_EXTENSIONS: Final = frozenset((0, 43, 60, 135, 139, 140))
"""IPv6 headers whose length is in units of 8 bytes (RFC 7045); authentication (51) and fragments differ."""
_AUTHENTICATION, _FRAGMENT = 51, 44
_MOST_HEADERS: Final = 16
_MOST_FRAGMENTED: Final = 256
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10


class TcpSegment(NamedTuple):
    """A TCP segment from or to the port of BGP."""

    source: tuple[str, int]
    """Address and port."""
    destination: tuple[str, int]
    sequence: int
    acknowledged: int
    flags: int
    data: bytes
    length: int
    """The number of data bytes that were sent; the capture may have fewer."""


class _Piece(NamedTuple):
    """The payload of an IP packet, or of one fragment of it."""

    source: bytes
    destination: bytes
    protocol: int
    data: bytes
    length: int
    fragment: tuple[int, int, bool] | None = None
    """The packet's identification, the offset, and whether more follow."""


class Segments:
    """Reads packets, and reassembles fragments."""

    def __init__(self) -> None:
        self._fragments: dict[tuple[bytes, bytes, int, int], dict[int, _Piece]] = {}
        self.unread_links: dict[int, int] = {}
        """Packets of unsupported link types, by type."""

    def read(self, link: int, data: bytes) -> TcpSegment | None:
        """The segment in a packet; None if it is not BGP, or not complete yet."""
        packet = _behind_link(link, data)
        if packet is None:
            self.unread_links[link] = self.unread_links.get(link, 0) + 1
            return None
        piece = _ip(packet)
        if piece is None or piece.protocol != _TCP:
            return None
        if piece.fragment is not None:
            piece = self._whole(piece, piece.fragment)
        return _segment(piece) if piece else None

    def _whole(self, piece: _Piece, fragment: tuple[int, int, bool]) -> _Piece | None:
        """The packet that this fragment completes, if it was the last one missing."""
        identification, offset, _more = fragment
        key = (piece.source, piece.destination, piece.protocol, identification)
        parts = self._fragments.setdefault(key, {})
        parts[offset] = piece
        if len(self._fragments) > _MOST_FRAGMENTED:
            del self._fragments[next(iter(self._fragments))]
        data, more = b"", True
        while more and (part := parts.get(len(data))) is not None and part.data:
            data += part.data
            more = part.fragment is not None and part.fragment[2]
        if more:
            return None
        self._fragments.pop(key, None)
        return piece._replace(data=data, length=len(data), fragment=None)


def _behind_link(link: int, data: bytes) -> bytes | None:
    """The IP packet; b"" if there is none; None for an unknown link type."""
    if link == _RAW:
        return data
    if link in (_NULL, _LOOP):
        return data[4:]  # the number of the family differs between systems; the packet has its version
    if link not in _KINDS_AT:
        return None
    kind_at, at = _KINDS_AT[link]
    kind = int.from_bytes(data[kind_at : kind_at + 2])
    while kind in _VLANS and at < len(data):
        kind = int.from_bytes(data[at + 2 : at + 4])
        at += 4
    return data[at:] if kind in (_IPV4, _IPV6) else b""


def _ip(data: bytes) -> _Piece | None:
    version = data[0] >> 4 if data else 0
    if version == 4 and len(data) >= 20:
        return _ipv4(data)
    if version == 6 and len(data) >= 40:
        return _ipv6(data)
    return None


def _ipv4(data: bytes) -> _Piece | None:
    header, total = (data[0] & 0x0F) * 4, int.from_bytes(data[2:4])
    total = total or len(data)  # 0: the network card was to segment it later, and the capture has it unsegmented
    if header < 20 or total < header:
        return None
    word = int.from_bytes(data[6:8])
    offset, more = (word & 0x1FFF) * 8, bool(word & 0x2000)
    fragment = (int.from_bytes(data[4:6]), offset, more) if offset or more else None
    return _Piece(data[12:16], data[16:20], data[9], data[header:total], total - header, fragment)


def _ipv6(data: bytes) -> _Piece | None:
    end = 40 + int.from_bytes(data[4:6])
    end = len(data) if end == 40 else end
    kind, at = data[6], 40
    fragment = None
    for _ in range(_MOST_HEADERS):
        if kind in _EXTENSIONS:
            size = (data[at + 1 : at + 2] or b"\0")[0] * 8 + 8
        elif kind == _AUTHENTICATION:
            size = (data[at + 1 : at + 2] or b"\0")[0] * 4 + 8
        elif kind == _FRAGMENT and len(data) >= at + 8:
            word = int.from_bytes(data[at + 2 : at + 4])
            size = 8
            if word & 0xFFF9:
                fragment = (int.from_bytes(data[at + 4 : at + 8]), word & 0xFFF8, bool(word & 1))
        else:
            break
        kind, at = (data[at : at + 1] or b"\0")[0], at + size
        if fragment:
            break
    return _Piece(data[8:24], data[24:40], kind, data[at:end], max(end - at, 0), fragment)


def _segment(piece: _Piece) -> TcpSegment | None:
    data = piece.data
    if len(data) < 20:
        return None
    ports = int.from_bytes(data[:2]), int.from_bytes(data[2:4])
    header = (data[12] >> 4) * 4
    if BGP_PORT not in ports or header < 20 or header > piece.length:
        return None
    family = socket.AF_INET if len(piece.source) == 4 else socket.AF_INET6
    return TcpSegment(
        (socket.inet_ntop(family, piece.source), ports[0]),
        (socket.inet_ntop(family, piece.destination), ports[1]),
        int.from_bytes(data[4:8]),
        int.from_bytes(data[8:12]),
        data[13],
        data[header:],
        piece.length - header,
    )
