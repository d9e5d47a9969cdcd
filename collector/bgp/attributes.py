"""Decodes path attributes (RFC 4271 4.3, 5) to those of documents (`schemas.attributes.Attributes`).

A malformed attribute never loses the message: RFC 7606 says for each attribute whether it is dropped (attribute
discard) or all routes of the message count as withdrawn (treat-as-withdraw).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from collector.bgp import exabgp_library
from collector.bgp.open_messages import AS_TRANS
from schemas.attributes import OTC, SegmentKind, format_as_path
from schemas.exabgp.attributes import with_sids

MP_REACH_NLRI: Final = 14
MP_UNREACH_NLRI: Final = 15
NEXT_HOP: Final = 3
_AS_PATH: Final = 2
_AGGREGATOR: Final = 7
_AS4_PATH: Final = 17
_AS4_AGGREGATOR: Final = 18

_OPTIONAL, _TRANSITIVE, _EXTENDED_LENGTH = 0x80, 0x40, 0x10
_BOTH = _OPTIONAL | _TRANSITIVE

_FIELDS: Final[tuple[str, ...]] = (
    "origin",
    "as_path",
    "med",
    "local_pref",
    "atomic_aggregate",
    "aggregator",
    "communities",
    "large_communities",
    "extended_communities",
    "ipv6_extended_communities",
    "originator_id",
    "cluster_list",
    "aigp",
    "otc",
    "pmsi_tunnel",
    "prefix_sid",
    "bgp_ls",
    "unknown",
    "error",
)
"""In the order of `schemas.attributes.Attributes`."""


_new = tuple.__new__
"""Calling the named tuple's class takes twice as long, and each UPDATE has one."""


class FaultError(ValueError):
    """A malformed attribute; the text says how."""


class PathAttributes(NamedTuple):
    """The attributes of an UPDATE."""

    document: dict[str, Any]
    """The stored attributes, without those that contain routes or next hops."""
    next_hop: bytes
    """NEXT_HOP (RFC 4271 5.1.3); b"" if absent."""
    reach: bytes | None
    """MP_REACH_NLRI (RFC 4760 3)."""
    unreach: bytes | None
    """MP_UNREACH_NLRI (RFC 4760 4)."""


def read_attributes(data: bytes, *, as4: bool) -> PathAttributes:
    """The path attributes of an UPDATE.

    Args:
        data: the field Path Attributes, without its length.
        as4: whether AS numbers are four bytes wide (RFC 6793).

    Raises:
        ValueError: there are two MP_REACH_NLRI or two MP_UNREACH_NLRI, for which RFC 7606 3 (g) resets a session.
    """
    values: dict[str, Any] = {}
    found: dict[int, bytes] = {}
    error = ""
    at, end = 0, len(data)
    while at < end:
        begin = at
        if begin + 2 >= end:
            error = _worse("treat-as-withdraw", error)  # RFC 7606 4
            break
        if data[begin] & _EXTENDED_LENGTH:
            at += 4 + int.from_bytes(data[begin + 2 : begin + 4])
        else:
            at += 3 + data[begin + 2]
        if at > end:
            error = _worse("treat-as-withdraw", error)
            break
        code, said = data[begin + 1], data[begin:at]
        if code in found:  # all but the first are discarded (RFC 7606 3 (g))
            if code in _OF_ROUTES:
                raise ValueError(f"attribute {code} is there twice")
            continue
        found[code] = said
        if code in _OF_ROUTES:
            continue
        # AS paths are too varied to be cached.
        read = _read if code == _AS_PATH or at - begin > _LONGEST_REMEMBERED else _remembered
        field, value, fault = read(said, as4)
        if fault:
            error = _worse(error, fault)
        elif field == "unknown":
            values.setdefault(field, []).append(value.copy())
        else:
            values[field] = value.copy() if type(value) in _MUTABLE else value
    if not as4:
        _merge_as4(values, _value(found.get(_AS_PATH, b"")))
    if error:
        values["error"] = error
    next_hop = values.pop("_next_hop", b"")
    reach, unreach = found.get(MP_REACH_NLRI), found.get(MP_UNREACH_NLRI)
    return _new(PathAttributes, (_ordered(values), next_hop, reach and _value(reach), unreach and _value(unreach)))


_OF_ROUTES: Final = (MP_REACH_NLRI, MP_UNREACH_NLRI)
_LONGEST_REMEMBERED: Final = 64
_MUTABLE: Final = frozenset((list, dict))


