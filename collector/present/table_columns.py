"""The columns of tables: what they contain for each kind of answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pydantic import BaseModel

from collector.query.communities import communities_of
from schemas.attributes import Aggregator, ExtendedCommunity, UnknownAttribute
from schemas.intents import Intent
from schemas.query import FoundEntry, HistoryEntry, LiveEntry, PeerConvergence, Route, RouteChange, TopEntry
from schemas.scalars import spoken
from schemas.status import Finding, PeerStatus, ReplayedPeer, SpoolSegment, Token


class Column(NamedTuple):
    """A column: its title, and what stands in it for an answer."""

    title: str
    cell: Callable[[Any], object]
    right: bool = False
    folds: bool = False
    """On a terminal long cells of this column may be wrapped; other columns are never narrower than their cells."""
    usual: int = 0
    """The width for answers that arrive one by one, when the width of later ones is unknown."""


ALWAYS = {"time (UTC)", "peer", "AS", "prefix", "event", "address", "state", "updates", "routes"}
"""Columns that are there even if all of their cells are empty."""


def cell_text(value: object) -> str:
    """A value as it stands in a cell, always on one line."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return spoken(value)
    if isinstance(value, list):
        return " ".join(map(cell_text, value))
    if isinstance(value, ExtendedCommunity):
        return value.text or f"0x{value.hex}"
    if isinstance(value, Aggregator):
        return f"{value.asn} {value.address}"
    if isinstance(value, UnknownAttribute):
        return f"{value.code} flags 0x{value.flags:02x} 0x{value.hex}"
    text = json.dumps(value) if isinstance(value, dict) else str(value)
    # A peer's own text (RFC 9003) must neither break a row nor control the terminal.
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _age(status: PeerStatus) -> str:
    if status.keepalive_age is None:
        return ""
    return f"{timedelta(seconds=round(status.keepalive_age))} ago"


def _what_changed(change: RouteChange) -> str:
    """The values before and after a change; of other answers the path."""
    before, after = change.before, change.after
    if before and after:
        names = change.changed or ()
        return ", ".join(f"{name}: {_value(before, name)} -> {_value(after, name)}" for name in names)
    route = before or after
    return (route.as_path or "") if route else ""


def _value(route: Route, name: str) -> str:
    return cell_text(getattr(route, name)) or "none"


def _more(route: HistoryEntry | Route) -> str:
    """The attributes that have no column of their own, each after its name."""
    named = (
        ("link-local", route.link_local),
        ("aggregator", route.aggregator),
        ("originator", route.originator_id),
        ("clusters", route.cluster_list),
        ("OTC", route.otc),
        ("AIGP", route.aigp),
        ("PMSI", route.pmsi_tunnel and route.pmsi_tunnel.removeprefix("pmsi:")),
        ("prefix SID", route.prefix_sid),
        ("BGP-LS", route.bgp_ls),
        *(("attribute", one) for one in route.unknown_attributes or ()),
        *(route.other_attributes or {}).items(),
    )
    atomic = ["atomic"] if route.atomic_aggregate else []
    return ", ".join([*atomic, *(f"{name} {cell_text(value)}" for name, value in named if value is not None)])


def _note(route: Route) -> str:
    return ", ".join(filter(None, ("" if route.state == "stands" else route.state, route.error)))


_AT = (
    Column("router", lambda one: one.peer.router),
    Column("peer RD", lambda one: one.peer.rd),
    Column("table", lambda one: one.peer.rib),
)
"""Where the peer was reported, if it does not speak to us directly."""
_WHEN_AND_WHO = (
    Column("time (UTC)", lambda entry: entry.ts, usual=23),
    Column("peer", lambda entry: entry.peer.address, usual=15),
    Column("AS", lambda entry: entry.peer.asn or None, right=True, usual=6),  # 0: none is known
    *_AT,
    Column("event", lambda entry: entry.event.replace("_", " "), usual=11),
)
_PREFIX = Column("prefix", lambda entry: entry.prefix or (entry.object and json.dumps(entry.object)), usual=18)
_ROUTE = (
    Column("path id", lambda entry: entry.path_id, right=True),
    Column("RD", lambda entry: entry.rd),
    Column("next hop", lambda entry: entry.next_hop, usual=15),
    Column("AS path", lambda entry: entry.as_path, folds=True, usual=24),
    Column("origin", lambda entry: entry.origin, usual=6),
    Column("MED", lambda entry: entry.med, right=True, usual=3),
    Column("pref", lambda entry: entry.local_pref, right=True, usual=4),
    Column("communities", communities_of, folds=True, usual=14),
    Column("attributes", _more, folds=True),
)
_REASON = Column("reason", lambda entry: entry.reason or entry.error, folds=True, usual=6)

