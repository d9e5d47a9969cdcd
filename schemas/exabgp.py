"""ExaBGP's JSON, of 5.0 and of 4.2, and its translation into our messages.

The shapes are typed dictionaries: pydantic checks them, and a `Message` is the only object made of a line.
A line is told by its shape, never by the version that it claims (both versions print wrong ones).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, NotRequired, TypeVar

from pydantic import ConfigDict, FailFast, Field, TypeAdapter
from typing_extensions import TypeAliasType, TypedDict

from schemas import message
from schemas.attributes import (
    Aggregator,
    Attributes,
    ExtendedCommunity,
    SegmentKind,
    UnknownAttribute,
    format_as_path,
)
from schemas.message import Announced, Message, Peer, Source, Withdrawn
from schemas.scalars import (
    Address,
    Asn,
    Count,
    Uint8,
    Uint16,
    Uint32,
    from_unix,
    normalise_address,
    normalise_prefix,
    storable,
)

_LENIENT = ConfigDict(extra="allow")

_Item = TypeVar("_Item")
_Many = Annotated[list[_Item], FailFast()]
"""A list of which the first fault is told: a line of 8 MB can have a million, at 2 kB of memory each."""


class _Addresses(TypedDict):
    local: Address
    peer: Address


class _Asns(TypedDict):
    local: Asn
    peer: Asn


class _Envelope(TypedDict, total=False):
    """Keys that every line has, and those of some; see `../shared/exabgp.md` and ExaBGP's response/json.py."""

    time: float
    pid: Uint32
    counter: Count
    type: str
    header: str
    body: str


class _Segment(TypedDict):
    element: Literal["as-sequence", "as-set", "as-confed-sequence", "as-confed-set"]
    value: _Many[Asn]


class _ExtendedCommunity(TypedDict, total=False):
    value: Annotated[int, Field(ge=0, lt=2**64)]
    string: str


class _ExtendedCommunity6(TypedDict, total=False):
    value: Annotated[int, Field(ge=0, lt=2**160)]
    string: str


# A name for it, as FailFast has no hash, which a union needs of its members.
_FlatPath = TypeAliasType("_FlatPath", _Many[Asn])

_Attributes = TypedDict(
    "_Attributes",
    {
        "origin": Literal["igp", "egp", "incomplete", "invalid"],
        "as-path": dict[str, _Segment] | _FlatPath,
        "as-set": _Many[Asn],
        "confederation-path": _Many[Asn],
        "confederation-set": _Many[Asn],
        "med": Uint32,
        "local-preference": Uint32,
        "atomic-aggregate": bool,
        "aggregator": str,
        "community": _Many[tuple[Uint16, Uint16]],
        "large-community": _Many[tuple[Uint32, Uint32, Uint32]],
        "extended-community": _Many[_ExtendedCommunity],
        "extended-community-ipv6": _Many[_ExtendedCommunity6],
        "originator-id": str,
        "cluster-list": _Many[str],
        "aigp": str,
        "pmsi": str,
        "bgp-prefix-sid": dict[str, Any],
        "bgp-ls": dict[str, Any],
        "error": str,
    },
    total=False,
)
_Attributes.__pydantic_config__ = _LENIENT  # type: ignore[attr-defined]  # pydantic's documented way for this syntax

_Routes = _Many[dict[str, Any] | str]


class _Update(TypedDict, total=False):
    attribute: _Attributes
    announce: dict[str, dict[str, _Routes]]
    withdraw: dict[str, _Routes]


class _EndOfRib(TypedDict):
    afi: str
    safi: str


class _Body(TypedDict, total=False):
    """What stands under `message`: an UPDATE, an End-of-RIB, or a packet's bytes."""

    update: _Update
    eor: _EndOfRib
    category: Uint8
    header: str
    body: str


class _Open(TypedDict):
    version: Uint8
    asn: Asn
    hold_time: Uint16
    router_id: str
    capabilities: dict[str, dict[str, Any]]


class _Notification(TypedDict, total=False):
    code: Uint8
    subcode: Uint8
    data: str
    message: str


