"""Decodes MRT records of sessions (BGP4MP, RFC 6396 4.4, RFC 8050): BGP messages with their exact bytes, and states.

Only the framing is parsed here: who sent a message, when, and in which encoding. Other modules parse the contents.
"""

from __future__ import annotations

import socket
import struct
from functools import lru_cache
from typing import Final, NamedTuple

from collector.bgp.mrt_header import BGP4MP, BGP4MP_ET, HEADER, UnreadableError, describe_type

_MARKER: Final = b"\xff" * 16
_SHORTEST_MESSAGE: Final = 19
_new = tuple.__new__
"""Calling the named tuple's class takes twice as long, and a file has millions of records."""


class MrtPeer(NamedTuple):
    """A BGP speaker in the file: one address with two AS numbers counts as two peers."""

    address: str
    asn: int


class MrtMessage(NamedTuple):
    """One BGP message of the file.

    `as4`: AS numbers in it are four bytes wide (MESSAGE_AS4). `add_path`: its routes carry path identifiers (RFC 8050).
    `local`: the collector that wrote the file sent it; otherwise the peer did. `collector` is the collector's end of
    the session.
    """

    record: int
    time: float
    peer: MrtPeer
    collector: MrtPeer
    data: bytes
    as4: bool
    add_path: bool
    local: bool


class MrtStateChange(NamedTuple):
    """The collector's session with the peer changed state; the numbers are those of RFC 6396 section 4.4.1."""

    record: int
    time: float
    peer: MrtPeer
    collector: MrtPeer
    old: int
    new: int


Record = MrtMessage | MrtStateChange


class _Subtype(NamedTuple):
    as4: bool
    message: bool = True
    add_path: bool = False
    local: bool = False


# RFC 6396 section 4.4 and RFC 8050 section 3.
_SUBTYPES: Final = {
    0: _Subtype(as4=False, message=False),
    1: _Subtype(as4=False),
    4: _Subtype(as4=True),
    5: _Subtype(as4=True, message=False),
    6: _Subtype(as4=False, local=True),
    7: _Subtype(as4=True, local=True),
    8: _Subtype(as4=False, add_path=True),
    9: _Subtype(as4=True, add_path=True),
    10: _Subtype(as4=False, add_path=True, local=True),
    11: _Subtype(as4=True, add_path=True, local=True),
}


class _RecordLayout(NamedTuple):
    """The offsets of the fields of a BGP4MP record: two AS numbers, interface, family, two addresses."""

    as_width: int
    family: socket.AddressFamily
    address_at: int
    address_end: int
    payload_at: int


def _layout(as_width: int, family: socket.AddressFamily, address_width: int) -> _RecordLayout:
    address_at = 2 * as_width + 4
    return _RecordLayout(as_width, family, address_at, address_at + address_width, address_at + 2 * address_width)


_LAYOUTS: Final = {
    (as4, afi): _layout(4 if as4 else 2, family, width)
    for as4 in (False, True)
    for afi, family, width in ((1, socket.AF_INET, 4), (2, socket.AF_INET6, 16))
}


def parse(raw: bytes, record: int = 0) -> Record:
    """The BGP message, or the state change, in one record.

    Args:
        raw: the whole record with its header.
        record: its number.

    Raises:
        UnreadableError: it has another type, or is damaged within its length.
    """
    time, kind, subtype, _length = HEADER.unpack_from(raw)
    at = HEADER.size
    if kind == BGP4MP:
        return _bgp4mp(record, subtype, time, raw[at:])
    if kind == BGP4MP_ET:
        if len(raw) < at + 4:
            raise UnreadableError("has no room for its microseconds")
        return _bgp4mp(record, subtype, time + int.from_bytes(raw[at : at + 4]) / 1_000_000, raw[at + 4 :])
    raise UnreadableError(f"is of MRT type {describe_type(kind)}, not BGP4MP (16) or BGP4MP_ET (17)")


def _bgp4mp(record: int, subtype: int, time: float, body: bytes) -> Record:
    form = _SUBTYPES.get(subtype)
    if form is None:
        raise UnreadableError(f"is of BGP4MP subtype {subtype}, which is none of RFC 6396 or RFC 8050")
    layout = _layout_of(form.as4, body)
    peer, collector = _ends(form.as4, body[: layout.payload_at])
    if form.message:
        data = body[layout.payload_at :]
        _check_message(data)
        return _new(MrtMessage, (record, time, peer, collector, data, form.as4, form.add_path, form.local))
    if len(body) != layout.payload_at + 4:
        raise UnreadableError("is a state change without its two states")
    old, new = struct.unpack_from(">HH", body, layout.payload_at)
    return MrtStateChange(record, time, peer, collector, old, new)


def _layout_of(as4: bool, body: bytes) -> _RecordLayout:
    afi_at = 10 if as4 else 6
    afi = int.from_bytes(body[afi_at : afi_at + 2])
    layout = _LAYOUTS.get((as4, afi))
    if layout is None:
        raise UnreadableError(f"has peers of address family {afi}, not IPv4 (1) or IPv6 (2)")
    if len(body) < layout.payload_at:
        raise UnreadableError("ends before the addresses of its peers do")
    return layout


@lru_cache(maxsize=16384)
def _ends(as4: bool, head: bytes) -> tuple[MrtPeer, MrtPeer]:
    """The peer and the collector, from the fields before a record's message."""
    layout = _layout_of(as4, head)
    width, end = layout.as_width, layout.address_end
    addresses = head[layout.address_at : end], head[end : layout.payload_at]
    numbers = head[:width], head[width : 2 * width]
    peer, collector = (
        MrtPeer(socket.inet_ntop(layout.family, address), int.from_bytes(asn))
        for address, asn in zip(addresses, numbers, strict=True)
    )
    return peer, collector


def _check_message(data: bytes) -> None:
    if len(data) < _SHORTEST_MESSAGE or not data.startswith(_MARKER):
        raise UnreadableError("holds no BGP message: the marker of RFC 4271 section 4.1 is not there")
    length = int.from_bytes(data[16:18])
    if length != len(data):
        raise UnreadableError(f"holds a BGP message of {length} bytes in {len(data)}")
