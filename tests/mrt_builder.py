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
    return index((peer, asn), time=time) + rib(prefix, entry(attributes, path_id=path_id), time=time)


def index(*peers: tuple[str, int], time: float) -> bytes:
    """A PEER_INDEX_TABLE (RFC 6396 4.3.1)."""
    body = bytes(4) + b"\0\0" + len(peers).to_bytes(2)
    for address, asn in peers:
        packed = ip_address(address).packed
        kind = 2 if len(packed) == 4 else 3  # the AS number has four bytes; bit 0: the address is of IPv6
        body += bytes((kind,)) + bytes(4) + packed + asn.to_bytes(4)
    return record(13, 1, body, time)


def entry(attributes: bytes, peer: int = 0, *, originated: int = 0, path_id: int | None = None) -> bytes:
    """What one peer of an index says of a prefix (RFC 6396 4.3.4, RFC 8050 4)."""
    identifier = b"" if path_id is None else path_id.to_bytes(4)
    return peer.to_bytes(2) + originated.to_bytes(4) + identifier + len(attributes).to_bytes(2) + attributes


def rib(prefix: str, *entries: bytes, time: float, subtype: int | None = None) -> bytes:
    """A prefix of a RIB dump (RFC 6396 4.3.2); its subtype is that of unicast, with path IDs where entries are so."""
    if subtype is None:
        has_ids = len(entries[0]) == 12 + int.from_bytes(entries[0][10:12])
        subtype = (4 if ":" in prefix else 2) + (6 if has_ids else 0)
    return record(13, subtype, bytes(4) + nlri(prefix) + len(entries).to_bytes(2) + b"".join(entries), time)


def old_rib(prefix: str, attributes: bytes, peer: str, asn: int, *, sequence: int, originated: int, time: int) -> bytes:
    """A route of one peer in a TABLE_DUMP (RFC 6396 4.2); its AS path has two bytes a number."""
    address, _, length = prefix.partition("/")
    packed, whose = ip_address(address).packed, ip_address(peer).packed
    body = struct.pack(">HH", 0, sequence) + packed + bytes((int(length), 1)) + originated.to_bytes(4)
    body += whose + struct.pack(">HH", asn, len(attributes)) + attributes
    return record(12, 1 if len(packed) == 4 else 2, body, time)


def attributes(*path: int, as4: bool = True, hop: str = "192.0.2.1", full: bool = False, community: int = 0) -> bytes:
    """The attributes of a dumped route; an IPv6 next hop as in RFC 6396 4.3.4, or within a `full` MP_REACH_NLRI."""
    hops = b"".join(asn.to_bytes(4 if as4 else 2) for asn in path)
    segment = bytes((2, len(path))) + hops
    said = b"\x40\x01\x01\x00" + bytes((0x40, 2, len(segment))) + segment
    packed = ip_address(hop).packed
    if len(packed) == 4:
        said += b"\x40\x03\x04" + packed
    else:
        reach = bytes((len(packed),)) + packed
        reach = b"\0\2\1" + reach + b"\0" + nlri("2001:db8::/32") if full else reach
        said += bytes((0x80, 14, len(reach))) + reach
    return said + (b"\xc0\x08\x04" + community.to_bytes(4) if community else b"")


def nlri(prefix: str, path_id: int | None = None) -> bytes:
    address, _, length = prefix.partition("/")
    bits = int(length)
    identifier = b"" if path_id is None else path_id.to_bytes(4)
    return identifier + bytes((bits,)) + ip_address(address).packed[: (bits + 7) // 8]
