"""Decodes records of RIB dumps (RFC 6396 4.2 and 4.3, RFC 8050 4): their peers, and the bytes of each route.

No I/O: parts of a record that cannot be parsed are reported together with those that can.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from collector.bgp.families import IPV4_UNICAST, IPV6_UNICAST, Family
from collector.bgp.mrt_header import HEADER, UnreadableError
from collector.bgp.mrt_messages import MrtPeer

PEER_INDEX_TABLE: Final = 1
GEO_PEER_TABLE: Final = 7

_IPV4_MULTICAST: Final[Family] = (1, 2)
_IPV6_MULTICAST: Final[Family] = (2, 2)
_GENERIC: Final[Family] = (0, 0)
"""The record itself has the family."""


class _Form(NamedTuple):
    family: Family
    add_path: bool


_FORMS: Final = {
    2: _Form(IPV4_UNICAST, add_path=False),
    3: _Form(_IPV4_MULTICAST, add_path=False),
    4: _Form(IPV6_UNICAST, add_path=False),
    5: _Form(_IPV6_MULTICAST, add_path=False),
    6: _Form(_GENERIC, add_path=False),
    8: _Form(IPV4_UNICAST, add_path=True),
    9: _Form(_IPV4_MULTICAST, add_path=True),
    10: _Form(IPV6_UNICAST, add_path=True),
    11: _Form(_IPV6_MULTICAST, add_path=True),
    12: _Form(_GENERIC, add_path=True),
}
"""By the subtypes of RFC 6396 4.3 and RFC 8050 4."""

Entry = tuple[int, int, int | None, bytes]
"""The peer's index; when the route was received, in unix seconds; its path ID; its attributes."""


class TableRecord(NamedTuple):
    """One NLRI, and the entries of peers for it."""

    family: Family
    nlri: bytes
    """As in an UPDATE, without a path ID."""
    entries: list[Entry]
    fault: str = ""
    """Why the entries after these cannot be parsed; "" if all can."""


class OldRecord(NamedTuple):
    """One route of one peer, of TABLE_DUMP."""

    peer: MrtPeer
    sequence: int
    record: TableRecord
    """The record with its one entry, which has no index."""


def read_index(raw: bytes) -> list[MrtPeer]:
    """The peers of a PEER_INDEX_TABLE (RFC 6396 4.3.1), in the order of their numbers.

    Args:
        raw: the whole record with its header.

    Raises:
        UnreadableError: it is truncated.
    """
    at = HEADER.size + 4  # after the collector's BGP ID
    at += 2 + int.from_bytes(raw[at : at + 2])
    count = int.from_bytes(raw[at : at + 2])
    at += 2
    peers = []
    for number in range(count):
        kind = raw[at] if at < len(raw) else 0
        size, width = 16 if kind & 1 else 4, 4 if kind & 2 else 2
        address_at = at + 5  # after the type and the peer's BGP ID
        asn_at = address_at + size
        at = asn_at + width
        if at > len(raw):
            raise UnreadableError(f"is a PEER_INDEX_TABLE that ends within peer {number} of {count}")
        family = socket.AF_INET6 if kind & 1 else socket.AF_INET
        peers.append(MrtPeer(socket.inet_ntop(family, raw[address_at:asn_at]), int.from_bytes(raw[asn_at:at])))
    return peers


def read_rib(raw: bytes) -> TableRecord:
    """One of the RIB records of TABLE_DUMP_V2 (RFC 6396 4.3.2 to 4.3.4, RFC 8050 4).

    Args:
        raw: the whole record with its header.

    Raises:
        UnreadableError: it has another subtype, or is damaged so that no entry can be read.
    """
    subtype = int.from_bytes(raw[6:8])
    form = _FORMS.get(subtype)
    if form is None:
        raise UnreadableError(f"is of TABLE_DUMP_V2 subtype {subtype}, which is none of RFC 6396 or RFC 8050")
    family, at = form.family, HEADER.size + 4  # after the sequence number
    if family == _GENERIC:
        family = int.from_bytes(raw[at : at + 2]), raw[at + 2] if at + 2 < len(raw) else 0
        at += 3
    nlri_end = at + _nlri_length(family, raw[at : at + 16])
    if nlri_end + 2 > len(raw):
        raise UnreadableError("ends within its prefix")
    count = int.from_bytes(raw[nlri_end : nlri_end + 2])
    entries, end, fault = _entries(raw, nlri_end + 2, count, add_path=form.add_path)
    if not form.add_path and (fault or end != len(raw)):
        _check_label(raw, nlri_end + 2, count)
    if not fault and end != len(raw):
        fault = f"has {len(raw) - end} bytes after its {count} entries"
    return TableRecord(family, raw[at:nlri_end], entries, fault)


