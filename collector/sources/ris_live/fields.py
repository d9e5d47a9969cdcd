"""Decodes RIS Live's own fields of a message, if its bytes are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from schemas.attributes import Attributes, SegmentKind, format_as_path
from schemas.json_object import JsonObject
from schemas.message_fields import MessageFields
from schemas.message_parts import Announced
from schemas.scalars import normalise_address, normalise_prefix, one_next_hop

_Origin = Literal["igp", "egp", "incomplete"]
_ORIGINS: Final[Mapping[str, _Origin]] = {"igp": "igp", "egp": "egp", "incomplete": "incomplete"}
_END_OF_RIB: Final = "eor"
_MOST: Final = 2**32


def update_fields(data: JsonObject, peer: str) -> MessageFields:
    """The fields of an UPDATE, or of an End-of-RIB.

    Args:
        data: RIS Live's fields.
        peer: the peer's address: the family of an End-of-RIB is missing, and assumed to be that of the session.

    Raises:
        ValueError: it does not have RIS Live's form; likewise TypeError, KeyError and AttributeError.
    """
    withdrawn = [route for route in data.get("withdrawals") or () if route != _END_OF_RIB]
    announced = data.get("announcements") or ()
    if not withdrawn and not announced and (data.get(_END_OF_RIB) or data.get("withdrawals")):
        return {"kind": "eor", "family": "ipv6 unicast" if ":" in peer else "ipv4 unicast"}
    fields: MessageFields = {"kind": "update"}
    if attributes := _attributes(data):
        fields["attributes"] = attributes
    if announced:
        fields["announce"] = _announced(announced)
    if withdrawn:
        fields["withdraw"] = _by_family(withdrawn)
    return fields


def open_fields(data: JsonObject) -> MessageFields:
    """The fields of an OPEN; capabilities by their codes."""
    capabilities = data.get("capabilities") or {}
    return {
        "kind": "open",
        "version": data["version"],
        "asn": _number(data["asn"]),
        "hold_time": data["hold_time"],
        "router_id": normalise_address(data["router_id"]),
        "capabilities": [
            {"code": int(code), **(value if isinstance(value, dict) else {"value": value})}
            for code, value in capabilities.items()
        ],
    }


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str) or not 0 <= int(value) < _MOST:
        raise ValueError(f"{str(value)[:40]!r} is not a number of 32 bits")
    return int(value)


def _attributes(data: JsonObject) -> Attributes:
    found: Attributes = {}
    if data.get("origin") is not None:
        found["origin"] = _origin(data["origin"])
    if data.get("path") is not None:
        found["as_path"] = _path(data["path"])
    if data.get("med") is not None:
        found["med"] = _number(data["med"])
    if data.get("aggregator") is not None:
        asn, _, address = data["aggregator"].partition(":")
        found["aggregator"] = {"asn": _number(asn), "address": normalise_address(address)}
    if data.get("community"):
        found["communities"] = [f"{_number(high)}:{_number(low)}" for high, low in data["community"]]
    return found


def _origin(text: str) -> _Origin:
    origin = _ORIGINS.get(text.lower())
    if origin is None:
        raise ValueError(f"{text[:40]!r} is no ORIGIN")
    return origin


def _path(path: Sequence[Any]) -> str:
    """An AS path; a list within it is an AS_SET."""
    segments: list[tuple[SegmentKind, list[int]]] = []
    for part in path:
        if isinstance(part, list):
            segments.append(("set", [_number(asn) for asn in part]))
        elif segments and segments[-1][0] == "sequence":
            segments[-1][1].append(_number(part))
        else:
            segments.append(("sequence", [_number(part)]))
    return format_as_path(segments)


def _announced(groups: Sequence[JsonObject]) -> list[Announced]:
    """Routes by next hop; an IPv6 next hop is repeated with its link-local address (RFC 2545 3)."""
    hops: dict[tuple[str, ...], list[str]] = {}
    for group in groups:
        routes = tuple(normalise_prefix(route) for route in group["prefixes"])
        hops.setdefault(routes, []).extend(normalise_address(hop) for hop in group["next_hop"].split(","))
    found = []
    for routes, addresses in hops.items():
        hop, link_local = one_next_hop(addresses[0], addresses[1]) if len(addresses) == 2 else (addresses[0], None)
        for one in _by_family(routes):
            one["next_hop"] = hop
            if link_local:
                one["link_local"] = link_local
            found.append(one)
    return found


def _by_family(routes: Sequence[str]) -> list[Announced]:
    found: dict[str, list[str]] = {}
    for route in routes:
        family = "ipv6 unicast" if ":" in route else "ipv4 unicast"
        found.setdefault(family, []).append(normalise_prefix(route))
    return [{"family": family, "nlri": nlri} for family, nlri in found.items()]
