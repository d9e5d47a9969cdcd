"""Routes at a given time: to one prefix, by longest match, or all."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, NamedTuple, Self

from collector.query.batch import Batch, routes_of
from collector.query.filters import EVERYTHING, Filter
from collector.query.peer_ribs import PeerRib, peer_ribs_at
from collector.rib.routes import LAST, NO_FACTS, Items, Range, RouteEntry, RouteKey, milliseconds, order, within
from collector.store.mongo import Store
from schemas.peer import Peer, name_order
from schemas.query import Route
from schemas.stored import SessionDocument, name_of

Match = Literal["exact", "longest", "less_specific", "more_specific"]

_FAMILIES = ("ipv4 unicast", "ipv6 unicast")
_SHORTEST_OF_GROUP = {4: (24, 16, 0), 6: (48, 32, 0)}
"""A longest match is queried in groups of lengths, by IP version: most routes are found in the first group, and short
prefixes are often in UPDATEs with a thousand prefixes, which would all have to be read."""


class ShownRoute(NamedTuple):
    """The place of a route in an answer."""

    peer: str
    """The peer's name."""
    collector: str
    session: str
    """The session's key, in hexadecimal digits."""
    route: bytes
    """Its place among the session's routes."""

    @classmethod
    def of(cls, session: SessionDocument, key: RouteKey) -> Self:
        """The place of one of a session's routes."""
        return cls(name_of(session["peer"]), session["collector"], str(session["_id"]), order(key))

    def is_behind(self, session: SessionDocument) -> bool:
        """Whether all of a session's routes come before it."""
        theirs = (*name_order(name_of(session["peer"])), session["collector"], str(session["_id"]))
        return theirs < (*name_order(self.peer), self.collector, self.session)

    def rest_of(self, session: SessionDocument, span: Range | None) -> Range | None:
        """The part of a session's routes, within a span if given, that comes after it."""
        if str(session["_id"]) != self.session:
            return span
        return Range(self.route + b"\0", span.last if span else LAST)


@dataclass(frozen=True)
class RibQuery:
    """A query for routes."""

    prefix: str | None = None
    """Normalised; None for all."""
    match: Match = "exact"
    """`longest`: for each peer, the longest prefix that contains the given one. `less_specific` and `more_specific`
    include the prefix itself."""
    at: datetime | None = None
    """The time; None: now."""
    peer: str | None = None
    """Only this peer; an index serves it."""
    of_peer: Callable[[Peer], bool] = lambda _peer: True
    """Only peers for which this holds: the tables of others are not read."""
    after: ShownRoute | None = None
    """Only routes after this place."""

    @property
    def is_of_tables(self) -> bool:
        """Whether it is answered from stored tables, and not from the index over prefixes."""
        return self.prefix is None or self.match == "more_specific"

    @property
    def families(self) -> Sequence[str]:
        """The families that are queried, of those with prefixes alone."""
        return _FAMILIES if self.prefix is None else [_FAMILIES[":" in self.prefix]]

    @property
    def span(self) -> Range | None:
        """The part of a table that is queried; None: all of it."""
        return within(self.prefix) if self.prefix else None


def rib(
    store: Store,
    question: RibQuery,
    filters: Filter = EVERYTHING,
    *,
    on_read: Callable[[int], None] = lambda _: None,
) -> AsyncIterator[Route]:
    """Routes, by peer, then in order of prefixes.

    Args:
        store: an open store.
        question: which routes.
        filters: which of these are shown. They are applied after the longest match: a peer whose longest match is
            filtered out does not answer with a shorter one.
        on_read: called with the additional number of routes and UPDATEs read; `count_stored` gives the approximate
            total.

    If a prefix is given, a peer whose route may be hidden by a gap yields a route that is `unknown`.
    """
    return routes_of(rib_batches(store, question, filters, on_read=on_read))


