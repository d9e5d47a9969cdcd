"""Path attributes."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

from pydantic import TypeAdapter

from schemas.attributes import (
    OTC,
    Attributes,
    SegmentKind,
    StoredAggregator,
    StoredExtendedCommunity,
    StoredUnknownAttribute,
    format_as_path,
)
from schemas.exabgp.shapes import JsonAttributes, JsonExtendedCommunity, required
from schemas.json_object import JsonObject
from schemas.scalars import storable

_UNKNOWN = re.compile(r"attribute-0x([0-9A-F]{2})-0x([0-9A-F]{2})")
_ASN = re.compile(r"[0-9a-fA-F]{8}")
_FIELDS = tuple(Attributes.__annotations__)
"""In the order of documents."""
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


def read_attributes(given: JsonAttributes, *, announces: bool) -> Attributes:
    """The attributes of an UPDATE that announces routes, or of one that does not."""
    attributes: Attributes = {"origin": given["origin"]} if "origin" in given else {}
    path = _as_path(given)
    # ExaBGP 5.0 leaves out an empty path, but every announcement has one (RFC 4271 5: AS_PATH is mandatory).
    if path is not None or announces:
        attributes["as_path"] = path or ""
    read: JsonObject = attributes  # type: ignore[assignment]  # by the names of its fields
    unknown = False
    for name, value in given.items():  # they arrive in the order of their shape, which is the order of documents
        if name in _READ:
            field, convert = _READ[name]
            read[field] = convert(value) if convert else value
        elif name not in _PATH_PARTS:
            _keep_unknown(read, name, value)
            unknown = True
    if not read.get("atomic_aggregate", True):
        del read["atomic_aggregate"]
    return _in_order(read) if unknown else attributes


def _in_order(read: JsonObject) -> Attributes:
    return cast("Attributes", {field: read[field] for field in _FIELDS if field in read})


def _keep_unknown(read: JsonObject, name: str, value: Any) -> None:
    matched = _UNKNOWN.fullmatch(name)
    if not matched:
        read.setdefault("other", {}).update(storable({name: value}))
        return
    code, flags = (int(part, 16) for part in matched.groups())
    digits = str(value).removeprefix("0x")
    if code == OTC and _ASN.fullmatch(digits):
        read["otc"] = int(digits, 16)
    else:
        read.setdefault("unknown", []).append(StoredUnknownAttribute(code=code, flags=flags, hex=digits))


def with_bytes(attributes: Attributes, wire: bytes) -> Attributes:
    """Attributes with details that only a message's bytes have (RFC 4271 4.3): flags of unknown ones, and SRv6 SIDs."""
    unknown, prefix_sid = attributes.get("unknown"), attributes.get("prefix_sid")
    if not unknown and not prefix_sid:
        return attributes
    came = {code: (flags, value) for flags, code, value in _read(wire)}
    filled = attributes.copy()
    if unknown:
        flags = {code: flags for code, (flags, _) in came.items()}
        filled["unknown"] = [{**one, "flags": flags.get(one["code"], one["flags"])} for one in unknown]
    if prefix_sid and _PREFIX_SID in came:
        filled["prefix_sid"] = with_sids(prefix_sid, came[_PREFIX_SID][1])
    return filled


