"""A record in the spool: a BMP message, preceded by what it does not contain itself.

That is: when it was read, from which router and connection, what is known about its session, and whether the router's
own time can be right. So a record can be decoded without any other.
"""

from __future__ import annotations

import enum
import socket
import struct
from functools import lru_cache
from typing import Final, NamedTuple

from collector.bgp.families import Family
from collector.bgp.open_messages import capabilities
from collector.sources.bmp.messages import BadBmpError

MARK: Final = 1
"""The first byte of a record with a BMP message; the receiver's own events begin with another (`events`)."""
_HEAD: Final = struct.Struct(">BBQ16sHB")
"""The mark, facts, arrival in microseconds, the router's address and port, how many families have path identifiers."""
_FAMILY: Final = struct.Struct(">HBB")

_AS4, _ADD_PATH = 65, 69  # capabilities
_MOST_FAMILIES: Final = 255


class Facts(enum.IntFlag):
    """What is known about a message in addition to its contents."""

    PEER_IS_UP = 1
    """There was a Peer Up of its peer in this connection."""
    TWO_BYTE_AS = 2
    """Its OPENs did not negotiate four-byte AS numbers (RFC 6793)."""
    BACKWARDS = 4
    """The router's time is before that of an earlier message of the peer."""
    STANDING = 8
    """The router's time is the same as in other messages about peers, long ago: such as when it started."""


class Ways(enum.IntFlag):
    """In which directions routes of a family have path identifiers (RFC 7911)."""

    IN = 1
    """From the peer to the router."""
    OUT = 2
    """From the router to the peer."""


AddPath = tuple[tuple[Family, Ways], ...]


class Agreed(NamedTuple):
    """What the OPENs of a session negotiated."""

    as4: bool = True
    add_path: AddPath = ()


class Record(NamedTuple):
    """A BMP message, and what is known about it."""

    arrival: float
    """Unix seconds."""
    router: str
    port: int
    facts: Facts
    add_path: AddPath
    message: bytes


def pack(arrival: float, router: bytes, port: int, facts: Facts, add_path: AddPath, message: bytes) -> bytes:
    """A record.

    Args:
        arrival: when it was read, in Unix seconds.
        router: the router's address, 16 bytes; IPv4 as RFC 4291 2.5.5.2 maps it.
        port: its port.
        facts: what is known of the message.
        add_path: of the session that it tells of.
        message: the whole BMP message.
    """
    head = _HEAD.pack(MARK, facts, int(arrival * 1e6), router, port, len(add_path))
    return head + _families(add_path) + message


@lru_cache(maxsize=4096)
def _families(add_path: AddPath) -> bytes:
    return b"".join(_FAMILY.pack(afi, safi, ways) for (afi, safi), ways in add_path)


def unpack(record: bytes) -> Record:
    """Parse the result of `pack`.

    Raises:
        BadBmpError: the record is truncated, or not one.
    """
    if len(record) < _HEAD.size:
        raise BadBmpError(f"a record of {len(record)} bytes")
    mark, facts, arrival, router, port, count = _HEAD.unpack_from(record)
    at = _HEAD.size + count * _FAMILY.size
    if mark != MARK or len(record) < at:
        raise BadBmpError("no record of a BMP receiver")
    return Record(arrival / 1e6, _spell(router), port, Facts(facts & 15), _ways(record[_HEAD.size : at]), record[at:])


@lru_cache(maxsize=4096)
def _ways(packed: bytes) -> AddPath:
    return tuple(((afi, safi), Ways(ways & 3)) for afi, safi, ways in _FAMILY.iter_unpack(packed))


@lru_cache(maxsize=4096)
def _spell(router: bytes) -> str:
    if router.startswith(bytes(10) + b"\xff\xff"):
        return socket.inet_ntop(socket.AF_INET, router[12:])
    return socket.inet_ntop(socket.AF_INET6, router)


def agreed(sent: bytes, received: bytes) -> Agreed:
    """What two OPENs negotiate; one that cannot be parsed is assumed to offer only four-byte AS numbers.

    Args:
        sent: the router's, without its header.
        received: the peer's.
    """
    ours, its = _offers(sent), _offers(received)
    ways: dict[Family, Ways] = {}
    for family in sorted(ours.modes.keys() & its.modes.keys()):
        # Of the mode (RFC 7911 4) bit 0 is "can receive", bit 1 is "can send".
        both = Ways(0)
        if its.modes[family] & 2 and ours.modes[family] & 1:
            both |= Ways.IN
        if ours.modes[family] & 2 and its.modes[family] & 1:
            both |= Ways.OUT
        if both:
            ways[family] = both
    return Agreed(ours.as4 and its.as4, tuple(ways.items())[:_MOST_FAMILIES])


class _Offers(NamedTuple):
    as4: bool
    modes: dict[Family, int]


def _offers(body: bytes) -> _Offers:
    try:
        found = list(capabilities(body))
    except (ValueError, IndexError):
        return _Offers(as4=True, modes={})
    modes = {
        (afi, safi): mode
        for code, value in found
        if code == _ADD_PATH
        for afi, safi, mode in _FAMILY.iter_unpack(value[: len(value) - len(value) % _FAMILY.size])
    }
    return _Offers(any(code == _AS4 for code, _ in found), modes)
