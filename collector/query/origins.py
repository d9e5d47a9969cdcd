"""The routes that some ASes originate, by the index on origins: the UPDATEs that announced or withdrew them.

A withdrawal has no path. So the announcements of these ASes by each peer are found first, from the beginning of its
sessions, and then the withdrawals of their prefixes; whether a withdrawal ended a route of theirs is looked up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass, field

from collector.query import streams
from collector.query.filters import Filter
from collector.query.streams import UpdateRow
from collector.rib.routes import Nlri, routes
from collector.store.collections import ORIGINS_SINCE
from collector.store.mongo import Store
from collector.store.updates import Span, announcements_of, updates_naming
from schemas.stored import GroupDocument, SessionDocument, UpdateDocument

_FIELDS = ("ts", "peer.address", "announce")
_AT_LEAST = 10_000
"""The number of documents and prefixes that is always worth trying: it takes seconds on the slowest server."""


@dataclass
class OriginatedRoutes:
    """Peers' announcements of some ASes' routes, and where to look for the rest."""

    store: Store
    filters: Filter
    spans: dict[str, list[Span]]
    """The times in the range at which each peer had sessions."""
    prefixes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By the peer's address."""
    others: set[str] = field(default_factory=set)
    """Peers that announced routes which are not prefixes: no index serves these, so all of their messages are read."""

    def add(self, document: UpdateDocument) -> int:
        """Take the announcements of an UPDATE into account; returns how many of its prefixes are new."""
        address = document["peer"]["address"]
        if address not in self.spans:
            return 0
        before = len(self.prefixes[address])
        for group, nlri in routes(document, "announce"):
            if "nlri" in group:
                self.prefixes[address].add(nlri)
            else:
                self.others.add(address)
        return len(self.prefixes[address]) - before

    def may_end(self, document: UpdateDocument, group: GroupDocument, nlri: Nlri) -> bool:
        """Whether a withdrawn route may have been one of theirs."""
        return "nlri" not in group or nlri in self.prefixes.get(document["peer"]["address"], ())

    async def rows(self) -> AsyncGenerator[UpdateRow, None]:
        """The UPDATEs in order of time, including some without any of their routes."""
        parts: list[AsyncGenerator[UpdateRow, None]] = []
        if self.spans and self.filters.wants("announce"):
            span = _whole(self.spans.values())
            parts += [streams.rows(announcements_of(self.store, asn, span)) for asn in self.filters.wanted_origins]
        for address, prefixes in self.prefixes.items():
            span = _whole([self.spans[address]])
            parts.append(streams.rows(updates_naming(self.store, address, sorted(prefixes), span, ["withdraw"])))
        parts += [streams.of_peer(self.store, address, self.spans[address]) for address in self.others]
        last = None
        async for row in streams.merge(*parts):
            if row.rank != last:  # it was read for one part only, or for the first of several
                yield row
            last = row.rank


async def are_indexed(store: Store, filters: Filter) -> bool:
    """Whether only certain routes are wanted, and the database has an index for them: by prefix, or by origin."""
    return bool(filters.named_prefixes) or await _are_origins_indexed(store, filters)


async def _are_origins_indexed(store: Store, filters: Filter) -> bool:
    return bool(filters.wanted_origins) and (await store.meta.schema() or ORIGINS_SINCE) >= ORIGINS_SINCE


async def announced(store: Store, filters: Filter) -> OriginatedRoutes | None:
    """The announcements of the wanted origins; None if it is better to read everything.

    That is the case if no origins are wanted, if the database has no index on them yet, or if following it would take
    as long as reading the time range.
    """
    if not await _are_origins_indexed(store, filters):
        return None
    sessions = await streams.sessions(store, filters)
    found = OriginatedRoutes(store, filters, streams.spans(sessions, filters))
    if not found.spans or not filters.wants("withdraw"):
        return found
    begin = min(session["since"] for session in sessions) - streams.SLACK
    left = max(_AT_LEAST, sum(_expected(session, filters) for session in sessions))
    for asn in filters.wanted_origins:
        async for document in announcements_of(store, asn, (begin, _whole(found.spans.values())[1]), fields=_FIELDS):
            left -= 1 + found.add(document)
            if left < 0:
                return None
    return found


def _whole(spans: Collection[Sequence[Span]]) -> Span:
    return min(of_peer[0][0] for of_peer in spans), max(of_peer[-1][1] for of_peer in spans)


def _expected(session: SessionDocument, filters: Filter) -> int:
    """About how many UPDATEs a session has in the time range, if they are spread evenly."""
    updates: int = session["updates"]
    since, last = session["since"], session["last_seen"]
    begin = max(since, filters.start) if filters.start else since
    end = min(last, filters.end) if filters.end else last
    return round(updates * max((end - begin) / (last - since), 0)) if last > since else updates
