"""The rows of a prefix's history, in order of time: streamed, or window by window."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import NamedTuple

from collector.query import streams
from collector.query.coverage import Coverage, coverage
from collector.query.filters import Filter
from collector.query.prefix_windows import (
    EPOCH,
    EVENTS,
    FIRST_WINDOW,
    NARROWER,
    NARROWEST_WINDOW,
    UPDATE_FIELDS,
    PrefixReader,
    RouteEvent,
    next_width,
)
from collector.query.streams import OwnRow, R, Row, SessionRow, UpdateRow, merge
from collector.store.mongo import Query, Store
from collector.store.updates import IN_ORDER
from schemas.peer import Peer

_FEW_PEERS, _MANY_PEERS = 8, 100
"""Where each peer has to be queried by itself, for a prefix with many UPDATEs. Up to the first number of peers, all are
queried: finding out which of them have UPDATEs for the prefix would mean reading all of these. Above the second, one
query for all is faster."""
_AFTER = "!"
"""Less than all characters of addresses, so that nothing equals the bound of `$gt`: SecantusDB 0.7.0b3 reads that."""


async def rows_of_prefix(reader: PrefixReader, filters: Filter, *, with_ours: bool) -> AsyncGenerator[Row, None]:
    """All rows of a prefix that may match, oldest first.

    A server that reads all that a query finds before it answers is queried window by window, so that whoever stops
    early does not wait for everything.
    """
    store, prefix = reader.store, reader.prefix
    await reader.read_few()
    updates: Sequence[AsyncGenerator[UpdateRow, None]]
    if reader.senders is not None:
        updates = [_each(await reader.read(filters.start or EPOCH, filters.end, reader.senders) or ())]
    elif (await store.traits()).window_documents is not None and (few := await few_peers(reader, filters)):
        updates = [_in_windows(reader, filters, few)]
    else:
        updates = await _streamed(store, prefix, filters)
    others = _other_rows(store, prefix, filters)
    if with_ours:
        from collector.query.own_events import own_rows

        others = own_rows(store, prefix), *others
    async with aclosing(merge(*updates, *others)) as rows:
        async for row in rows:
            yield row


class FewPeers(NamedTuple):
    """The peers that may have UPDATEs for a prefix."""

    addresses: Collection[str]
    covered: Coverage
    """The time that the archive covers."""


async def few_peers(reader: PrefixReader, filters: Filter) -> FewPeers | None:
    """The peers that may have UPDATEs for the prefix; None if there are too many to be queried often."""
    named = reader.senders or _named_addresses(filters)
    if named:
        return FewPeers(named, await coverage(reader.store, datetime.now(UTC)))
    found = await _peers_with_updates(reader, filters)
    is_few = len(found.addresses) <= _MANY_PEERS or (await reader.store.traits()).narrows_lists
    return found if is_few else None


async def rows_within(
    reader: PrefixReader, within: Filter, ours: Sequence[OwnRow], updates: Sequence[UpdateRow]
) -> list[Row]:
    """The rows of a window, of which the UPDATEs have been read."""
    own = [row for row in ours if within.is_in_time(row.ts)]
    merged = merge(_each(own), _each(updates), *_other_rows(reader.store, reader.prefix, within))
    async with aclosing(merged) as rows:
        return [row async for row in rows]


async def _in_windows(reader: PrefixReader, filters: Filter, few: FewPeers) -> AsyncGenerator[UpdateRow, None]:
    peers, covered = few
    begin, upto = filters.start or EPOCH, max(filter(None, (covered.upto, filters.start)), default=EPOCH)
    at, width = max(begin, (covered.since or EPOCH) - streams.SLACK), FIRST_WINDOW
    while True:
        width = min(width, max(upto - at, NARROWEST_WINDOW) + NARROWEST_WINDOW)
        is_last = at + width > upto or (filters.end is not None and at + width >= filters.end)
        end = filters.end if is_last else at + width
        updates = await reader.read(begin, end, peers, whole=width <= NARROWEST_WINDOW)
        if updates is None:
            width = max(width / NARROWER, NARROWEST_WINDOW)
            continue
        for row in updates:
            yield row
        if end is None or is_last:
            return
        begin = at = end
        width = next_width(width, len(updates))


async def _streamed(store: Store, prefix: str, filters: Filter) -> list[AsyncGenerator[UpdateRow, None]]:
    """Each peer's UPDATEs for the prefix in a stream: the index has them in order for one peer, not for all."""
    of_peers = []
    for event in EVENTS:  # ranks are equal within one message
        query: Query = {f"{event}.nlri": prefix, **({"ts": filters.span} if filters.span else {})}
        peers = _named_addresses(filters) or await store.values("updates", "peer.address", query)
        of_peers += [_of_peer(store, event, {**query, "peer.address": peer}) for peer in sorted(peers)]
    return of_peers