def _read(wire: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The flags, code and value of each attribute."""
    at = _HEADER + 2 + int.from_bytes(wire[_HEADER : _HEADER + 2])
    end = min(at + 2 + int.from_bytes(wire[at : at + 2]), len(wire))
    at += 2
    while at + _SHORTEST <= end:
        flags, code = wire[at], wire[at + 1]
        begin = at + 2 + (2 if flags & _EXTENDED_LENGTH else 1)
        at = begin + int.from_bytes(wire[at + 2 : begin])
        yield flags, code, wire[begin : min(at, end)]


def with_sids(printed: JsonObject, value: bytes) -> JsonObject:
    """A prefix-SID with its SRv6 SIDs (RFC 9252 2), which ExaBGP does not print; unchanged if they do not fit."""
    filled = dict(printed)
    for kind, service in _tlvs(value):
        name = _SERVICES.get(kind, "")
        sids = [sid for sub_kind, sid in _tlvs(service[1:]) if sub_kind == _SID_INFORMATION and len(sid) >= _SID_BYTES]
        there = printed.get(name)
        if isinstance(there, list) and len(there) == len(sids) and all(isinstance(one, dict) for one in there):
            filled[name] = [{**one, **_sid(sid)} for one, sid in zip(there, sids, strict=True)]
    return filled


def _tlvs(value: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _SHORTEST <= len(value):
        end = at + _SHORTEST + int.from_bytes(value[at + 1 : at + _SHORTEST])
        yield value[at], value[at + _SHORTEST : end]
        at = end


def _sid(information: bytes) -> JsonObject:
    """RFC 9252 3.1: a reserved byte, the SID, its flags, its behaviour."""
    sid = socket.inet_ntop(socket.AF_INET6, information[1:17])
    return {"sid": sid, "flags": information[17], "endpoint_behavior": int.from_bytes(information[18:20])}


_PREFIX_SID = 40
_SERVICES = {5: "l3-service", 6: "l2-service"}
_SID_INFORMATION, _SID_BYTES = 1, 20
_HEADER, _SHORTEST = 19, 3
_EXTENDED_LENGTH = 0x10


def _as_path(given: JsonAttributes) -> str | None:
    """The path of 5.0 (numbered segments) or of 4.2 (a flat list for each kind, whose relative order is lost)."""
    path = given.get("as-path")
    if isinstance(path, dict):
        if len(path) == 1 and (only := path.get("0")) and only["element"] == "as-sequence":  # nearly always
            return " ".join(map(str, only["value"]))
        return format_as_path([(_ELEMENTS[segment["element"]], segment["value"]) for segment in path.values()])
    if path is None and "as-set" not in given:
        return None
    parts = [(kind, given[name]) for name, kind in _PATH_PARTS.items() if given.get(name)]  # type: ignore[literal-required]
    return format_as_path(parts)


def _aggregator(value: str) -> StoredAggregator:
    asn, _, address = value.partition(":")
    return _check_aggregator({"asn": int(asn), "address": address})  # type: ignore[no-any-return]


_check_aggregator = TypeAdapter(StoredAggregator).validator.validate_python


def _extended(digits: int) -> Callable[[list[JsonExtendedCommunity]], list[StoredExtendedCommunity]]:
    def convert(value: list[JsonExtendedCommunity]) -> list[StoredExtendedCommunity]:
        return [{"hex": f"{required(one, 'value'):0{digits}x}", "text": one.get("string", "")} for one in value]

    return convert


_READ: dict[str, tuple[str, Callable[[Any], Any] | None]] = {
    "origin": ("origin", None),
    "med": ("med", None),
    "local-preference": ("local_pref", None),
    "atomic-aggregate": ("atomic_aggregate", None),
    "aggregator": ("aggregator", _aggregator),
    "community": ("communities", lambda value: [f"{high}:{low}" for high, low in value]),
    "large-community": ("large_communities", lambda value: [f"{asn}:{one}:{two}" for asn, one, two in value]),
    "extended-community": ("extended_communities", _extended(16)),
    "extended-community-ipv6": ("ipv6_extended_communities", _extended(40)),
    "originator-id": ("originator_id", None),
    "cluster-list": ("cluster_list", None),
    "aigp": ("aigp", None),
    "pmsi": ("pmsi_tunnel", None),
    "bgp-prefix-sid": ("prefix_sid", storable),
    "bgp-ls": ("bgp_ls", storable),
    "error": ("error", None),
}
"""For each attribute: its name in documents, and the conversion of ExaBGP's value if it differs."""