def _value(attribute: bytes) -> bytes:
    """The value of an attribute, after its flags, type and length."""
    return attribute[4:] if attribute[:1] and attribute[0] & _EXTENDED_LENGTH else attribute[3:]


def _ordered(values: dict[str, Any]) -> dict[str, Any]:
    """Values in the order of documents, in which most already are."""
    names = tuple(values)
    order = _in_order(names)
    return values if order == names else {field: values[field] for field in order}


@lru_cache(maxsize=1024)
def _in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of some values in the order of documents."""
    return tuple(field for field in _FIELDS if field in names)


def _read(attribute: bytes, as4: bool) -> tuple[str, Any, str]:
    """The field of an attribute and its value; the third item is the remedy if it is malformed."""
    flags, code, value = attribute[0], attribute[1], _value(attribute)
    reader = _READERS.get(code)
    if reader is None:
        return "unknown", {"code": code, "flags": flags, "hex": value.hex()}, ""
    field, name, expected, remedy, read = reader
    if flags & _BOTH != expected:  # RFC 7606 3 (c)
        return field, None, f"{_WITHDRAW} due to {name}"
    try:
        return field, read(value, as4), ""
    except FaultError:
        return field, None, f"{remedy} due to {name}"


_remembered = lru_cache(maxsize=16_384)(_read)


def _worse(before: str, now: str) -> str:
    """The fault with the stronger remedy; the first of equal ones."""
    return before if before.startswith("treat") or (before and not now.startswith("treat")) else now


# --- one attribute each -----------------------------------------------------------------------------------------------


class _AttributeReader(NamedTuple):
    field: str
    name: str
    """The name in ExaBGP's words, as in `error`."""
    flags: int
    """The flags optional and transitive that it must have."""
    remedy: str
    """RFC 7606 7."""
    read: Callable[[bytes, bool], Any]


_ORIGINS: Final = ("igp", "egp", "incomplete")
_KINDS: Final[dict[int, SegmentKind]] = {1: "set", 2: "sequence", 3: "confed_sequence", 4: "confed_set"}
_SEQUENCE: Final = 2
_Segments = tuple[tuple[SegmentKind, tuple[int, ...]], ...]


def _need(length: int, value: bytes) -> bytes:
    if len(value) != length:
        raise FaultError("length")
    return value


def _origin(value: bytes, _as4: bool) -> str:  # all readers have the same parameters
    code = _need(1, value)[0]
    if code > 2:
        raise FaultError("value")
    return _ORIGINS[code]


def _as_path(value: bytes, as4: bool) -> str:
    if len(value) > 2 and value[0] == _SEQUENCE and len(value) == 2 + value[1] * (4 if as4 else 2):  # nearly all paths
        return " ".join(map(str, struct.unpack_from(f">{value[1]}{'I' if as4 else 'H'}", value, 2)))
    return _format(segments(value, as4=as4))


def segments(value: bytes, *, as4: bool) -> _Segments:
    """The segments of an AS_PATH (RFC 4271 4.3, RFC 5065).

    Raises:
        FaultError: they are malformed (RFC 7606 7.2).
    """
    found, at, width = [], 0, 4 if as4 else 2
    while at < len(value):
        if at + 2 > len(value):
            raise FaultError("segment")
        kind, count = _KINDS.get(value[at]), value[at + 1]
        end = at + 2 + count * width
        if kind is None or not count or end > len(value):
            raise FaultError("segment")
        found.append((kind, struct.unpack_from(f">{count}{'I' if as4 else 'H'}", value, at + 2)))
        at = end
    return tuple(found)


def _number(value: bytes, _as4: bool) -> int:
    return int.from_bytes(_need(4, value))


def _nothing(value: bytes, _as4: bool) -> bool:
    _need(0, value)
    return True


def _aggregator(value: bytes, as4: bool) -> dict[str, Any]:
    width = 4 if as4 else 2
    _need(width + 4, value)
    return {"asn": int.from_bytes(value[:width]), "address": socket.inet_ntoa(value[width:])}


def _as4_aggregator(value: bytes, _as4: bool) -> dict[str, Any]:
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


def _prefix_sid(value: bytes, as4: bool) -> dict[str, Any]:
    return with_sids(_by_exabgp(40, _BOTH)(value, as4), value)


def _bgp_ls(value: bytes, as4: bool) -> Any:
    """The attribute as ExaBGP prints it, and its bytes, which cannot be recovered from that."""
    said = _by_exabgp(29, _OPTIONAL)(value, as4)
    return {**said, "bytes": value.hex()} if isinstance(said, dict) else said