COLUMNS: dict[type[BaseModel], Sequence[Column]] = {
    HistoryEntry: (*_WHEN_AND_WHO, *_ROUTE, _REASON),
    FoundEntry: (*_WHEN_AND_WHO, _PREFIX, *_ROUTE, _REASON),
    LiveEntry: (*_WHEN_AND_WHO, _PREFIX, *_ROUTE, _REASON),
    Route: (
        Column("peer", lambda route: route.peer.address),
        Column("AS", lambda route: route.peer.asn, right=True),
        *_AT,
        _PREFIX,
        Column("note", _note),
        *_ROUTE,
        Column("since (UTC)", lambda route: route.since),
    ),
    RouteChange: (
        Column("peer", lambda change: change.peer.address),
        Column("AS", lambda change: change.peer.asn, right=True),
        *_AT,
        _PREFIX,
        Column("path id", lambda change: change.route.path_id, right=True),
        Column("RD", lambda change: change.route.rd),
        Column("event", lambda change: change.event),
        Column("what", _what_changed, folds=True),
        Column("since (UTC)", lambda change: change.route.since),
    ),
    Finding: (
        Column("what", lambda finding: finding.what),
        Column("spool", lambda finding: finding.spool),
        Column("lines", lambda finding: finding.lines),
        Column("peer", lambda finding: finding.peer),
        Column("session", lambda finding: finding.session),
        Column("detail", lambda finding: finding.detail, folds=True),
    ),
    ReplayedPeer: (
        Column("address", lambda peer: peer.address),
        Column("AS", lambda peer: peer.asn, right=True),
        Column("source", lambda peer: peer.source),
        Column("messages", lambda peer: peer.messages, right=True),
        Column("updates", lambda peer: peer.updates, right=True),
        Column("sessions", lambda peer: peer.sessions, right=True),
        Column("families", lambda peer: ", ".join(peer.families), folds=True),
    ),
    TopEntry: (
        Column("name", lambda entry: entry.name or "(empty)", folds=True),
        Column("announcements", lambda entry: entry.announcements, right=True),
        Column("withdrawals", lambda entry: entry.withdrawals, right=True),
        Column("flaps", lambda entry: entry.flaps, right=True),
        Column("path changes", lambda entry: entry.path_changes, right=True),
        Column("malformed", lambda entry: entry.malformed or "", right=True),
    ),
    Intent: (
        Column("id", lambda intent: intent.id),
        Column("prefix", lambda intent: intent.announcement.nlri, folds=True),
        Column("state", lambda intent: intent.state),
        Column("since (UTC)", lambda intent: intent.states[-1].ts),
        Column("peers", lambda intent: " ".join(intent.peers), folds=True),
        Column("failed", lambda intent: ". ".join(map(": ".join, intent.failures.items())), folds=True),
        Column("who", lambda intent: intent.who),
        Column("source", lambda intent: intent.source),
        Column("expires (UTC)", lambda intent: intent.expires),
        Column("why", lambda intent: intent.why, folds=True),
    ),
    PeerConvergence: (
        Column("peer", lambda one: one.peer.name),
        Column("AS", lambda one: one.peer.asn, right=True),
        Column("collector", lambda one: one.collector),
        Column("heard (UTC)", lambda one: one.heard),
        Column("after s", lambda one: one.heard_seconds, right=True),
        Column("gone (UTC)", lambda one: one.gone),
        Column("after s", lambda one: one.gone_seconds, right=True),
        Column("looped", lambda one: "sent back" if one.looped else None),
    ),
    Token: (
        Column("name", lambda token: token.name),
        Column("scope", lambda token: token.scope),
        Column("created (UTC)", lambda token: token.created),
    ),
    SpoolSegment: (
        Column("state", lambda segment: segment.state),
        Column("first line", lambda segment: segment.first, right=True),
        Column("lines", lambda segment: segment.lines, right=True),
        Column("bytes", lambda segment: segment.bytes, right=True),
        Column("last written (UTC)", lambda segment: segment.last_written),
        Column("file", lambda segment: segment.path, folds=True),
    ),
    PeerStatus: (
        Column("address", lambda peer: peer.address),
        Column("AS", lambda peer: peer.asn, right=True),
        Column("router", lambda peer: peer.router),
        Column("peer RD", lambda peer: peer.rd),
        Column("table", lambda peer: peer.rib),
        Column("state", lambda peer: peer.state),
        Column("since (UTC)", lambda peer: peer.since),
        Column("keepalive", _age, right=True),
        Column("updates", lambda peer: peer.updates, right=True),
        Column("routes", lambda peer: peer.routes, right=True),
        Column("counted (UTC)", lambda peer: peer.routes_at),
        Column("description", lambda peer: peer.description, folds=True),
        Column("at (UTC)", lambda peer: None if peer.reason_at == peer.since else peer.reason_at),
        Column("reason", lambda peer: peer.reason, folds=True),
        Column("since then", lambda peer: peer.attempt, folds=True),
    ),
}
