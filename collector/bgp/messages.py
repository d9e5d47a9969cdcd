"""The framing of BGP messages (RFC 4271): their header, and the families of an UPDATE.

No I/O here; `speaker` sends and receives these bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from collector.bgp.families import IPV4, IPV4_UNICAST, Family

OPEN: Final = 1
UPDATE: Final = 2
NOTIFICATION: Final = 3
KEEPALIVE_TYPE: Final = 4

HEADER_LENGTH: Final = 19
MAXIMUM_LENGTH: Final = 4096  # RFC 4271 section 4.1
EXTENDED_LENGTH: Final = 65_535  # RFC 8654

MARKER: Final = b"\xff" * 16
KEEPALIVE: Final = MARKER + b"\x00\x13\x04"

# Path attribute types with routes in them, RFC 4760.
_MP_REACH_NLRI: Final = 14
_MP_UNREACH_NLRI: Final = 15
_EXTENDED_LENGTH_FLAG: Final = 0x10


def message(kind: int, body: bytes = b"") -> bytes:
    """A BGP message: header and body."""
    return MARKER + struct.pack(">HB", HEADER_LENGTH + len(body), kind) + body


def update_families(data: bytes) -> set[Family]:
    """The families whose routes an UPDATE announces or withdraws; for a malformed one, those that can be parsed.

    Args:
        data: the whole message (RFC 4271 section 4.3, RFC 4760).
    """
    families = {family for _code, family, _next_hop in _multiprotocol(data)}
    withdrawn_length = int.from_bytes(data[19:21])
    if withdrawn_length or _attributes_end(data, withdrawn_length) < len(data):
        families.add(IPV4_UNICAST)
    return families


def ipv6_next_hops(data: bytes) -> set[Family]:
    """The IPv4 families for which an UPDATE announces routes with IPv6 next hops, which requires RFC 8950.

    Args:
        data: the whole message.
    """
    return {
        family
        for code, family, next_hop in _multiprotocol(data)
        if code == _MP_REACH_NLRI and family[0] == IPV4 and next_hop >= 16
    }


def _attributes_end(data: bytes, withdrawn_length: int) -> int:
    at = 23 + withdrawn_length
    return at + int.from_bytes(data[at - 2 : at])


def _multiprotocol(data: bytes) -> Iterator[tuple[int, Family, int]]:
    """The type, the family, and the length of the next hop of each MP_REACH_NLRI and MP_UNREACH_NLRI."""
    withdrawn_length = int.from_bytes(data[19:21])
    at = 23 + withdrawn_length
    end = min(_attributes_end(data, withdrawn_length), len(data))
    while at + 3 <= end:
        if data[at] & _EXTENDED_LENGTH_FLAG:
            value_at, length = at + 4, data[at + 2 : at + 4]
        else:
            value_at, length = at + 3, data[at + 2 : at + 3]
        if data[at + 1] in (_MP_REACH_NLRI, _MP_UNREACH_NLRI) and value_at + 3 <= end:
            family = (int.from_bytes(data[value_at : value_at + 2]), data[value_at + 2])
            yield data[at + 1], family, int.from_bytes(data[value_at + 3 : value_at + 4])
        at = value_at + int.from_bytes(length)
