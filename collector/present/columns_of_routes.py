"""The columns of routes, and of what peers said about them: the answers of `schemas.query`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import BaseModel

from collector.present.columns import Column, cell_text
from collector.query.communities import communities_of
from schemas.query import FoundEntry, HistoryEntry, LiveEntry, PeerConvergence, Route, RouteChange, TopEntry


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
    TopEntry: (
        Column("name", lambda entry: entry.name or "(empty)", folds=True),
        Column("announcements", lambda entry: entry.announcements, right=True),
        Column("withdrawals", lambda entry: entry.withdrawals, right=True),
        Column("flaps", lambda entry: entry.flaps, right=True),
        Column("path changes", lambda entry: entry.path_changes, right=True),
        Column("malformed", lambda entry: entry.malformed or "", right=True),
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
}
