"""The shapes of ExaBGP's lines: typed dictionaries, which pydantic validates.

A `Message` is the only object made from a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, Required, TypeVar

from pydantic import ConfigDict, FailFast, Field, GetPydanticSchema, TypeAdapter
from pydantic_core import core_schema
from typing_extensions import TypeAliasType, TypedDict

from schemas.json_object import JsonObject
from schemas.scalars import Address, Asn, Count, Uint8, Uint16, Uint32

_LENIENT = ConfigDict(extra="allow")

_Item = TypeVar("_Item")
_Many = Annotated[list[_Item], FailFast()]
"""A list of which only the first fault is reported: a line of 8 MB can have a million, at 2 kB of memory each."""


class _Addresses(TypedDict):
    local: Address
    peer: Address


class _Asns(TypedDict):
    local: Asn
    peer: Asn


class Envelope(TypedDict):
    """Keys that every line has, and some that only some have; see ExaBGP's `reactor/api/response/json.py`."""

    time: float
    pid: Uint32
    counter: NotRequired[Count]
    header: NotRequired[str]
    body: NotRequired[str]


class _SegmentShape(TypedDict):
    element: Literal["as-sequence", "as-set", "as-confed-sequence", "as-confed-set"]
    value: _Many[Asn]


class JsonExtendedCommunity(TypedDict, total=False):
    """An extended community as a number, and in ExaBGP's words."""

    value: Annotated[int, Field(ge=0, lt=2**64)]
    string: str


class _JsonExtendedCommunity6(TypedDict, total=False):
    value: Annotated[int, Field(ge=0, lt=2**160)]
    string: str


# Named, because FailFast has no hash, which members of a union need.
_FlatPath = TypeAliasType("_FlatPath", _Many[Asn])

JsonAttributes = TypedDict(
    "JsonAttributes",
    {
        "origin": Literal["igp", "egp", "incomplete", "invalid"],
        "as-path": dict[str, _SegmentShape] | _FlatPath,
        "as-set": _Many[Asn],
        "confederation-path": _Many[Asn],
        "confederation-set": _Many[Asn],
        "med": Uint32,
        "local-preference": Uint32,
        "atomic-aggregate": bool,
        "aggregator": str,
        "community": _Many[tuple[Uint16, Uint16]],
        "large-community": _Many[tuple[Uint32, Uint32, Uint32]],
        "extended-community": _Many[JsonExtendedCommunity],
        "extended-community-ipv6": _Many[_JsonExtendedCommunity6],
        "originator-id": str,
        "cluster-list": _Many[str],
        "aigp": str,
        "pmsi": str,
        "bgp-prefix-sid": JsonObject,
        "bgp-ls": JsonObject,
        "error": str,
    },
    total=False,
)
JsonAttributes.__pydantic_config__ = _LENIENT  # type: ignore[attr-defined]  # pydantic's documented way for this syntax

JsonRoutes = _Many[
    Annotated[
        JsonObject | str,
        # Neither copied nor validated: there are many, and converting a route looks at all of it.
        GetPydanticSchema(
            lambda _source, _handler: core_schema.is_instance_schema((dict, str), cls_repr="dict or str")
        ),
    ]
]


class JsonUpdate(TypedDict, total=False):
    """An UPDATE: attributes; routes announced by family and next hop, and withdrawn by family."""

    attribute: JsonAttributes
    announce: dict[str, dict[str, JsonRoutes]]
    withdraw: dict[str, JsonRoutes]


class _EndOfRibShape(TypedDict):
    afi: str
    safi: str


class Body(TypedDict, total=False):
    """The contents of `message`: an UPDATE, an End-of-RIB, or a packet's bytes."""

    update: JsonUpdate
    eor: _EndOfRibShape
    category: Uint8
    header: str
    body: str


class _OpenShape(TypedDict):
    version: Uint8
    asn: Asn
    hold_time: Uint16
    router_id: str
    capabilities: dict[str, JsonObject]


class _NotificationShape(TypedDict, total=False):
    code: Uint8
    subcode: Uint8
    data: str
    message: str


class _RefreshShape(TypedDict):
    afi: str
    safi: str
    subtype: str


Neighbor = TypedDict(
    "Neighbor",
    {
        "address": Required[_Addresses],
        "asn": Required[_Asns],
        "router-id": str,
        "direction": Literal["receive", "send"],
        "message": Body,
        "open": _OpenShape,
        "notification": _NotificationShape,
        "route-refresh": _RefreshShape,
        "operational": JsonObject,
        "negotiated": JsonObject,
        "state": str,
        "reason": str,
        "code": str | int,
        "name": str,
    },
    total=False,
)


class NeighborLine(Envelope):
    """A line about one neighbour, as nearly all are."""

    type: str
    neighbor: Neighbor


class ShutdownLine(Envelope):
    """ExaBGP's last line."""

    type: NotRequired[str]
    notification: Literal["shutdown"]


class HelperLine(TypedDict):
    """A line from our own receiver, among ExaBGP's; see collector/sources/exabgp/receiver_events.py."""

    bgpledger: Literal["receive"]
    event: Literal["start", "reload", "clock", "dropped", "end"]
    time: float
    pid: Uint32
    ppid: Uint32
    incarnation: NotRequired[Annotated[str, Field(max_length=100)]]
    reloads: NotRequired[Count]
    step: NotRequired[Annotated[float, Field(ge=-(2**32), le=2**32)]]
    since: NotRequired[float]
    lines: NotRequired[Count]
    bytes: NotRequired[Count]
    reason: NotRequired[Annotated[str, Field(max_length=300)]]
    ended: NotRequired[Literal[True]]


NEIGHBOR_LINE = TypeAdapter(NeighborLine)
SHUTDOWN_LINE = TypeAdapter(ShutdownLine)
HELPER_LINE = TypeAdapter(HelperLine)


def required(line: Mapping[str, object], key: str) -> Any:
    """The value of a key that a line may lack.

    Raises:
        ValueError: it lacks it.
    """
    try:
        return line[key]
    except KeyError:
        raise ValueError(f"{key!r} is missing") from None
