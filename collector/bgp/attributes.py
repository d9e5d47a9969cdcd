"""Decodes path attributes (RFC 4271 4.3, 5) to those of documents (`schemas.attributes.Attributes`).

A malformed attribute never loses the message: RFC 7606 says for each attribute whether it is dropped (attribute
discard) or all routes of the message count as withdrawn (treat-as-withdraw).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from collector.bgp.as_paths import FaultError, format_segments, merged_path, segments
from collector.bgp.attribute_values import AS_PATH, BOTH, READERS, WITHDRAW
from collector.bgp.open_messages import AS_TRANS
from schemas.attributes import Attributes

MP_REACH_NLRI: Final = 14
MP_UNREACH_NLRI: Final = 15

_EXTENDED_LENGTH: Final = 0x10

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


class PathAttributes(NamedTuple):
    """The attributes of an UPDATE."""

    document: Attributes
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
        code, attribute = data[begin + 1], data[begin:at]
        if code in found:  # all but the first are discarded (RFC 7606 3 (g))
            if code in _OF_ROUTES:
                raise ValueError(f"attribute {code} is there twice")
            continue
        found[code] = attribute
        if code in _OF_ROUTES:
            continue
        # AS paths are too varied to be cached.
        read = _read if code == AS_PATH or at - begin > _LONGEST_REMEMBERED else _remembered
        field, value, fault = read(attribute, as4)
        if fault:
            error = _worse(error, fault)
        elif field == "unknown":
            values.setdefault(field, []).append(value.copy())
        else:
            values[field] = value.copy() if type(value) in _MUTABLE else value
    if not as4:
        _merge_as4(values, _value(found.get(AS_PATH, b"")))
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


def _ordered(values: dict[str, Any]) -> Attributes:
    """Values in the order of documents, in which most already are."""
    names = tuple(values)
    order = _in_order(names)
    return cast("Attributes", values if order == names else {field: values[field] for field in order})


@lru_cache(maxsize=1024)
def _in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of some values in the order of documents."""
    return tuple(field for field in _FIELDS if field in names)


def _read(attribute: bytes, as4: bool) -> tuple[str, Any, str]:
    """The field of an attribute and its value; the third item is the remedy if it is malformed."""
    flags, code, value = attribute[0], attribute[1], _value(attribute)
    reader = READERS.get(code)
    if reader is None:
        return "unknown", {"code": code, "flags": flags, "hex": value.hex()}, ""
    field, name, expected, remedy, read = reader
    if flags & BOTH != expected:  # RFC 7606 3 (c)
        return field, None, f"{WITHDRAW} due to {name}"
    try:
        return field, read(value, as4), ""
    except FaultError:
        return field, None, f"{remedy} due to {name}"


_remembered = lru_cache(maxsize=16_384)(_read)


def _worse(before: str, now: str) -> str:
    """The fault with the stronger remedy; the first of equal ones."""
    return before if before.startswith("treat") or (before and not now.startswith("treat")) else now


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
        values["as_path"] = format_segments(merged_path(segments(path, as4=False), values["_as4_path"]))
