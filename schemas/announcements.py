"""Announcements as they are ordered: a route, or a flow specification, validated as strictly as what ExaBGP is given.

Input from people reaches ExaBGP only through these models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from schemas.flows import FlowActions, FlowMatch, StrictPrefix
from schemas.scalars import Asn, Uint32, normalise_address

BLACKHOLE = "65535:666"
"""RFC 7999."""
NO_EXPORT = "65535:65281"
"""RFC 1997."""
_WELL_KNOWN = {
    "graceful-shutdown": "65535:0",  # RFC 8326
    "blackhole": BLACKHOLE,
    "no-export": NO_EXPORT,
    "no-advertise": "65535:65282",
    "no-export-subconfed": "65535:65283",
    "no-peer": "65535:65284",  # RFC 3765
}
_MOST_COMMUNITIES = 100
_MOST_ASNS = 100
"""The maximum length of a path: far more than any router considers plausible."""
_EXTENDED_HEX = re.compile(r"0x[0-9a-f]{16}")
_EXTENDED_TYPES = {"target": 0x02, "origin": 0x03}
"""Their subtypes (RFC 4360 4, 5)."""


def _numbers(text: str, size: int, parts: int) -> str:
    found = text.split(":")
    if len(found) != parts or not all(re.fullmatch(r"[0-9]{1,10}", part) and int(part) < size for part in found):
        raise ValueError(f"{text[:60]!r} is not {':'.join(['N'] * parts)}, each N from 0 to {size - 1}")
    return ":".join(str(int(part)) for part in found)


def _community(text: str) -> str:
    name = text.strip().lower().replace("_", "-")
    if ":" not in name and name not in _WELL_KNOWN:
        raise ValueError(f"{text[:60]!r} is neither N:N nor one of {', '.join(_WELL_KNOWN)}")
    return _WELL_KNOWN.get(name) or _numbers(name, 2**16, 2)


def _large_community(text: str) -> str:
    return _numbers(text.strip(), 2**32, 3)


def _extended_community(text: str) -> str:
    lowered = text.strip().lower()
    if _EXTENDED_HEX.fullmatch(lowered):
        return lowered
    kind, _, rest = lowered.partition(":")
    administrator, colon, number = rest.rpartition(":")
    if kind not in _EXTENDED_TYPES or not colon:
        raise ValueError(f"{text[:60]!r} is none of target:A:N, origin:A:N (A an AS or an IPv4 address) and 0x..")
    return "0x" + _extended_bytes(_EXTENDED_TYPES[kind], administrator, number).hex()


def _extended_bytes(subtype: int, administrator: str, number: str) -> bytes:
    """The bytes of an extended community with an AS number or an address (RFC 4360 3.1, 3.2; RFC 5668)."""
    if not re.fullmatch(r"[0-9]{1,10}", number):
        raise ValueError(f"{number[:60]!r} is not a number")
    value = int(number)
    if "." in administrator:
        kind, head, room = 0x01, bytes(map(int, normalise_address(administrator).split("."))), 2
    elif not re.fullmatch(r"[0-9]{1,10}", administrator) or int(administrator) >= 2**32:
        raise ValueError(f"{administrator[:60]!r} is neither an AS nor an IPv4 address")
    elif int(administrator) < 2**16:
        kind, head, room = 0x00, int(administrator).to_bytes(2), 4
    else:
        kind, head, room = 0x02, int(administrator).to_bytes(4), 2
    if value >= 2 ** (8 * room):
        raise ValueError(f"{number} is more than {2 ** (8 * room) - 1}, the maximum with {administrator}")
    return bytes((kind, subtype)) + head + value.to_bytes(room)


def _next_hop(text: str) -> str:
    try:
        return text if text == "self" else normalise_address(text)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is neither self nor an IPv4 or IPv6 address") from None


def _listed(value: Any) -> Any:
    return [one.strip() for one in value.split(",")] if isinstance(value, str) else value


def _path(value: Any) -> Any:
    return value.split() if isinstance(value, str) else value


def once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Each value once, in the order of first appearance."""
    return tuple(dict.fromkeys(values))


