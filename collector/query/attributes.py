"""Converts stored attributes to those of answers, and parses attributes for the filter `--attribute`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.attributes import OTC, Aggregator, ExtendedCommunity, UnknownAttribute, malformed
from schemas.extended import extended_words
from schemas.query import HistoryEntry, Route

_AS_STORED = frozenset(
    (
        *("as_path", "origin", "med", "local_pref", "communities", "large_communities", "atomic_aggregate"),
        *("next_hop", "link_local", "labels", "object", "originator_id", "cluster_list", "otc", "pmsi_tunnel"),
        *("prefix_sid", "bgp_ls"),
    )
)
_ASN_DIGITS = 8

AnswerFields = dict[str, Any]
"""Fields of `Route` and `HistoryEntry` about attributes, by name."""
AttributesDocument = Mapping[str, Any]
"""`schemas.attributes.Attributes`, with all else that a document says about a route."""


def answered(stored: AttributesDocument) -> AnswerFields:
    """The attributes, and all else that a document says about a route, in the form of answers.

    They were validated before they were stored; validating each again would take a third of a table's time.
    """
    if _AS_STORED.issuperset(stored):
        return dict(stored)
    found: AnswerFields = {}
    for name, value in stored.items():
        if name in _AS_STORED:
            found[name] = value
        elif read := _READERS.get(name):
            found.update(read(value))
    return found


def _extended(name: str) -> Callable[[Any], AnswerFields]:
    def read(value: Sequence[Mapping[str, str]]) -> AnswerFields:
        words = [extended_words(one["hex"], one.get("text", "")) for one in value]
        return {name: [ExtendedCommunity(hex=one["hex"], text=text) for one, text in zip(value, words, strict=True)]}

    return read


def _unknown(value: Sequence[Mapping[str, Any]]) -> AnswerFields:
    """Unknown attributes, without Only to Customer, which version 0.1 stored among them."""
    found: AnswerFields = {}
    for one in value:
        if one["code"] == OTC and len(one["hex"]) == _ASN_DIGITS:
            found["otc"] = int(one["hex"], 16)
        else:
            found.setdefault("unknown_attributes", []).append(UnknownAttribute.model_validate(one))
    return found


def _aigp(value: str) -> AnswerFields:
    try:
        return {"aigp": int(value, 16)}
    except ValueError:
        return {"other_attributes": {"aigp": value}}


_READERS: dict[str, Callable[[Any], AnswerFields]] = {
    "aggregator": lambda value: {"aggregator": Aggregator.model_validate(value)},
    "extended_communities": _extended("extended_communities"),
    "ipv6_extended_communities": _extended("ipv6_extended_communities"),
    "aigp": _aigp,
    "unknown": _unknown,
    "other": lambda value: {"other_attributes": value},
    "error": lambda value: {"error": malformed(value)},
}


# --- conditions on attributes --------------------------------------------------------------------------------------

_Texts = Callable[[HistoryEntry | Route], Sequence[object]]


def _one(name: str) -> _Texts:
    def texts(route: HistoryEntry | Route) -> Sequence[object]:
        value = getattr(route, name)
        return () if value is None else value if isinstance(value, list) else (value,)

    return texts


def _aggregator(route: HistoryEntry | Route) -> Sequence[object]:
    of = route.aggregator
    return (of.asn, of.address, f"{of.asn}:{of.address}") if of else ()


def _words(name: str) -> _Texts:
    return lambda route: [one.text or f"0x{one.hex}" for one in getattr(route, name) or ()]


ATTRIBUTES: dict[str, _Texts] = {
    "otc": _one("otc"),
    "aigp": _one("aigp"),
    "aggregator": _aggregator,
    "atomic-aggregate": _one("atomic_aggregate"),
    "originator-id": _one("originator_id"),
    "cluster-list": _one("cluster_list"),
    "link-local": _one("link_local"),
    "pmsi-tunnel": _one("pmsi_tunnel"),
    "prefix-sid": _one("prefix_sid"),
    "bgp-ls": _one("bgp_ls"),
    "malformed": _one("error"),
}
"""The attributes that can be queried by name, and their possible values."""


_BY_CODE: dict[int, _Texts] = {
    1: _one("origin"),
    2: _one("as_path"),
    3: _one("next_hop"),
    4: _one("med"),
    5: _one("local_pref"),
    6: ATTRIBUTES["atomic-aggregate"],
    7: ATTRIBUTES["aggregator"],
    8: _one("communities"),
    9: ATTRIBUTES["originator-id"],
    10: ATTRIBUTES["cluster-list"],
    16: _words("extended_communities"),
    22: ATTRIBUTES["pmsi-tunnel"],
    25: _words("ipv6_extended_communities"),
    26: ATTRIBUTES["aigp"],
    29: ATTRIBUTES["bgp-ls"],
    32: _one("large_communities"),
    OTC: ATTRIBUTES["otc"],
    40: ATTRIBUTES["prefix-sid"],
}
"""Attributes that ExaBGP or this program interprets, by type code; of others only the bytes are known."""


class AttributeCondition(NamedTuple):
    """A condition on an attribute."""

    name: str
    """One of `ATTRIBUTES`, or a type code."""
    value: str | None
    """`*` matches any part; None: any value."""

    def is_in(self, route: HistoryEntry | Route) -> bool:
        """Whether a route has such an attribute."""
        code = None if self.name in ATTRIBUTES else int(self.name)
        texts = ATTRIBUTES[self.name] if code is None else _BY_CODE.get(code)
        found = [str(one).lower() for one in texts(route)] if texts else []
        found += [one.hex.lower() for one in route.unknown_attributes or () if one.code == code]
        return any(_matches(one, self.value.lower()) for one in found) if self.value is not None else bool(found)


def _matches(text: str, pattern: str) -> bool:
    """Whether a text matches a pattern; each part is searched for once, so no pattern is slow."""
    first, *parts = pattern.split("*")
    if not parts:
        return text == first
    *between, last = parts
    if not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in between:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end


def parse_attribute(text: str) -> AttributeCondition:
    """Parse a condition such as `otc`, `otc=64500`, `cluster-list=10.0.0.*`, `250` or `0xfa=0102`.

    Raises:
        ValueError: no attribute has this name.
    """
    name, equals, value = text.strip().partition("=")
    name = name.lower().replace("_", "-")
    if name not in ATTRIBUTES:
        code = int(name, 0)
        if not 0 < code < 2**8:
            raise ValueError(text)
        name = str(code)
        value = value.lower().removeprefix("0x")
    if equals and not value:
        raise ValueError(text)
    return AttributeCondition(name, value if equals else None)
