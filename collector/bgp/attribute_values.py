"""Decodes the value of one path attribute each, and says what is done if it is malformed (RFC 7606 7)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from collector.bgp import exabgp_library
from collector.bgp.as_paths import FaultError, Segments, read_as_path, segments
from schemas.attributes import OTC
from schemas.exabgp.attributes import with_sids
from schemas.json_object import JsonObject

NEXT_HOP: Final = 3
AS_PATH: Final = 2
_AGGREGATOR: Final = 7
_AS4_PATH: Final = 17
_AS4_AGGREGATOR: Final = 18

_OPTIONAL, _TRANSITIVE = 0x80, 0x40
BOTH = _OPTIONAL | _TRANSITIVE
"""The flags of RFC 4271 4.3 that an attribute's type prescribes."""


class AttributeReader(NamedTuple):
    """How an attribute is decoded."""

    field: str
    name: str
    """The name in ExaBGP's words, as in `error`."""
    flags: int
    """The flags optional and transitive that it must have."""
    remedy: str
    """RFC 7606 7."""
    read: Callable[[bytes, bool], Any]


_ORIGINS: Final = ("igp", "egp", "incomplete")


def _need(length: int, value: bytes) -> bytes:
    if len(value) != length:
        raise FaultError("length")
    return value


def _origin(value: bytes, _as4: bool) -> str:  # all readers have the same parameters
    code = _need(1, value)[0]
    if code > 2:
        raise FaultError("value")
    return _ORIGINS[code]


def _number(value: bytes, _as4: bool) -> int:
    return int.from_bytes(_need(4, value))


def _nothing(value: bytes, _as4: bool) -> bool:
    _need(0, value)
    return True


def _aggregator(value: bytes, as4: bool) -> JsonObject:
    width = 4 if as4 else 2
    _need(width + 4, value)
    return {"asn": int.from_bytes(value[:width]), "address": socket.inet_ntoa(value[width:])}


def _as4_aggregator(value: bytes, _as4: bool) -> JsonObject:
    return {"asn": int.from_bytes(_need(8, value)[:4]), "address": socket.inet_ntoa(value[4:])}


def _next_hop(value: bytes, _as4: bool) -> bytes:
    return _need(4, value)


def _address(value: bytes, _as4: bool) -> str:
    return socket.inet_ntoa(_need(4, value))


def _pieces(value: bytes, size: int) -> Iterator[bytes]:
    if not value or len(value) % size:
        raise FaultError("length")
    return (value[at : at + size] for at in range(0, len(value), size))


def _communities(value: bytes, _as4: bool) -> list[str]:
    if not value or len(value) % 4:
        raise FaultError("length")
    return [f"{high}:{low}" for high, low in struct.iter_unpack(">HH", value)]


def _large(value: bytes, _as4: bool) -> list[str]:
    if not value or len(value) % 12:
        raise FaultError("length")
    return [f"{asn}:{one}:{two}" for asn, one, two in struct.iter_unpack(">III", value)]


def _extended(size: int) -> Callable[[bytes, bool], list[dict[str, str]]]:
    def read(value: bytes, _as4: bool) -> list[dict[str, str]]:
        return [{"hex": one.hex(), "text": exabgp_library.community_words(one)} for one in _pieces(value, size)]

    return read


def _clusters(value: bytes, _as4: bool) -> list[str]:
    return [socket.inet_ntoa(one) for one in _pieces(value, 4)]


def _aigp(value: bytes, _as4: bool) -> str:
    """The first AIGP TLV (RFC 7311 3): type 1, length 11, 64 bits."""
    at = 0
    while at + 3 <= len(value):
        length = int.from_bytes(value[at + 1 : at + 3])
        if value[at] == 1 and length == 11 and at + 11 <= len(value):
            return f"0x{value[at + 3 : at + 11].hex()}"
        if length < 3:
            break
        at += length
    raise FaultError("no AIGP TLV")


def _by_exabgp(code: int, flags: int) -> Callable[[bytes, bool], Any]:
    def read(value: bytes, _as4: bool) -> Any:
        try:
            return exabgp_library.attribute(code, flags, value)
        except exabgp_library.UnreadError as error:
            raise FaultError(str(error)) from error

    return read


def _prefix_sid(value: bytes, as4: bool) -> JsonObject:
    return with_sids(_by_exabgp(40, BOTH)(value, as4), value)


def _bgp_ls(value: bytes, as4: bool) -> Any:
    """The attribute as ExaBGP prints it, and its bytes, which cannot be recovered from that."""
    value_json = _by_exabgp(29, _OPTIONAL)(value, as4)
    return {**value_json, "bytes": value.hex()} if isinstance(value_json, dict) else value_json


def _as4_path(value: bytes, _as4: bool) -> Segments:
    return segments(value, as4=True)


WITHDRAW, _DISCARD = "treat-as-withdraw", "discard"
READERS: Final = {
    1: AttributeReader("origin", "origin", _TRANSITIVE, WITHDRAW, _origin),
    AS_PATH: AttributeReader("as_path", "as-path", _TRANSITIVE, WITHDRAW, read_as_path),
    NEXT_HOP: AttributeReader("_next_hop", "next-hop", _TRANSITIVE, WITHDRAW, _next_hop),
    4: AttributeReader("med", "med", _OPTIONAL, WITHDRAW, _number),
    5: AttributeReader("local_pref", "local-preference", _TRANSITIVE, WITHDRAW, _number),
    6: AttributeReader("atomic_aggregate", "atomic-aggregate", _TRANSITIVE, _DISCARD, _nothing),
    _AGGREGATOR: AttributeReader("aggregator", "aggregator", BOTH, _DISCARD, _aggregator),
    8: AttributeReader("communities", "community", BOTH, WITHDRAW, _communities),
    9: AttributeReader("originator_id", "originator-id", _OPTIONAL, WITHDRAW, _address),
    10: AttributeReader("cluster_list", "cluster-list", _OPTIONAL, WITHDRAW, _clusters),
    16: AttributeReader("extended_communities", "extended-community", BOTH, WITHDRAW, _extended(8)),
    _AS4_PATH: AttributeReader("_as4_path", "as4-path", BOTH, _DISCARD, _as4_path),
    _AS4_AGGREGATOR: AttributeReader("_as4_aggregator", "as4-aggregator", BOTH, _DISCARD, _as4_aggregator),
    22: AttributeReader("pmsi_tunnel", "pmsi", BOTH, WITHDRAW, _by_exabgp(22, BOTH)),
    25: AttributeReader("ipv6_extended_communities", "extended-community-ipv6", BOTH, WITHDRAW, _extended(20)),
    26: AttributeReader("aigp", "aigp", _OPTIONAL, _DISCARD, _aigp),
    29: AttributeReader("bgp_ls", "bgp-ls", _OPTIONAL, _DISCARD, _bgp_ls),
    32: AttributeReader("large_communities", "large-community", BOTH, WITHDRAW, _large),
    OTC: AttributeReader("otc", "otc", BOTH, WITHDRAW, _number),
    40: AttributeReader("prefix_sid", "bgp-prefix-sid", BOTH, _DISCARD, _prefix_sid),
}