NextHop = Annotated[str, AfterValidator(_next_hop)]
"""An address, or `self`: our address in each session, which must then be of the prefix's family."""
Community = Annotated[str, AfterValidator(_community)]
"""RFC 1997: `64500:100`, or one of IANA's names such as `no-export`."""
LargeCommunity = Annotated[str, AfterValidator(_large_community)]
"""RFC 8092: `64500:1:2`."""
WrittenExtendedCommunity = Annotated[str, AfterValidator(_extended_community)]
"""RFC 4360: `target:64500:100`, `origin:192.0.2.1:7`, or eight bytes in hexadecimal, `0x..`, which is the stored
form."""
_Communities = Annotated[
    tuple[Community, ...],
    BeforeValidator(_listed),
    AfterValidator(once),
    Field(max_length=_MOST_COMMUNITIES),
]
_LargeCommunities = Annotated[
    tuple[LargeCommunity, ...],
    BeforeValidator(_listed),
    AfterValidator(once),
    Field(max_length=_MOST_COMMUNITIES),
]
_ExtendedCommunities = Annotated[
    tuple[WrittenExtendedCommunity, ...],
    BeforeValidator(_listed),
    AfterValidator(once),
    Field(max_length=_MOST_COMMUNITIES),
]
_PathAsn = Annotated[Asn, Field(ge=1)]


class _Announced(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    communities: _Communities = ()
    """COMMUNITIES (RFC 1997)."""
    large_communities: _LargeCommunities = ()
    """LARGE_COMMUNITY (RFC 8092)."""
    extended_communities: _ExtendedCommunities = ()
    """Extended communities (RFC 4360), each of eight bytes in hexadecimal."""


class RouteAnnouncement(_Announced):
    """A route of IPv4 or IPv6 unicast, as it is to be announced (RFC 4271)."""

    prefix: StrictPrefix
    next_hop: NextHop = "self"
    """NEXT_HOP."""
    origin: Literal["igp", "egp", "incomplete"] = "igp"
    """ORIGIN."""
    med: Uint32 | None = None
    """MULTI_EXIT_DISC."""
    local_pref: Uint32 | None = None
    """LOCAL_PREF: only for peers of our own AS (RFC 4271 5.1.5); the default is 100."""
    as_path: Annotated[tuple[_PathAsn, ...], BeforeValidator(_path), Field(max_length=_MOST_ASNS)] = ()
    """AS_PATH after our own AS, the neighbour's first and the origin last; empty if we are the origin."""
    prepend: Annotated[int, Field(ge=0, le=20)] = 0
    """How many more times our own AS is prepended, for peers of other ASes."""

    @property
    def family(self) -> str:
        """Its family in ExaBGP's words."""
        return "ipv6 unicast" if ":" in self.prefix else "ipv4 unicast"

    @property
    def nlri(self) -> str:
        """What identifies it at a peer: an announcement replaces an earlier one with the same NLRI."""
        return self.prefix

    @model_validator(mode="after")
    def _next_hop_fits(self) -> Self:
        if self.next_hop != "self" and (":" in self.next_hop) != (":" in self.prefix):
            raise ValueError(f"next_hop {self.next_hop} is not of the family of {self.prefix}")
        return self


class FlowAnnouncement(_Announced):
    """A flow specification (RFC 8955)."""

    match: FlowMatch
    then: FlowActions

    @property
    def family(self) -> str:
        """Its family in ExaBGP's words."""
        return "ipv6 flow" if self.match.is_ipv6 else "ipv4 flow"

    @property
    def prefix(self) -> str:
        """The destination prefix."""
        return self.match.destination

    @property
    def nlri(self) -> str:
        """What identifies it: its components, in the order of RFC 8955 4.2.2."""
        match = self.match.model_dump(mode="json", exclude_defaults=True)
        return "flow " + " ".join(
            f"{name} {value if isinstance(value, str) else ','.join(value)}" for name, value in match.items()
        )


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "flow" if "match" in value or "then" in value else "route"
    return "flow" if isinstance(value, FlowAnnouncement) else "route"


Announcement: TypeAlias = Annotated[
    Annotated[RouteAnnouncement, Tag("route")] | Annotated[FlowAnnouncement, Tag("flow")], Discriminator(_kind)
]
"""A route, or, if it has `match` and `then`, a flow specification."""
