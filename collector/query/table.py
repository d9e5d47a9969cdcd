"""The tables of all peers at one time, merged prefix by prefix, for a table dump."""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import NamedTuple

from collector.query.batch import Batch
from collector.query.filters import Filter
from collector.query.peer_ribs import PeerRib
from collector.query.rib import RibQuery, matching, of_its_peers, peer_ribs_of
from collector.rib.routes import Items, RouteEntry, RouteKey, order
from collector.store.mongo import Store

_PATH_ID = 4
"""The size of the path ID at the end of a route's sort key, in bytes."""


class PeerRoute(NamedTuple):
    """A route of one of the peers."""

    peer: int
    """The index of the peer, from 0."""
    key: RouteKey
    entry: RouteEntry


PrefixRoutes = list[PeerRoute]
"""All routes of one prefix, or of one route that is not a prefix; with path identifiers (RFC 7911) a peer may have
several."""


async def table(
    store: Store,
    question: RibQuery,
    filters: Filter,
    *,
    on_peers: Callable[[Sequence[PeerRib]], None],
    on_read: Callable[[int], None] = lambda _: None,
) -> AsyncGenerator[PrefixRoutes, None]:
    """Current routes, in the order of their prefixes over all peers; some thousands of each peer are in memory.

    Args:
        store: an open store.
        question: the time. Prefixes are selected by the filters.
        filters: which routes.
        on_peers: called first, with all wanted peers that had a session, whether or not they have routes.
        on_read: called with the additional number of routes and UPDATEs read.
    """
    question = of_its_peers(_of_prefixes(question, filters), filters)
    peers = [peer_rib async for peer_rib in peer_ribs_of(store, question, on_read=on_read)]
    on_peers(peers)
    heap: list[tuple[bytes, int, RouteKey, RouteEntry]] = []
    async with AsyncExitStack() as closing:
        streams = [await closing.enter_async_context(aclosing(_pages(one, question, filters))) for one in peers]
        pages: list[Iterator[tuple[RouteKey, RouteEntry]]] = [iter(()) for _ in peers]

        async def advance(peer: int) -> None:
            item = next(pages[peer], None)
            while item is None and (page := await anext(streams[peer], None)) is not None:
                pages[peer] = iter(page)
                item = next(pages[peer], None)
            if item is not None:
                heapq.heappush(heap, (order(item[0]), peer, *item))

        for peer in range(len(peers)):
            await advance(peer)
        found: PrefixRoutes = []
        last = b""
        while heap:
            place, peer, key, entry = heapq.heappop(heap)
            if found and place[:-_PATH_ID] != last:
                yield found
                found = []
            last = place[:-_PATH_ID]
            found.append(PeerRoute(peer, key, entry))
            await advance(peer)
        if found:
            yield found


def _of_prefixes(question: RibQuery, filters: Filter) -> RibQuery:
    """The query for the one prefix in the filters, if there is just one: the rest of the tables need not be read."""
    named = filters.prefixes
    if named is None or named.excluded or len(named.values) != 1:
        return question
    return replace(question, prefix=named.values[0], match=filters.match)


async def _pages(peer_rib: PeerRib, question: RibQuery, filters: Filter) -> AsyncGenerator[Items, None]:
    async for items in matching(peer_rib, question):
        if filters.prefixes is not None:
            items = [one for one in items if filters.of_prefix(one[0].nlri if one[0].is_prefix else None)]
        yield Batch(peer_rib, items).only(filters.stands).items if filters.asks_for_routes else items
