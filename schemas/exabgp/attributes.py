"""Path attributes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from schemas.attributes import Aggregator, Attributes, ExtendedCommunity, SegmentKind, UnknownAttribute, format_as_path
from schemas.exabgp.shapes import SaidAttributes, SaidExtendedCommunity, required
from schemas.scalars import storable

_UNKNOWN = re.compile(r"attribute-0x([0-9A-F]{2})-0x([0-9A-F]{2})")
_PLAIN = {
    "origin": "origin",
    "med": "med",
    "local-preference": "local_pref",
    "originator-id": "originator_id",
    "cluster-list": "cluster_list",
    "aigp": "aigp",
    "pmsi": "pmsi_tunnel",
    "error": "error",
}
_PATH_PARTS: dict[str, SegmentKind] = {
    "confederation-path": "confed_sequence",
    "confederation-set": "confed_set",
    "as-path": "sequence",
    "as-set": "set",
}
_ELEMENTS: dict[str, SegmentKind] = {
    "as-sequence": "sequence",
    "as-set": "set",
    "as-confed-sequence": "confed_sequence",
    "as-confed-set": "confed_set",
}


def read_attributes(said: SaidAttributes, *, announces: bool) -> Attributes:
    """The attributes of an UPDATE, of one that announces or of one that does not."""
    values: dict[str, Any] = {}
    for name, value in said.items():
        if name in _PLAIN:
            values[_PLAIN[name]] = value
        elif name in _CONVERTERS:
            field, convert = _CONVERTERS[name]
            values[field] = convert(value)
        elif name not in _PATH_PARTS:
            _keep_unknown(values, name, value)
    path = _as_path(said)
    # ExaBGP 5.0 leaves out an empty path, which every announcement has (RFC 4271 5: AS_PATH is mandatory).
    if path is not None or announces:
        values["as_path"] = path or ""
    return Attributes(**values)


def _keep_unknown(values: dict[str, Any], name: str, value: Any) -> None:
    matched = _UNKNOWN.fullmatch(name)
    if matched:
        code, flags = (int(part, 16) for part in matched.groups())
        attribute = UnknownAttribute(code=code, flags=flags, hex=str(value).removeprefix("0x"))
        values.setdefault("unknown", []).append(attribute)
    else:
        values.setdefault("other", {}).update(storable({name: value}))


def _as_path(said: SaidAttributes) -> str | None:
    """The path of 5.0 (numbered segments) or of 4.2 (flat lists a kind, whose order among each other is lost)."""
    path = said.get("as-path")
    if isinstance(path, dict):
        return format_as_path([(_ELEMENTS[segment["element"]], segment["value"]) for segment in path.values()])
    if path is None and "as-set" not in said:
        return None
    parts = [(kind, said[name]) for name, kind in _PATH_PARTS.items() if said.get(name)]  # type: ignore[literal-required]
    return format_as_path(parts)


def _aggregator(value: str) -> Aggregator:
    asn, _, address = value.partition(":")
    return Aggregator(asn=int(asn), address=address)


def _extended(digits: int) -> Callable[[list[SaidExtendedCommunity]], list[ExtendedCommunity]]:
    def convert(value: list[SaidExtendedCommunity]) -> list[ExtendedCommunity]:
        return [
            ExtendedCommunity(hex=f"{required(one, 'value'):0{digits}x}", text=one.get("string", "")) for one in value
        ]

    return convert


_CONVERTERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "atomic-aggregate": ("atomic_aggregate", lambda value: True if value else None),
    "aggregator": ("aggregator", _aggregator),
    "community": ("communities", lambda value: [f"{high}:{low}" for high, low in value]),
    "large-community": ("large_communities", lambda value: [f"{asn}:{one}:{two}" for asn, one, two in value]),
    "extended-community": ("extended_communities", _extended(16)),
    "extended-community-ipv6": ("ipv6_extended_communities", _extended(40)),
    "bgp-prefix-sid": ("prefix_sid", storable),
    "bgp-ls": ("bgp_ls", storable),
}
