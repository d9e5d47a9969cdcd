"""Encodes MRT records (RFC 6396, RFC 8050): the inverse of `mrt_messages` and `mrt_tables`."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from collector.bgp.families import Family
from collector.bgp.mrt_header import BGP4MP_ET, HEADER, TABLE_DUMP_V2
from collector.bgp.mrt_messages import MrtPeer

_STATE_CHANGE_AS4: Final = 5
_PEER_INDEX_TABLE: Final = 1
_RIB_GENERIC: Final = 6
_RIBS: Final[dict[Family, int]] = {(1, 1): 2, (1, 2): 3, (2, 1): 4, (2, 2): 5}
_WITH_PATH_IDS: Final = 6
"""The subtypes of RFC 8050 4 are this much higher than those of RFC 6396 4.3, including RIB_GENERIC."""
_SUBTYPES: Final = {(True, False): 4, (False, False): 1, (True, True): 9, (False, True): 8}
"""BGP4MP's subtypes, by whether AS numbers have four bytes, and whether routes have path identifiers; those of messages
from the collector itself are two or three higher."""
_LOCAL: Final = {4: 7, 1: 6, 9: 11, 8: 10}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_IPV6, _AS4 = 0x01, 0x02


def message_record(
    ts: datetime,
    peer: MrtPeer,
    collector: MrtPeer,
    data: bytes,
    *,
    as4: bool = True,
    add_path: bool = False,
    local: bool = False,
) -> bytes:
    """A BGP message (BGP4MP_ET; RFC 6396 3, 4.4.2 and 4.4.3, RFC 8050 3).

    Args:
        ts: when it arrived, to the microsecond.
        peer: who sent it.
        collector: the other end.
        data: the whole message.
        as4: whether AS numbers in it have four bytes.
        add_path: whether its routes have path identifiers.
        local: whether the collector sent it.
    """
    subtype = _SUBTYPES[as4, add_path]
    return _bgp4mp(ts, _LOCAL[subtype] if local else subtype, _speakers(peer, collector, as4) + data)


def state_record(ts: datetime, peer: MrtPeer, collector: MrtPeer, old: int, new: int) -> bytes:
    """A state change (RFC 6396 4.4.1), with the RFC's numbers of states."""
    return _bgp4mp(ts, _STATE_CHANGE_AS4, _speakers(peer, collector, True) + struct.pack(">HH", old, new))  # noqa: FBT003


def _bgp4mp(ts: datetime, subtype: int, body: bytes) -> bytes:
    seconds, rest = divmod(ts - _EPOCH, timedelta(seconds=1))
    return HEADER.pack(seconds, BGP4MP_ET, subtype, len(body) + 4) + rest.microseconds.to_bytes(4) + body


@lru_cache(maxsize=4096)
def _speakers(peer: MrtPeer, collector: MrtPeer, as4: bool) -> bytes:
    """Two AS numbers, the interface, the family, two addresses."""
    version = socket.AF_INET6 if ":" in peer.address else socket.AF_INET
    width, most = (4, 2**32 - 1) if as4 else (2, 2**16 - 1)
    asns = b"".join((asn if asn <= most else 23_456).to_bytes(width) for asn in (peer.asn, collector.asn))
    there = b"".join(socket.inet_pton(version, one.address) for one in (peer, collector))
    return asns + struct.pack(">HH", 0, 2 if version == socket.AF_INET6 else 1) + there


# --- a table ----------------------------------------------------------------------------------------------------------


class IndexedPeer(NamedTuple):
    """A peer in a table's index."""

    address: str
    asn: int
    router_id: str
    """Its BGP identifier; 0.0.0.0 if unknown."""


class TableEntry(NamedTuple):
    """One peer's route."""

    peer: int
    """Its index, from 0."""
    since: int
    """Unix seconds."""
    path_id: int | None
    attributes: bytes
    """With MP_REACH_NLRI reduced to the next hop (RFC 6396 4.3.4)."""


def index_record(at: datetime, peers: Sequence[IndexedPeer], view: str = "") -> bytes:
    """PEER_INDEX_TABLE (RFC 6396 4.3.1), which precedes all routes."""
    name = view.encode()
    body = bytearray(bytes(4) + struct.pack(">H", len(name)) + name + struct.pack(">H", len(peers)))
    for peer in peers:
        version = socket.AF_INET6 if ":" in peer.address else socket.AF_INET
        kind = _AS4 | (_IPV6 if version == socket.AF_INET6 else 0)
        body += bytes((kind,)) + socket.inet_aton(peer.router_id) + socket.inet_pton(version, peer.address)
        body += peer.asn.to_bytes(4)
    return _table_dump(at, _PEER_INDEX_TABLE, bytes(body))


def rib_record(at: datetime, sequence: int, family: Family, nlri: bytes, entries: Sequence[TableEntry]) -> bytes:
    """All peers' routes of one prefix (RFC 6396 4.3.2 and 4.3.3, RFC 8050 4).

    Args:
        at: the time of the table.
        sequence: the number of the record, from 0.
        family: the prefix's family.
        nlri: the prefix, or the route of another family, without a path identifier.
        entries: all with path identifiers, or all without.
    """
    subtype = _RIBS.get(family, _RIB_GENERIC)
    lead = struct.pack(">I", sequence % 2**32)
    if subtype == _RIB_GENERIC:
        lead += struct.pack(">HB", *family)
    body = bytearray(lead + nlri + struct.pack(">H", len(entries)))
    for peer, since, path_id, attributes in entries:
        identifier = b"" if path_id is None else path_id.to_bytes(4)
        body += struct.pack(">HI", peer, since) + identifier + len(attributes).to_bytes(2) + attributes
    with_ids = bool(entries) and entries[0].path_id is not None
    return _table_dump(at, subtype + (_WITH_PATH_IDS if with_ids else 0), bytes(body))


def _table_dump(at: datetime, subtype: int, body: bytes) -> bytes:
    return HEADER.pack(int(at.timestamp()), TABLE_DUMP_V2, subtype, len(body)) + body
