"""Encodes path attributes from documents (RFC 4271 4.3, 5): the inverse of `collector.bgp.attributes`."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from collector.bgp.attribute_values import NEXT_HOP
from collector.bgp.attributes import MP_REACH_NLRI, MP_UNREACH_NLRI
from schemas.attributes import OTC, Attributes, SegmentKind, parse_as_path

_OPTIONAL, _TRANSITIVE, _EXTENDED_LENGTH = 0x80, 0x40, 0x10
_BOTH = _OPTIONAL | _TRANSITIVE
_MOST_OF_SEGMENT = 255
_SHORT = 255
"""The longest value whose length fits in one byte."""


class AttributeBytes(NamedTuple):
    """The field Path Attributes."""

    data: bytes
    left_out: tuple[str, ...]
    """What is missing, because it is stored only as text or was malformed."""


def attribute_bytes(
    attributes: Attributes, *, next_hop: bytes = b"", reach: bytes | None = None, unreach: bytes | None = None
) -> AttributeBytes:
    """The attributes in the order of their type codes (RFC 4271 5), followed by unknown ones.

    AS numbers have four bytes.

    Args:
        attributes: the stored attributes.
        next_hop: NEXT_HOP; b"": none.
        reach: MP_REACH_NLRI; None: none.
        unreach: MP_UNREACH_NLRI; None: none.
    """
    values: dict[str, Any] = {**attributes, "_next_hop": next_hop or None, "_reach": reach, "_unreach": unreach}
    data = bytearray()
    left_out = [words for field, words in _IN_WORDS.items() if field in values and not _has_bytes(values[field])]
    for field, code, flags, write in _WRITERS:
        value = values.get(field)
        if value is None or (field in _IN_WORDS and not _has_bytes(value)):
            continue
        try:
            data += one_attribute(code, flags, write(value))
        except (ValueError, OverflowError, OSError):  # not text of ours: another program wrote it
            left_out.append(field)
    for one in attributes.get("unknown", ()):
        try:
            data += one_attribute(one["code"], one["flags"], bytes.fromhex(one["hex"]))
        except ValueError:  # ExaBGP prints some with a missing digit
            left_out.append(f"attribute {one['code']}")
    return AttributeBytes(bytes(data), tuple(left_out))


def one_attribute(code: int, flags: int, value: bytes) -> bytes:
    """One attribute with its flags, its type code and its length."""
    if len(value) > _SHORT or flags & _EXTENDED_LENGTH:
        return bytes((flags | _EXTENDED_LENGTH, code)) + len(value).to_bytes(2) + value
    return bytes((flags, code, len(value))) + value


def _has_bytes(value: Any) -> bool:
    """Whether a value that ExaBGP prints as text is stored with its bytes."""
    return isinstance(value, Mapping) and "bytes" in value


_ORIGINS: Final = {"igp": b"\0", "egp": b"\1", "incomplete": b"\2"}
_KINDS: Final[dict[SegmentKind, int]] = {"set": 1, "sequence": 2, "confed_sequence": 3, "confed_set": 4}
_WORD = re.compile(r"[0-9]+", re.ASCII)


def _origin(value: str) -> bytes:
    if value not in _ORIGINS:
        raise ValueError(value)
    return _ORIGINS[value]


@lru_cache(maxsize=16_384)
def _as_path(text: str) -> bytes:
    data = bytearray()
    for kind, asns in parse_as_path(text):
        for at in range(0, len(asns), _MOST_OF_SEGMENT):
            some = asns[at : at + _MOST_OF_SEGMENT]
            data += bytes((_KINDS[kind], len(some))) + b"".join(asn.to_bytes(4) for asn in some)
    return bytes(data)


def _aggregator(value: Mapping[str, Any]) -> bytes:
    return int(value["asn"]).to_bytes(4) + socket.inet_aton(value["address"])


@lru_cache(maxsize=65_536)
def _numbers(text: str, width: int, count: int) -> bytes:
    """Numbers separated by colons."""
    words = text.split(":")
    if len(words) != count or not all(map(_WORD.fullmatch, words)):
        raise ValueError(text)
    return b"".join(int(word).to_bytes(width) for word in words)


def _each(write: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    return lambda values: b"".join(map(write, values))


def _four_bytes(value: int) -> bytes:
    return value.to_bytes(4)


def _as_it_is(value: bytes) -> bytes:
    return value


def _of_hex(value: Mapping[str, str]) -> bytes:
    return bytes.fromhex(value["hex"])


_WRITERS: Final[tuple[tuple[str, int, int, Callable[[Any], bytes]], ...]] = (
    ("origin", 1, _TRANSITIVE, _origin),
    ("as_path", 2, _TRANSITIVE, _as_path),
    ("_next_hop", NEXT_HOP, _TRANSITIVE, _as_it_is),
    ("med", 4, _OPTIONAL, _four_bytes),
    ("local_pref", 5, _TRANSITIVE, _four_bytes),
    ("atomic_aggregate", 6, _TRANSITIVE, lambda _: b""),
    ("aggregator", 7, _BOTH, _aggregator),
    ("communities", 8, _BOTH, _each(lambda one: _numbers(one, 2, 2))),
    ("originator_id", 9, _OPTIONAL, socket.inet_aton),
    ("cluster_list", 10, _OPTIONAL, _each(socket.inet_aton)),
    ("_reach", MP_REACH_NLRI, _OPTIONAL, _as_it_is),
    ("_unreach", MP_UNREACH_NLRI, _OPTIONAL, _as_it_is),
    ("extended_communities", 16, _BOTH, _each(_of_hex)),
    ("ipv6_extended_communities", 25, _BOTH, _each(_of_hex)),
    # RFC 7311 3: TLV of type 1, of 11 bytes.
    ("aigp", 26, _OPTIONAL, lambda value: b"\1\0\x0b" + int(value, 16).to_bytes(8)),
    ("bgp_ls", 29, _OPTIONAL, lambda value: bytes.fromhex(value["bytes"])),
    ("large_communities", 32, _BOTH, _each(lambda one: _numbers(one, 4, 3))),
    ("otc", OTC, _BOTH, _four_bytes),
)
"""For each attribute in documents: its type code, its flags, and the function that encodes its value."""

_IN_WORDS: Final = {
    "pmsi_tunnel": "PMSI_TUNNEL",
    "prefix_sid": "BGP Prefix-SID",
    "bgp_ls": "the BGP-LS attribute",
    "other": "attributes that ExaBGP has only in words",
    "error": "what was malformed",
}
"""Attributes stored as ExaBGP's text, mostly without bytes, or not at all."""
