"""`--limit`: the newest answers, in the order in which all of them would have come."""

from __future__ import annotations

import heapq
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from collector.query.batch import Batch
from collector.query.coverage import coverage
from collector.query.filters import Filter
from collector.query.origins import are_indexed
from collector.query.search import search
from collector.query.streams import SLACK
from collector.rib.routes import Item, Items
from collector.store.mongo import Store
from schemas.query import HistoryEntry

T = TypeVar("T")
M = TypeVar("M", datetime, int)

_FIRST_WINDOW = timedelta(minutes=1)
_WIDER = 4


async def newest(answers: AsyncIterator[T], limit: int | None) -> AsyncIterator[T]:
    """The last `limit` of answers that come oldest first; all of them without a limit."""
    if limit is None:
        async for answer in answers:
            yield answer
        return
    kept: deque[T] = deque(maxlen=min(limit, sys.maxsize))
    async for answer in answers:
        kept.append(answer)
    for answer in kept:
        yield answer


async def newest_of(answers: AsyncIterator[T], limit: int | None, moment: Callable[[T], M]) -> AsyncIterator[T]:
    """The `limit` answers with the latest moments, in the order in which they come; of equal ones the first.

    All have to be read for that; `limit` of them are kept in memory.
    """
    if limit is None:
        async for answer in answers:
            yield answer
        return
    kept: list[tuple[M, int, T]] = []
    place = 0
    async for answer in answers:
        place -= 1
        if len(kept) < limit:
            heapq.heappush(kept, (moment(answer), place, answer))
        else:
            heapq.heappushpop(kept, (moment(answer), place, answer))
    for *_, answer in sorted(kept, key=lambda one: -one[1]):
        yield answer


async def newest_routes(batches: AsyncIterator[Batch], limit: int | None) -> AsyncIterator[Batch]:
    """What `newest_of` gives of the routes in batches, by the times since which they stand."""
    if limit is None:
        async for batch in batches:
            yield batch
        return
    own: Batch | None = None
    items: Items = []
    async for whose, item in newest_of(_each(batches), limit, lambda one: one[1][1].since):
        if own and own is not whose:
            yield own._replace(items=items)
            items = []
        own = whose
        items.append(item)
    if own:
        yield own._replace(items=items)


async def _each(batches: AsyncIterator[Batch]) -> AsyncIterator[tuple[Batch, Item]]:
    async for batch in batches:
        whose = batch._replace(items=[])
        for item in batch.items:
            yield whose, item


async def search_newest(
    store: Store,
    filters: Filter,
    limit: int,
    *,
    complete: bool = True,
    on_read: Callable[[], None] | None = None,
) -> AsyncIterator[HistoryEntry]:
    """The newest `limit` entries of `search`, oldest first.

    They are read from the end on, in windows of a minute, four, sixteen and so on, until there are enough: it costs
    what these hold, and as much as `search` only where there are fewer. What an index over origins finds is read as a
    whole.
    """
    if await are_indexed(store, filters):
        async for entry in newest(search(store, filters, complete=complete, on_read=on_read), limit):
            yield entry
        return
    begin, end = await _bounds(store, filters)
    width = _FIRST_WINDOW
    found: list[HistoryEntry] = []
    while begin < end and len(found) < limit:
        start = max(begin, end - width)
        window = search(store, replace(filters, start=start, end=end), complete=complete, on_read=on_read)
        found = [*[entry async for entry in newest(window, limit - len(found))], *found]
        end, width = start, width * _WIDER
    for entry in found:
        yield entry


async def _bounds(store: Store, filters: Filter) -> tuple[datetime, datetime]:
    """From when on, and up to when, there can be anything."""
    now = datetime.now(UTC)
    covered = await coverage(store, now)
    since, upto = (covered.since or now) - SLACK, max(covered.upto or now, now) + SLACK
    return max(since, filters.start) if filters.start else since, min(upto, filters.end) if filters.end else upto