async def rib_batches(
    store: Store,
    question: RibQuery,
    filters: Filter = EVERYTHING,
    *,
    on_read: Callable[[int], None] = lambda _: None,
) -> AsyncIterator[Batch]:
    """The routes of `rib`, in their stored form."""
    async for batch in _batches(store, of_its_peers(question, filters), on_read):
        found = batch.only(filters.stands) if filters.asks_for_routes else batch
        if found.items:
            yield found


def of_its_peers(question: RibQuery, filters: Filter) -> RibQuery:
    """The query restricted to peers that match the filters: the tables of others need not be read."""
    if filters == EVERYTHING:
        return question
    return replace(question, peer=filters.only_peer or question.peer, of_peer=filters.of_peer)


async def _batches(store: Store, question: RibQuery, on_read: Callable[[int], None]) -> AsyncIterator[Batch]:
    async for peer_rib in peer_ribs_of(store, question, on_read=on_read):
        shown = False
        async for items in matching(peer_rib, question):
            if items:
                shown = True
                yield Batch(peer_rib, items)
        if not shown and question.prefix:
            (family,) = question.families
            # Of a longest match, or of more specific prefixes, others than the withdrawn one may be hidden.
            only = question.prefix if question.match == "exact" else None
            if peer_rib.hides(family, only) and peer_rib.gap:
                key = RouteKey(family, None, None, question.prefix)
                if question.after is None or str(peer_rib.session["_id"]) != question.after.session:
                    hidden = key, RouteEntry(milliseconds(peer_rib.gap.ts), NO_FACTS)
                    yield Batch(peer_rib, [hidden], hidden=True)


async def count_stored(store: Store, question: RibQuery, *, on_hidden: Callable[[str], None] = lambda _: None) -> int:
    """The number of routes in the stored tables that an answer starts from.

    Args:
        store: an open store.
        question: which routes.
        on_hidden: called with the names of peers whose tables may lack routes because of a gap.
    """
    routes = 0
    async for peer_rib in peer_ribs_of(store, question):
        routes += await peer_rib.count_stored()
        if any(map(peer_rib.hides, question.families)):
            on_hidden(name_of(peer_rib.session["peer"]))
    return routes


async def peer_ribs_of(
    store: Store, question: RibQuery, *, on_read: Callable[[int], None] = lambda _: None
) -> AsyncIterator[PeerRib]:
    """The table of each session that the query is about."""
    async for peer_rib in peer_ribs_at(store, question.at, peer=question.peer):
        if question.after and question.after.is_behind(peer_rib.session):
            continue
        if question.of_peer(Peer.model_validate(peer_rib.session["peer"])):
            peer_rib.on_read = on_read
            yield peer_rib


async def matching(peer_rib: PeerRib, question: RibQuery) -> AsyncIterator[Items]:
    """The matching routes of one session, in order, in lists of some thousands."""
    span = question.span if question.is_of_tables else None
    if question.after:
        span = question.after.rest_of(peer_rib.session, span)
    if question.prefix is None or question.is_of_tables:
        async for items in peer_rib.table(span):
            yield items
    else:
        found: Items = []
        for prefixes in _groups(question.prefix, question.match):
            found += await peer_rib.few(prefixes)
            if found and question.match == "longest":
                longest = max(_length(key) for key, _ in found)
                found = [item for item in found if _length(item[0]) == longest]
                break
        yield [item for item in found if span.has(item[0])] if span else found


def _groups(prefix: str, match: Match) -> Iterator[list[str]]:
    """The prefixes that can be queried by name: those of `longest`, starting with the group of the longest."""
    if match == "exact":
        yield [prefix]
        return
    network = ipaddress.ip_network(prefix)
    end = network.prefixlen + 1
    for shortest in _SHORTEST_OF_GROUP[network.version] if match == "longest" else (0,):
        if shortest < end:
            yield [str(network.supernet(new_prefix=length)) for length in range(shortest, end)]
            end = shortest


def _length(key: RouteKey) -> int:
    return int(key.nlri.rpartition("/")[2])
