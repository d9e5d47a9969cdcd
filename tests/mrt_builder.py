"""Builds MRT files, a record at a time: RFC 6396 in the other direction, for tests only."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from collector.bgp import messages as bgp

WITH_AS4 = {4, 5, 7, 9, 11}


def record(kind: int, subtype: int, body: bytes, time: float = 0) -> bytes:
    return struct.pack(">IHHI", int(time), kind, subtype, len(body)) + body


def open_peer(address: str, asn: int, *, as4: bool = True) -> bytes:
    """The first part of a BGP4MP record: who speaks with whom."""
    packed = ip_address(address).packed
    width = 4 if as4 else 2
    afi = 1 if len(packed) == 4 else 2
    return asn.to_bytes(width) + (64_510).to_bytes(width) + struct.pack(">HH", 0, afi) + packed + bytes(len(packed))


def _bgp4mp(subtype: int, address: str, asn: int, time: float, rest: bytes) -> bytes:
    body = open_peer(address, asn, as4=subtype in WITH_AS4) + rest
    microseconds = round(time % 1 * 1_000_000)
    if microseconds:
        return record(17, subtype, microseconds.to_bytes(4) + body, time)
    return record(16, subtype, body, time)


def message(data: bytes, *, address: str = "192.0.2.1", asn: int = 64500, subtype: int = 4, time: float = 0) -> bytes:
    """A BGP4MP record with a BGP message; BGP4MP_ET where the time is not whole."""
    return _bgp4mp(subtype, address, asn, time, data)


def state_change(
    old: int, new: int, *, address: str = "192.0.2.1", asn: int = 64500, subtype: int = 5, time: float = 0
) -> bytes:
    return _bgp4mp(subtype, address, asn, time, struct.pack(">HH", old, new))


def announcement(prefix: str, *path: int, as4: bool = True, path_id: int | None = None) -> bytes:
    """An UPDATE that announces one IPv4 prefix."""
    hops = b"".join(asn.to_bytes(4 if as4 else 2) for asn in path)
    segment = bytes((2, len(path))) + hops
    attributes = b"\x40\x01\x01\x00" + bytes((0x40, 2, len(segment))) + segment + b"\x40\x03\x04\xc0\x00\x02\x01"
    return bgp.message(bgp.UPDATE, b"\0\0" + len(attributes).to_bytes(2) + attributes + nlri(prefix, path_id))


def withdrawal(prefix: str) -> bytes:
    """An UPDATE that withdraws one IPv4 prefix."""
    routes = nlri(prefix)
    return bgp.message(bgp.UPDATE, len(routes).to_bytes(2) + routes + b"\0\0")


def announcement6(prefix: str, *path: int) -> bytes:
    """An UPDATE that announces one IPv6 prefix in MP_REACH_NLRI."""
    segment = bytes((2, len(path))) + b"".join(asn.to_bytes(4) for asn in path)
    reach = b"\0\2\1\x10" + ip_address("2001:db8::1").packed + b"\0" + nlri(prefix)
    attributes = b"\x40\x01\x01\x00" + bytes((0x40, 2, len(segment))) + segment + bytes((0x80, 14, len(reach))) + reach
    return bgp.message(bgp.UPDATE, b"\0\0" + len(attributes).to_bytes(2) + attributes)


def table(prefix: str, attributes: bytes, *, peer: str, asn: int, time: float, path_id: int | None = None) -> bytes:
    """A dumped table of one peer, with one route (RFC 6396 4.3, RFC 8050 4): its index, then the route."""
    address = ip_address(peer).packed
    kind = 2 if len(address) == 4 else 3  # the AS number has four bytes; bit 0: the address is of IPv6
    index = bytes(4) + b"\0\0" + b"\0\1" + bytes((kind,)) + bytes(4) + address + asn.to_bytes(4)
    subtype = (4 if ":" in prefix else 2) + (0 if path_id is None else 6)
    identifier = b"" if path_id is None else path_id.to_bytes(4)
    entry = b"\0\0" + bytes(4) + identifier + len(attributes).to_bytes(2) + attributes
    return record(13, 1, index, time) + record(13, subtype, bytes(4) + nlri(prefix) + b"\0\1" + entry, time)


def nlri(prefix: str, path_id: int | None = None) -> bytes:
    address, _, length = prefix.partition("/")
    bits = int(length)
    identifier = b"" if path_id is None else path_id.to_bytes(4)
    return identifier + bytes((bits,)) + ip_address(address).packed[: (bits + 7) // 8]
