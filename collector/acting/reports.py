"""Reads ExaBGP's reports from the spool: which sessions are up and for which families, and what was sent to whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from collector.acting.commands import Announced, flow_components
from collector.bgp.exabgp_flow import printed_rule
from collector.bgp.families import offered_families
from collector.sources.exabgp.decode import decode
from schemas.announcements import FlowAnnouncement
from schemas.attributes import Attributes
from schemas.identity import nlri_key
from schemas.message import Open, SentUpdate, StateChange
from schemas.message_parts import Withdrawn

_SENT = b'"direction": "send"'
_STATE = b'"type": "state"'
_OPEN = b'"type": "open"'
_WITHIN = 700
"""The maximum offset of these in a line: a host's name has at most 255 bytes."""
_IMPLIED = "ipv4 unicast"
"""What a peer without the multiprotocol capability has (RFC 4271 4.3); see `collector.sources.exabgp.patched`."""
_FLOW_FAMILIES = ("ipv4 flow", "ipv6 flow")


class SentRoute(Attributes):
    """The attributes of a route that was sent."""

    next_hop: str | None


class SentRoutes(NamedTuple):
    """Routes that ExaBGP has sent to a peer."""

    peer: str
    ts: datetime
    announced: Mapping[str, SentRoute]
    """By NLRI as in `Announced.nlri`, or a flow's identity: the attributes, and `next_hop`."""
    withdrawn: list[str]


class SessionReport(NamedTuple):
    """A session came up, or ended."""

    peer: str
    is_up: bool


class OpenReport(NamedTuple):
    """A peer has sent an OPEN, before its session comes up."""

    peer: str
    families: frozenset[str]
    """Those of its multiprotocol capability: ExaBGP sends UPDATEs of no others. Without it, IPv4 unicast alone."""


Report = SentRoutes | SessionReport | OpenReport


def read_reports(lines: Iterable[bytes]) -> Iterator[Report]:
    """The reports among lines of the spool; all others are skipped without parsing."""
    for line in lines:
        if line.find(_SENT, 0, _WITHIN) >= 0 or line.find(_STATE, 0, _WITHIN) >= 0 or line.find(_OPEN, 0, _WITHIN) >= 0:
            message = decode(line)
            if isinstance(message, SentUpdate):
                yield _sent(message)
            elif isinstance(message, Open):
                families = offered_families(message.capabilities)
                yield OpenReport(message.peer.address, frozenset((_IMPLIED,) if families is None else families))
            elif isinstance(message, StateChange) and message.state != "connected":
                yield SessionReport(message.peer.address, message.state == "up")


def _sent(message: SentUpdate) -> SentRoutes:
    attributes: Attributes = message.attributes or {}
    announced: dict[str, SentRoute] = {
        nlri: {**attributes, "next_hop": group.get("next_hop")}
        for group in message.announce or ()
        for nlri in _names(group)
    }
    withdrawn = [nlri for group in message.withdraw or () for nlri in _names(group)]
    return SentRoutes(message.peer.address, message.ts, announced, withdrawn)


def _names(group: Withdrawn) -> Iterator[str]:
    yield from group.get("nlri", ())
    if group["family"] in _FLOW_FAMILIES:
        yield from (nlri_key(group["family"], one) for one in group.get("objects", ()))


@lru_cache(maxsize=4096)
def flow_identity(announcement: FlowAnnouncement) -> str:
    """The name of a flow specification in `SentRoutes`."""
    return nlri_key(announcement.family, printed_rule(announcement.family, flow_components(announcement)))


def is_same(announcement: Announced, route: Any) -> bool:
    """Whether what was sent matches this announcement, and not one that it replaced."""
    if sorted(route.get("communities", ())) != sorted(announcement.communities):
        return False
    if sorted(route.get("large_communities", ())) != sorted(announcement.large_communities):
        return False
    if isinstance(announcement, FlowAnnouncement):
        return True
    if announcement.next_hop not in ("self", route["next_hop"]) or announcement.origin != route.get("origin", "igp"):
        return False
    path = " ".join(map(str, announcement.as_path))
    return announcement.med == route.get("med") and str(route.get("as_path", "")).endswith(path)
