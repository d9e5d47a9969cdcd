"""`rib` and `diff` with filters: those of their answers that are asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime

from collector.query.batch import Batch, routes_of
from collector.query.diff import diff
from collector.query.filters import Filter
from collector.query.rib import RibQuery, rib_batches
from collector.store.mongo import Store
from schemas.query import Route, RouteChange


def of_its_peers(question: RibQuery, filters: Filter) -> RibQuery:
    """The question for the peers that the filters let through: the tables of others need not be read."""
    return replace(question, peer=filters.only_peer or question.peer, of_peer=filters.of_peer)


def narrow_rib(
    store: Store, question: RibQuery, filters: Filter, *, on_read: Callable[[int], None] = lambda _: None
) -> AsyncIterator[Route]:
    """The routes that the filters let through, in the order of `rib`, with its `on_read`.

    The longest match is found before that: a peer whose longest is filtered out does not answer with a shorter one.
    """
    return routes_of(narrow_rib_batches(store, question, filters, on_read=on_read))


async def narrow_rib_batches(
    store: Store, question: RibQuery, filters: Filter, *, on_read: Callable[[int], None] = lambda _: None
) -> AsyncIterator[Batch]:
    """What `narrow_rib` gives, as it is stored."""
    async for batch in rib_batches(store, of_its_peers(question, filters), on_read=on_read):
        found = batch.only(filters.stands) if filters.asks_for_routes else batch
        if found.items:
            yield found


async def narrow_diff(
    store: Store,
    question: RibQuery,
    earlier: datetime,
    later: datetime,
    filters: Filter,
    *,
    on_read: Callable[[int], None] = lambda _: None,
    on_hidden: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[RouteChange]:
    """The changes of routes that the filters let through, before or after, as `diff` has them."""
    changes = diff(store, of_its_peers(question, filters), earlier, later, on_read=on_read, on_hidden=on_hidden)
    async for change in changes:
        if any(filters.stands(route) for route in (change.before, change.after) if route):
            yield change
