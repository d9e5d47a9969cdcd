"""The routes that some ASes originate, from the index on origins: the UPDATEs that announced or withdrew them.

A withdrawal has no path. So what each peer announced of these ASes is found first, from the beginning of its sessions
on, and then who withdrew any of that; whether it was a route of theirs that a withdrawal ended is looked up.
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
"""Documents and prefixes that are worth trying: seconds, on the slowest server."""


@dataclass
class OriginatedRoutes:
    """What peers announced of some ASes' routes, and where to look for more."""

    store: Store
    filters: Filter
    spans: dict[str, list[Span]]
    """When each peer had sessions, within the time that is asked for."""
    prefixes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By the peer's address."""
    others: set[str] = field(default_factory=set)
    """Peers that announced routes which are no prefixes: no index serves these, so all that they say is read."""

    def add(self, document: UpdateDocument) -> int:
        """Take what an UPDATE announces, and say how many of its prefixes are new."""
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
        """Whether a withdrawn route can have been one of theirs."""
        return "nlri" not in group or nlri in self.prefixes.get(document["peer"]["address"], ())

    async def rows(self) -> AsyncGenerator[UpdateRow, None]:
        """The UPDATEs in the order of time, with some that have nothing of theirs."""
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
            if row.rank != last:  # it came by one part only, or by the first of several
                yield row
            last = row.rank


async def are_indexed(store: Store, filters: Filter) -> bool:
    """Whether certain routes alone are asked for, and the database has an index over these: by prefix, or by origin."""
    return bool(filters.named_prefixes) or await _are_origins_indexed(store, filters)


async def _are_origins_indexed(store: Store, filters: Filter) -> bool:
    return bool(filters.wanted_origins) and (await store.meta.schema() or ORIGINS_SINCE) >= ORIGINS_SINCE


async def announced(store: Store, filters: Filter) -> OriginatedRoutes | None:
    """What is known of the wanted origins' routes; None where it is better to read all that was said.

    That is: nobody asks for origins, the database has no index over them yet, or to follow that index would take as
    much as to read the range of time.
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
    """How many UPDATEs of a session there may be in the range of time, were they spread evenly."""
    updates: int = session["updates"]
    since, last = session["since"], session["last_seen"]
    begin = max(since, filters.start) if filters.start else since
    end = min(last, filters.end) if filters.end else last
    return round(updates * max((end - begin) / (last - since), 0)) if last > since else updates
