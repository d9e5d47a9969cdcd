"""The rows of a prefix's history, in order of time: streamed, or window by window."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

from collector.query import streams
from collector.query.coverage import coverage
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
from collector.query.streams import OwnRow, Row, SessionRow, UpdateRow, merge
from collector.store.mongo import Query, Store
from collector.store.updates import IN_ORDER
from schemas.peer import Peer

_FEW_PEERS, _MANY_PEERS = 8, 100
"""Where each peer has to be queried by itself. Up to the first number of peers, all are queried: finding out which of
them have UPDATEs for the prefix would mean reading all of these. Above the second, one query for all is faster."""
_AFTER = "!"
"""Less than all characters of addresses, so that nothing equals the bound of `$gt`: SecantusDB 0.7.0b3 reads that."""


async def rows_of_prefix(store: Store, prefix: str, filters: Filter, *, with_ours: bool) -> AsyncGenerator[Row, None]:
    """All rows of a prefix that may match, oldest first.

    A server that reads all that a query finds before it answers is queried window by window, so that whoever stops
    early does not wait for everything.
    """
    in_windows = (await store.traits()).window_documents is not None
    peers = await few_peers(store, prefix, filters) if in_windows else None
    updates = (
        await _streamed(store, prefix, filters)
        if peers is None
        else (_in_windows(PrefixReader(store, prefix), filters, peers),)
    )
    others = _other_rows(store, prefix, filters)
    if with_ours:
        from collector.query.own_events import own_rows

        others = own_rows(store, prefix), *others
    async with aclosing(merge(*updates, *others)) as rows:
        async for row in rows:
            yield row


async def few_peers(store: Store, prefix: str, filters: Filter) -> Collection[str] | None:
    """The addresses of the peers that may have UPDATEs for the prefix; None if too many to be queried often."""
    peers = _named_addresses(filters) or await _addresses_with_updates(store, prefix, filters)
    return None if len(peers) > _MANY_PEERS and not (await store.traits()).narrows_lists else peers


async def rows_within(
    reader: PrefixReader, within: Filter, ours: Sequence[OwnRow], updates: Sequence[UpdateRow]
) -> list[Row]:
    """The rows of a window, of which the UPDATEs have been read."""
    own = [row for row in ours if within.is_in_time(row.ts)]
    merged = merge(_each(own), _each(updates), *_other_rows(reader.store, reader.prefix, within))
    async with aclosing(merged) as rows:
        return [row async for row in rows]


async def _in_windows(reader: PrefixReader, filters: Filter, peers: Collection[str]) -> AsyncGenerator[UpdateRow, None]:
    covered = await coverage(reader.store, datetime.now(UTC))
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


async def _each(rows: Iterable[Row]) -> AsyncGenerator[Row, None]:
    for row in rows:
        yield row


def _named_addresses(filters: Filter) -> list[str]:
    """The peers' addresses, if only these are wanted."""
    if filters.peers is None or filters.peers.excluded or any("/" in one for one in filters.peers.values):
        return []
    return list({str(ipaddress.ip_address(one)) for one in filters.peers.values})


async def _addresses_with_updates(store: Store, prefix: str, filters: Filter) -> Collection[str]:
    """The addresses of the wanted peers that had sessions, and of others with UPDATEs for the prefix.

    If peers are many, and sessions may be gone: only of those that have UPDATEs for the prefix.
    """
    known: set[str] = set()
    wanted: set[str] = set()
    async for session in store.find("sessions", {}, fields=("peer",)):
        known.add(session["peer"]["address"])
        if filters.of_peer(Peer.model_validate(session["peer"])):
            wanted.add(session["peer"]["address"])
    if len(known) <= _FEW_PEERS:
        return wanted | await _addresses_between(store, prefix, sorted(known))
    is_quick = len(wanted) <= _FEW_PEERS or (await store.traits()).narrows_lists
    if wanted and is_quick and "sessions_days" not in await store.lifetimes():
        return wanted
    return await _addresses_between(store, prefix, [])


async def _addresses_between(store: Store, prefix: str, known: Sequence[str]) -> set[str]:
    """The addresses of peers with UPDATEs for the prefix, without these, whose UPDATEs are not read.

    Their sessions have been removed, or are not stored yet: an archiver writes them after the first UPDATEs.
    """
    ranges: list[dict[str, str]] = [{"$gt": f"{address}{_AFTER}"} for address in ("", *known)]
    for span, end in zip(ranges, known, strict=False):
        span["$lt"] = end
    queries = [{f"{event}.nlri": prefix, "peer.address": span} for event in EVENTS for span in ranges]
    return await store.values("updates", "peer.address", *queries)