class _Refresh(TypedDict):
    afi: str
    safi: str
    subtype: str


_Neighbor = TypedDict(
    "_Neighbor",
    {
        "address": _Addresses,
        "asn": _Asns,
        "router-id": str,
        "direction": Literal["receive", "send"],
        "message": _Body,
        "open": _Open,
        "notification": _Notification,
        "route-refresh": _Refresh,
        "operational": dict[str, Any],
        "negotiated": dict[str, Any],
        "state": str,
        "reason": str,
        "code": str | int,
        "name": str,
    },
    total=False,
)


class _NeighborLine(_Envelope):
    neighbor: _Neighbor


class _ShutdownLine(_Envelope):
    notification: Literal["shutdown"]


class _HelperLine(TypedDict):
    """A line of our own receiver's among those that it reads; see collector/wire/markers.py."""

    bgpledger: Literal["receive"]
    event: Literal["start", "end", "dropped"]
    time: float
    pid: Uint32
    ppid: Uint32
    incarnation: NotRequired[Annotated[str, Field(max_length=100)]]
    since: NotRequired[float]
    lines: NotRequired[Count]
    bytes: NotRequired[Count]
    reason: NotRequired[Annotated[str, Field(max_length=300)]]


_NEIGHBOR_LINE = TypeAdapter(_NeighborLine)
_SHUTDOWN_LINE = TypeAdapter(_ShutdownLine)
_HELPER_LINE = TypeAdapter(_HelperLine)
_LABEL = TypeAdapter(list[Uint32])
_CODE = TypeAdapter(Uint8)


def to_message(line: Mapping[str, Any]) -> Message:
    """Translate one parsed line of ExaBGP, or of our receiver.

    Raises:
        ValueError: (pydantic's ValidationError is one) this is no line of theirs; the text says where and why.
    """
    if "neighbor" in line:
        return _from_neighbor(_NEIGHBOR_LINE.validate_python(line))
    if "bgpledger" in line:
        return _from_helper(_HELPER_LINE.validate_python(line))
    if "notification" in line:
        shutdown = _SHUTDOWN_LINE.validate_python(line)
        return message.Shutdown(ts=from_unix(_required(shutdown, "time")), source=_source(shutdown))
    raise ValueError("an object without a neighbor: not a line of ExaBGP's")


def _from_helper(line: _HelperLine) -> Message:
    common: dict[str, Any] = {
        "ts": from_unix(line["time"]),
        "source": Source(pid=line["ppid"]),
        "helper_pid": line["pid"],
    }
    if line["event"] == "start":
        return message.HelperStart(**common, incarnation=line.get("incarnation"))
    if line["event"] == "end":
        return message.HelperEnd(**common)
    counts = {key: _required(line, key) for key in ("lines", "bytes", "reason")}
    return message.Dropped(**common, since=from_unix(_required(line, "since")), **counts)


def _required(line: Mapping[str, Any], key: str) -> Any:
    try:
        return line[key]
    except KeyError:
        raise ValueError(f"{key!r} is missing") from None


def _source(line: _Envelope) -> Source:
    return Source(pid=_required(line, "pid"), counter=line.get("counter"))


def _from_neighbor(line: _NeighborLine) -> Message:
    neighbor = line["neighbor"]
    common = {
        "ts": from_unix(_required(line, "time")),
        "source": _source(line),
        "peer": _peer(_required(neighbor, "address")["peer"], _required(neighbor, "asn")["peer"]),
    }
    if "header" in line:
        common["wire"] = _bytes(line["header"]) + _bytes(line.get("body", "0x"))
    kind = _required(line, "type")
    if neighbor.get("direction") == "send":
        detail = {key: value for key, value in neighbor.items() if key not in ("address", "asn", "direction")}
        return message.Sent(**common, category=kind, detail=storable(detail))
    body = neighbor.get("message")
    if body is not None and "header" in body:
        common["wire"] = _bytes(body["header"]) + _bytes(body.get("body", "0x"))
        return message.Packet(**common, category=kind)
    try:
        translate = _TRANSLATIONS[kind]
    except KeyError:
        raise ValueError(f"no such type of line: {kind[:60]!r}") from None
    return translate(common, neighbor)


