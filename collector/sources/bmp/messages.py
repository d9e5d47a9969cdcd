"""The encoding of BMP messages (RFC 7854, 8671, 9069): headers and fields.

No I/O, and no interpretation: what cannot be parsed raises a `BadBmpError`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from collector.bgp.messages import HEADER_LENGTH, MARKER

VERSION: Final = 3
COMMON: Final = struct.Struct(">BIB")
"""Version, length of the whole message, type (RFC 7854 4.1)."""
LONGEST: Final = 2**20
"""The longest BMP message that is accepted: one BGP message has at most 65,535 bytes (RFC 8654)."""

ROUTE_MONITORING: Final = 0
STATISTICS_REPORT: Final = 1
PEER_DOWN: Final = 2
PEER_UP: Final = 3
INITIATION: Final = 4
TERMINATION: Final = 5
ROUTE_MIRRORING: Final = 6
NAMES: Final = {
    ROUTE_MONITORING: "Route Monitoring",
    STATISTICS_REPORT: "Statistics Report",
    PEER_DOWN: "Peer Down",
    PEER_UP: "Peer Up",
    INITIATION: "Initiation",
    TERMINATION: "Termination",
    ROUTE_MIRRORING: "Route Mirroring",
}
OF_A_PEER: Final = frozenset((ROUTE_MONITORING, STATISTICS_REPORT, PEER_DOWN, PEER_UP, ROUTE_MIRRORING))
"""Types whose messages have a per-peer header."""

_PER_PEER: Final = struct.Struct(">BB8s16s4s4sII")
"""Type, flags, distinguisher, address, AS, BGP identifier, seconds, microseconds (RFC 7854 4.2)."""
PEER_DATA_AT: Final = COMMON.size + _PER_PEER.size
"""Where the data after a per-peer header begins."""
_TLV: Final = struct.Struct(">HH")
_UP: Final = struct.Struct(">16sHH")

_LOC_RIB: Final = 3
_IPV6, _POST_POLICY, _TWO_BYTE_AS, _OUT = 0x80, 0x40, 0x20, 0x10
_FILTERED: Final = 0x80


class BadBmpError(ValueError):
    """A BMP message that cannot be parsed; the text says where and why."""


class PeerHeader(NamedTuple):
    """The per-peer header: which peer a message is about (RFC 7854 4.2)."""

    kind: int
    flags: int
    distinguisher: bytes
    address: bytes
    asn: bytes
    router_id: bytes
    seconds: int
    microseconds: int

    @property
    def key(self) -> tuple[int, bytes, bytes]:
        """What distinguishes this peer from the router's others, regardless of the table."""
        return self.kind, self.distinguisher, self.address

    @property
    def is_loc_rib(self) -> bool:
        """Whether it is about the router's own table (RFC 9069 4.1)."""
        return self.kind == _LOC_RIB

    @property
    def is_out(self) -> bool:
        """Whether it is about what the router sends to the peer (RFC 8671 4)."""
        return not self.is_loc_rib and bool(self.flags & _OUT)

    @property
    def is_post_policy(self) -> bool:
        """Whether it is about routes after policy."""
        return not self.is_loc_rib and bool(self.flags & _POST_POLICY)

    @property
    def is_filtered(self) -> bool:
        """Whether it covers only a part of the router's own table (RFC 9069 4.1)."""
        return self.is_loc_rib and bool(self.flags & _FILTERED)

    @property
    def has_two_byte_as(self) -> bool:
        """Whether AS numbers in AS_PATH are two bytes wide."""
        return not self.is_loc_rib and bool(self.flags & _TWO_BYTE_AS)

    @property
    def is_ipv6(self) -> bool:
        """Whether the session's addresses are IPv6."""
        return not self.is_loc_rib and bool(self.flags & _IPV6)

    @property
    def spelled(self) -> str:
        """The peer's address; `0.0.0.0` for the router's own table."""
        return spell(self.address, ipv6=self.is_ipv6)

    @property
    def time(self) -> float | None:
        """The router's own timestamp, in Unix seconds; None if it sends none."""
        return self.seconds + self.microseconds / 1e6 if self.seconds or self.microseconds else None


class PeerUp(NamedTuple):
    """The body of a Peer Up (RFC 7854 4.10)."""

    local: bytes
    local_port: int
    port: int
    """The peer's."""
    sent: bytes
    """The router's OPEN, whole."""
    received: bytes
    """The peer's."""
    tlvs: list[tuple[int, bytes]]


def spell(address: bytes, *, ipv6: bool) -> str:
    """An address of 16 bytes, of which IPv4 uses the last four."""
    return socket.inet_ntop(socket.AF_INET6, address) if ipv6 else socket.inet_ntop(socket.AF_INET, address[12:])


def peer_header(message: bytes) -> PeerHeader:
    """The per-peer header of a message.

    Args:
        message: the whole message, of a type in `OF_A_PEER`.

    Raises:
        BadBmpError: it is too short.
    """
    if len(message) < PEER_DATA_AT:
        raise BadBmpError(f"{len(message)} bytes, of which a per-peer header alone takes {PEER_DATA_AT} (RFC 7854 4.2)")
    return PeerHeader(*_PER_PEER.unpack_from(message, COMMON.size))


def tlvs(data: bytes) -> list[tuple[int, bytes]]:
    """Repeated type and value (RFC 7854 4.4).

    Raises:
        BadBmpError: a length extends beyond the end.
    """
    return list(_tlvs(data))


def _tlvs(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        value_at = at + _TLV.size
        if value_at > len(data):
            raise BadBmpError(f"{len(data) - at} bytes are left, too few for a type and a length (RFC 7854 4.4)")
        kind, length = _TLV.unpack_from(data, at)
        at = value_at + length
        if at > len(data):
            raise BadBmpError(f"a TLV of {length} bytes, and {len(data) - value_at} are left (RFC 7854 4.4)")
        yield kind, data[value_at:at]


def peer_up(body: bytes) -> PeerUp:
    """The body of a Peer Up, after its per-peer header.

    Raises:
        BadBmpError: it violates RFC 7854 4.10.
    """
    if len(body) < _UP.size:
        raise BadBmpError(f"{len(body)} bytes are too few for addresses and ports (RFC 7854 4.10)")
    local, local_port, port = _UP.unpack_from(body)
    sent, at = _bgp_message(body, _UP.size)
    received, at = _bgp_message(body, at)
    return PeerUp(local, local_port, port, sent, received, tlvs(body[at:]))


def _bgp_message(data: bytes, at: int) -> tuple[bytes, int]:
    """The BGP message that begins there, and where it ends."""
    end = at + max(int.from_bytes(data[at + 16 : at + 18]), HEADER_LENGTH)
    if not data.startswith(MARKER, at) or end > len(data):
        raise BadBmpError("it does not hold both OPENs (RFC 7854 4.10)")
    return data[at:end], end
