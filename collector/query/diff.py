"""Routes that appeared, disappeared or changed between two times."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from collector.query.filters import EVERYTHING, Filter
from collector.query.peer_ribs import PeerRib
from collector.query.rib import RibQuery, matching, of_its_peers, peer_ribs_of
from collector.query.sessions_at import place_of
from collector.rib.routes import WITHDRAWN, RouteEntry, RouteKey, order
from collector.rib.stored_routes import StatePair
from collector.store.mongo import Store
from schemas.query import Route, RouteChange
from schemas.stored import PeerDocument, name_of

_NOT_COMPARED = {"since", "state"}
_PeerPlace = tuple[int, bytes, str, str]


async def diff(
    store: Store,
    question: RibQuery,
    earlier: datetime,
    later: datetime,
    filters: Filter = EVERYTHING,
    *,
    on_read: Callable[[int], None] = lambda _: None,
    on_hidden: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[RouteChange]:
    """Every route that differs between two times, by peer, then in order of prefixes.

    Args:
        store: an open store.
        question: which routes; its own time is ignored.
        earlier: the first time.
        later: the second time.
        filters: which changes are shown: those of routes that match before or after.
        on_read: called with the additional number of routes and UPDATEs read.
        on_hidden: called with the names of peers with routes that may be missing, usually before the first change.

    A route that was announced again unchanged has not changed. Routes that are unknown at one of the times are left
    out.
    """
    question = of_its_peers(question, filters)
    before = await _by_peer(store, replace(question, at=earlier), on_read)
    after = await _by_peer(store, replace(question, at=later), on_read)
    for peer_rib in (*before.values(), *after.values()):
        if any(map(peer_rib.hides, question.families)):
            on_hidden(name_of(peer_rib.session["peer"]))
    for place in sorted(before.keys() | after.keys()):
        one, two = before.get(place), after.get(place)
        async for key, old, new in _pairs(one, two, question):
            change = _compare(key, (one, old), (two, new))
            if isinstance(change, _Hidden):
                on_hidden(change.peer)
            elif change and any(filters.stands(route) for route in (change.before, change.after) if route):
                yield change


async def _pairs(before: PeerRib | None, after: PeerRib | None, question: RibQuery) -> AsyncIterator[StatePair]:
    """The routes of one peer that may have changed, in order."""
    shared = await before.shares_with(after) if before and after and question.is_of_tables else None
    if before and after and shared:
        async for routes in before.until(after, shared, question.span):
            for route in routes:
                yield route
    else:
        async for route in _side_by_side(_routes(before, question), _routes(after, question)):
            yield route


async def _by_peer(store: Store, question: RibQuery, on_read: Callable[[int], None]) -> dict[_PeerPlace, PeerRib]:
    return {place_of(peer_rib.session): peer_rib async for peer_rib in peer_ribs_of(store, question, on_read=on_read)}


async def _routes(peer_rib: PeerRib | None, question: RibQuery) -> AsyncIterator[tuple[bytes, RouteKey, RouteEntry]]:
    if peer_rib:
        async for items in matching(peer_rib, question):
            for key, entry in items:
                yield order(key), key, entry


async def _side_by_side(
    before: AsyncIterator[tuple[bytes, RouteKey, RouteEntry]], after: AsyncIterator[tuple[bytes, RouteKey, RouteEntry]]
) -> AsyncIterator[StatePair]:
    """Two sorted tables merged into one."""
    old, new = await anext(before, None), await anext(after, None)
    while old or new:
        if new is None or (old and old[0] < new[0]):
            assert old is not None  # noqa: S101  # one of them is there
            yield old[1], old[2], WITHDRAWN
            old = await anext(before, None)
        elif old is None or new[0] < old[0]:
            yield new[1], WITHDRAWN, new[2]
            new = await anext(after, None)
        else:
            yield old[1], old[2], new[2]
            old, new = await anext(before, None), await anext(after, None)


class _Hidden(NamedTuple):
    """A route that appeared or disappeared, or may only have been hidden by lost lines."""

    peer: str


def _compare(
    key: RouteKey, before: tuple[PeerRib | None, RouteEntry], after: tuple[PeerRib | None, RouteEntry]
) -> RouteChange | _Hidden | None:
    (rib_before, entry_before), (rib_after, entry_after) = before, after
    if entry_before.facts == entry_after.facts and _peer(rib_before) == _peer(rib_after):
        return None
    old, new = _route(rib_before, key, entry_before), _route(rib_after, key, entry_after)
    either = new or old
    assert either is not None  # noqa: S101  # they are not the same, so one is there
    shared = {"peer": either.peer, "prefix": either.prefix, "object": either.object, "before": old, "after": new}
    if old is None or new is None:
        peer_rib = rib_before if old is None else rib_after
        was_withdrawn = old is not None and rib_before and rib_after and rib_after.ended(rib_before, entry_before)
        if peer_rib and peer_rib.hides(key.family) and not was_withdrawn:
            return _Hidden(either.peer.name)
        return RouteChange(event="appeared" if new else "went", **shared)
    fields = sorted(name for name in _COMPARED if getattr(old, name) != getattr(new, name))
    return RouteChange(event="changed", changed=fields, **shared) if fields else None


def _peer(peer_rib: PeerRib | None) -> PeerDocument | None:
    return peer_rib.session["peer"] if peer_rib else None


def _route(peer_rib: PeerRib | None, key: RouteKey, entry: RouteEntry) -> Route | None:
    return peer_rib.route(key, entry) if peer_rib and entry is not WITHDRAWN else None


_COMPARED = Route.model_fields.keys() - _NOT_COMPARED