@lru_cache(maxsize=1024)
def _peer(address: str, asn: int) -> Peer:
    return Peer(address=address, asn=asn)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


# --- messages ---------------------------------------------------------------------------------------------------


def _update(common: dict[str, Any], neighbor: _Neighbor) -> Message:
    body = _required(neighbor, "message")
    if "eor" in body:
        return message.EndOfRib(**common, family=f"{body['eor']['afi']} {body['eor']['safi']}")
    update = _required(body, "update")
    announce, withdraw = update.get("announce"), update.get("withdraw")
    attribute = update.get("attribute")
    return message.Update(
        **common,
        attributes=None if attribute is None else _attributes(attribute, announces=bool(announce)),
        announce=_announced(announce) if announce else None,
        withdraw=[group for family, routes in withdraw.items() for group in _withdrawn(family, routes)]
        if withdraw
        else None,
    )


def _open(common: dict[str, Any], neighbor: _Neighbor) -> Message:
    said = _required(neighbor, "open")
    return message.Open(
        **common,
        local=_local(neighbor),
        version=said["version"],
        asn=said["asn"],
        hold_time=said["hold_time"],
        router_id=said["router_id"],
        capabilities=[_capability(code, value) for code, value in said["capabilities"].items()],
    )


def _capability(said: str, value: dict[str, Any]) -> dict[str, Any]:
    code = _CODE.validate_python(said)
    return {"code": code, **{key: item for key, item in storable(value).items() if key != "code"}}


def _keepalive(common: dict[str, Any], _neighbor: _Neighbor) -> Message:
    return message.Keepalive(**common)


def _notification(common: dict[str, Any], neighbor: _Neighbor) -> Message:
    said = _required(neighbor, "notification")
    return message.Notification(
        **common,
        code=_required(said, "code"),
        subcode=_required(said, "subcode"),
        data=said.get("data", "0x").removeprefix("0x"),
        text=said.get("message") or None,
    )


def _refresh(common: dict[str, Any], neighbor: _Neighbor) -> Message:
    said = _required(neighbor, "route-refresh")
    return message.Refresh(**common, family=f"{said['afi']} {said['safi']}", subtype=said["subtype"])


def _state(common: dict[str, Any], neighbor: _Neighbor) -> Message:
    return message.StateChange(
        **common,
        local=_local(neighbor),
        router_id=neighbor.get("router-id"),
        state=_required(neighbor, "state"),
        reason=neighbor.get("reason"),
    )


def _operational(common: dict[str, Any], neighbor: _Neighbor) -> Message:
    return message.Detail(**common, kind="operational", detail=storable(_required(neighbor, "operational")))


def _negotiated(common: dict[str, Any], neighbor: _Neighbor) -> Message:
    return message.Detail(**common, kind="negotiated", detail=storable(_required(neighbor, "negotiated")))


def _fsm(common: dict[str, Any], neighbor: _Neighbor) -> Message:
    return message.Detail(**common, kind="fsm", detail={"state": _required(neighbor, "state")})


def _signal(common: dict[str, Any], neighbor: _Neighbor) -> Message:
    detail = {"code": storable(int(_required(neighbor, "code"))), "name": neighbor.get("name")}
    return message.Detail(**common, kind="signal", detail=detail)


def _local(neighbor: _Neighbor) -> Peer:
    return Peer(address=neighbor["address"]["local"], asn=neighbor["asn"]["local"])


_TRANSLATIONS: dict[str, Callable[[dict[str, Any], _Neighbor], Message]] = {
    "update": _update,
    "open": _open,
    "keepalive": _keepalive,
    "notification": _notification,
    "refresh": _refresh,
    "state": _state,
    "operational": _operational,
    "negotiated": _negotiated,
    "fsm": _fsm,
    "signal": _signal,
}


# --- routes -----------------------------------------------------------------------------------------------------