def _as4_path(value: bytes, _as4: bool) -> _Segments:
    return segments(value, as4=True)


_WITHDRAW, _DISCARD = "treat-as-withdraw", "discard"
_READERS: Final = {
    1: _AttributeReader("origin", "origin", _TRANSITIVE, _WITHDRAW, _origin),
    _AS_PATH: _AttributeReader("as_path", "as-path", _TRANSITIVE, _WITHDRAW, _as_path),
    NEXT_HOP: _AttributeReader("_next_hop", "next-hop", _TRANSITIVE, _WITHDRAW, _next_hop),
    4: _AttributeReader("med", "med", _OPTIONAL, _WITHDRAW, _number),
    5: _AttributeReader("local_pref", "local-preference", _TRANSITIVE, _WITHDRAW, _number),
    6: _AttributeReader("atomic_aggregate", "atomic-aggregate", _TRANSITIVE, _DISCARD, _nothing),
    _AGGREGATOR: _AttributeReader("aggregator", "aggregator", _BOTH, _DISCARD, _aggregator),
    8: _AttributeReader("communities", "community", _BOTH, _WITHDRAW, _communities),
    9: _AttributeReader("originator_id", "originator-id", _OPTIONAL, _WITHDRAW, _address),
    10: _AttributeReader("cluster_list", "cluster-list", _OPTIONAL, _WITHDRAW, _clusters),
    16: _AttributeReader("extended_communities", "extended-community", _BOTH, _WITHDRAW, _extended(8)),
    _AS4_PATH: _AttributeReader("_as4_path", "as4-path", _BOTH, _DISCARD, _as4_path),
    _AS4_AGGREGATOR: _AttributeReader("_as4_aggregator", "as4-aggregator", _BOTH, _DISCARD, _as4_aggregator),
    22: _AttributeReader("pmsi_tunnel", "pmsi", _BOTH, _WITHDRAW, _by_exabgp(22, _BOTH)),
    25: _AttributeReader("ipv6_extended_communities", "extended-community-ipv6", _BOTH, _WITHDRAW, _extended(20)),
    26: _AttributeReader("aigp", "aigp", _OPTIONAL, _DISCARD, _aigp),
    29: _AttributeReader("bgp_ls", "bgp-ls", _OPTIONAL, _DISCARD, _bgp_ls),
    32: _AttributeReader("large_communities", "large-community", _BOTH, _WITHDRAW, _large),
    OTC: _AttributeReader("otc", "otc", _BOTH, _WITHDRAW, _number),
    40: _AttributeReader("prefix_sid", "bgp-prefix-sid", _BOTH, _DISCARD, _prefix_sid),
}


# --- AS numbers with two bytes ----------------------------------------------------------------------------------------


def _merge_as4(values: dict[str, Any], path: bytes) -> None:
    """Replace AS_TRANS by AS4_PATH and AS4_AGGREGATOR (RFC 6793 4.2.3).

    Args:
        values: the values so far.
        path: AS_PATH, with two-byte AS numbers.
    """
    aggregator, newer = values.get("aggregator"), values.get("_as4_aggregator")
    if newer and aggregator:
        if aggregator["asn"] != AS_TRANS:
            return  # the last aggregator did not know these attributes: both are ignored
        values["aggregator"] = newer
    if "_as4_path" in values and values.get("as_path"):
        values["as_path"] = _format(merged_path(segments(path, as4=False), values["_as4_path"]))


def merged_path(path: _Segments, newer: _Segments) -> _Segments:
    """AS_PATH with its tail replaced by AS4_PATH, which never has confederation segments (RFC 6793 4.2.3 and 6)."""
    newer = tuple(segment for segment in newer if not segment[0].startswith("confed"))
    lead = _length(path) - _length(newer)
    if lead < 0:
        return path
    kept: list[tuple[SegmentKind, tuple[int, ...]]] = []
    for kind, asns in path:
        if kind.startswith("confed"):
            if lead > 0 or not kept:
                kept.append((kind, asns))
        elif lead > 0 and kind == "set":
            kept.append((kind, asns))
            lead -= 1
        elif lead > 0:
            kept.append((kind, asns[:lead]))
            lead -= len(asns[:lead])
    return (*kept, *newer)


def _length(path: _Segments) -> int:
    """The path length of RFC 4271 9.1.2.2 (a) and RFC 5065 5.3."""
    return sum({"sequence": len(asns), "set": 1}.get(kind, 0) for kind, asns in path)


def _format(path: _Segments) -> str:
    return format_as_path([(kind, list(asns)) for kind, asns in path])