_PLAIN_ENTRY: Final = struct.Struct(">HIH")
_ADD_PATH_ENTRY: Final = struct.Struct(">HIIH")


def _entries(raw: bytes, at: int, count: int, *, add_path: bool) -> tuple[list[Entry], int, str]:
    """The entries, where they end, and why some are missing."""
    entries: list[Entry] = []
    form = _ADD_PATH_ENTRY if add_path else _PLAIN_ENTRY
    read, size, end = form.unpack_from, form.size, len(raw)
    path_id = None
    for number in range(count):
        begin = at + size
        if begin > end:
            return entries, at, f"ends within entry {number + 1} of {count}"
        if add_path:
            peer, originated, path_id, length = read(raw, at)
        else:
            peer, originated, length = read(raw, at)
        at = begin + length
        if at > end:
            return entries, begin, f"ends within the attributes of entry {number + 1} of {count}"
        entries.append((peer, originated, path_id, raw[begin:at]))
    return entries, at, ""


def _check_label(raw: bytes, at: int, count: int) -> None:
    """Detect entries with path identifiers under a subtype without them.

    Raises:
        UnreadableError: there are such entries.
    """
    _, end, fault = _entries(raw, at, count, add_path=True)
    if not fault and end == len(raw):
        raise UnreadableError(
            "has entries with path identifiers (RFC 7911), and its subtype is not one of those (RFC 8050)"
        )


def read_old(raw: bytes) -> OldRecord:
    """A record of TABLE_DUMP (RFC 6396 4.2).

    Args:
        raw: the whole record with its header.

    Raises:
        UnreadableError: it has another subtype, or is damaged.
    """
    subtype = int.from_bytes(raw[6:8])
    if subtype not in (1, 2):
        raise UnreadableError(f"is of TABLE_DUMP subtype {subtype}, not IPv4 (1) or IPv6 (2)")
    family, size, version = (IPV4_UNICAST, 4, socket.AF_INET) if subtype == 1 else (IPV6_UNICAST, 16, socket.AF_INET6)
    at = HEADER.size + 4  # after the view and the sequence number
    bits_at = at + size
    address_at = bits_at + 6  # after the length, the status, and the time
    begin = address_at + size + 4
    if begin > len(raw):
        raise UnreadableError("ends before its attributes")
    bits, originated = raw[bits_at], int.from_bytes(raw[bits_at + 2 : address_at])
    peer = MrtPeer(
        socket.inet_ntop(version, raw[address_at : address_at + size]), int.from_bytes(raw[begin - 4 : begin - 2])
    )
    length = int.from_bytes(raw[begin - 2 : begin])
    if begin + length != len(raw):
        raise UnreadableError(f"has {len(raw) - begin} bytes of attributes where it says {length}")
    nlri = bytes((bits,)) + raw[at : at + (bits + 7) // 8]
    record = TableRecord(family, nlri, [(0, originated, None, raw[begin:])])
    return OldRecord(peer, int.from_bytes(raw[HEADER.size + 2 : HEADER.size + 4]), record)


# --- how long one NLRI is ---------------------------------------------------------------------------------------------


def _nlri_length(family: Family, data: bytes) -> int:
    measure = _of_bits if family[0] in (1, 2) and family[1] in _OF_BITS else _LENGTHS.get(family[1])
    if measure is None:
        raise UnreadableError(f"has a route of family {family[0]}/{family[1]}, whose length cannot be told")
    try:
        return measure(data)
    except IndexError:
        raise UnreadableError("ends within its prefix") from None


def _of_bits(data: bytes) -> int:
    return 1 + (data[0] + 7) // 8


def _of_flow(data: bytes) -> int:
    """RFC 8955 4.1: 12 bits if the first four are set."""
    return 1 + data[0] if data[0] < 0xF0 else 2 + (int.from_bytes(data[:2]) & 0xFFF)


_OF_BITS: Final = frozenset((1, 2, 4, 128, 132))
_LENGTHS: Final[dict[int, Callable[[bytes], int]]] = {
    5: lambda data: 2 + data[1],  # RFC 6514 4
    65: lambda data: 2 + int.from_bytes(data[:2]),  # RFC 4761 3.2.2
    70: lambda data: 2 + data[1],  # RFC 7432 7
    71: lambda data: 4 + int.from_bytes(data[2:4]),  # RFC 9552 5.2
    72: lambda data: 4 + int.from_bytes(data[2:4]),
    85: lambda data: 4 + data[3],
    133: _of_flow,
    134: _of_flow,
}
"""For routes that are not prefixes, by subsequent family."""