_PREFIX_FAMILIES = ("unicast", "multicast", "nlri-mpls", "mpls-vpn")


def _withdrawn(family: str, routes: _Routes) -> list[Withdrawn]:
    return [Withdrawn(**group) for group in _groups(family, routes)]


def _announced(announce: dict[str, dict[str, _Routes]]) -> list[Announced]:
    announced: list[Announced] = []
    for family, hops in announce.items():
        for next_hop, link_local, routes in _next_hops(hops):
            extra: dict[str, str] = {}
            if next_hop != "no-nexthop":
                extra["next_hop"] = normalise_address(next_hop)
            if link_local:
                extra["link_local"] = normalise_address(link_local)
            announced.extend(Announced(**group, **extra) for group in _groups(family, routes))
    return announced


def _next_hops(hops: dict[str, _Routes]) -> list[tuple[str, str | None, _Routes]]:
    """Next hops with their routes; ExaBGP lists a route with two next hops (RFC 2545) under each of them."""
    link_local = next((hop for hop in hops if hop.startswith("fe80")), None)
    if link_local and len(hops) == 2:
        other = next(hop for hop in hops if hop != link_local)
        if hops[other] == hops[link_local]:
            return [(other, link_local, hops[other])]
    return [(hop, None, routes) for hop, routes in hops.items()]


def _groups(family: str, routes: _Routes) -> list[dict[str, Any]]:
    """Routes of one family and next hop, put together where path ID, distinguisher and labels are the same."""
    if not family.endswith(_PREFIX_FAMILIES):
        return [{"family": family, "objects": [storable(route) for route in routes]}]
    plain = _plain(routes)
    if plain:
        nlri = [normalise_prefix(prefix) for prefix in plain]
        host_bits = [prefix for prefix, normalised in zip(plain, nlri, strict=True) if normalised != prefix]
        return [{"family": family, "nlri": nlri, **({"host_bits": host_bits} if host_bits else {})}]
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for route in routes:
        if isinstance(route, str):
            prefix, key = route, ()
        elif len(route) == 1 and "nlri" in route:
            prefix, key = route["nlri"], ()
        else:
            prefix, key = _required(route, "nlri"), _group_key(route)
        group = groups.get(key)
        if group is None:
            group = groups[key] = {"family": family, "nlri": [], **dict(key)}
            if "labels" in group:
                group["labels"] = [list(label) for label in group["labels"]]
        normalised = normalise_prefix(prefix)
        group["nlri"].append(normalised)
        if normalised != prefix:
            group.setdefault("host_bits", []).append(prefix)
    return list(groups.values())


def _plain(routes: _Routes) -> list[str] | None:
    """The prefixes of routes that are nothing else, as nearly all are; None where one of them has more to it."""
    try:
        prefixes = [route["nlri"] for route in routes if len(route) == 1]  # type: ignore[index]  # no str has one letter
    except (KeyError, TypeError):
        return None
    return prefixes if len(prefixes) == len(routes) else None


def _group_key(route: dict[str, Any]) -> tuple[Any, ...]:
    key: list[tuple[str, Any]] = []
    for name, value in route.items():
        if name == "path-information":
            key.append(("path_id", int.from_bytes(map(int, value.split(".")))))
        elif name == "rd":
            key.append(("rd", value))
        elif name == "label":
            key.append(("labels", tuple(tuple(_LABEL.validate_python(label)) for label in value)))
        elif name != "nlri":
            raise ValueError(f"a route with an unknown property {name[:60]!r}")
    return tuple(sorted(key))


# --- attributes -------------------------------------------------------------------------------------------------

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


def _attributes(said: _Attributes, *, announces: bool) -> Attributes:
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


def _as_path(said: _Attributes) -> str | None:
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


def _extended(digits: int) -> Callable[[list[_ExtendedCommunity]], list[ExtendedCommunity]]:
    def convert(value: list[_ExtendedCommunity]) -> list[ExtendedCommunity]:
        return [
            ExtendedCommunity(hex=f"{_required(one, 'value'):0{digits}x}", text=one.get("string", "")) for one in value
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