async def _of_peer(store: Store, event: RouteEvent, query: Query) -> AsyncGenerator[UpdateRow, None]:
    async with aclosing(store.find("updates", query, sort=IN_ORDER, fields=UPDATE_FIELDS)) as documents:
        async for document in documents:
            yield UpdateRow(document["ts"], document["_id"].binary, document, event)


def _other_rows(store: Store, prefix: str, filters: Filter) -> tuple[AsyncGenerator[Row, None], ...]:
    """What is not an UPDATE: ends of sessions, gaps, tables."""
    return _end_rows(store, filters), streams.gap_rows(store, filters), streams.table_rows(store, prefix, filters)


async def _end_rows(store: Store, filters: Filter) -> AsyncGenerator[SessionRow, None]:
    """The ends of sessions in the wanted time range."""
    query: Query = {"until": filters.span or {"$exists": True}}
    fields = ("until", "until_line", "since", "peer", "collector", "reason", "families", "path_ids", "capabilities")
    of_one_time: list[SessionRow] = []
    async for session in store.find("sessions", query, sort=(("until", 1), ("_id", 1)), fields=fields):
        end = streams.rows_of(session)[1]
        if of_one_time and of_one_time[0].ts != end.ts:
            for row in streams.in_order(of_one_time):
                yield row
            of_one_time = []
        of_one_time.append(end)
    for row in streams.in_order(of_one_time):
        yield row


async def _each(rows: Iterable[R]) -> AsyncGenerator[R, None]:
    for row in rows:
        yield row


def _named_addresses(filters: Filter) -> list[str]:
    """The peers' addresses, if only these are wanted."""
    if filters.peers is None or filters.peers.excluded or any("/" in one for one in filters.peers.values):
        return []
    return list({str(ipaddress.ip_address(one)) for one in filters.peers.values})


async def _peers_with_updates(reader: PrefixReader, filters: Filter) -> FewPeers:
    """The wanted peers that had sessions, and all others with UPDATEs for the prefix.

    If sessions do not help to find them: all peers with UPDATEs for the prefix.
    """
    store, covered = reader.store, Coverage(None, None)
    known: set[str] = set()
    wanted: set[str] = set()
    async for session in store.find("sessions", {}, fields=("peer", "since", "until", "last_seen")):
        covered = covered.with_one(session)
        known.add(session["peer"]["address"])
        if filters.of_peer(Peer.model_validate(session["peer"])):
            wanted.add(session["peer"]["address"])
    if (await store.traits()).narrows_lists:
        return FewPeers(wanted | await _strangers(reader, [{"$nin": sorted(known)}]), covered)
    if len(wanted) <= _FEW_PEERS and len(known) <= _MANY_PEERS:
        return FewPeers(wanted | await _strangers(reader, _between(sorted(known))), covered)
    queries = [{f"{event}.nlri": reader.prefix} for event in EVENTS]
    return FewPeers(await store.values("updates", "peer.address", *queries), covered)


async def _strangers(reader: PrefixReader, conditions: Sequence[Query]) -> set[str]:
    """The addresses of peers with UPDATEs for the prefix that meet one of these conditions.

    Their sessions have been removed, or are not stored yet: an archiver writes them after the first UPDATEs.
    """
    found: set[str] = set()
    for event in EVENTS:
        for condition in conditions:
            query = {f"{event}.nlri": reader.prefix, "peer.address": condition}
            found |= {one["peer"]["address"] async for one in reader.store.find("updates", query, fields=("peer",))}
    return found


def _between(known: Sequence[str]) -> list[Query]:
    """Conditions for all addresses but these, for whose UPDATEs nothing of these peers is read."""
    ranges: list[dict[str, str]] = [{"$gt": f"{address}{_AFTER}"} for address in ("", *known)]
    for span, end in zip(ranges, known, strict=False):
        span["$lt"] = end
    return list(ranges)
