"""`--limit`: the newest answers, in order."""

from __future__ import annotations

import heapq
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collector.query.batch import Batch
    from collector.rib.routes import Item, Items

T = TypeVar("T")
M = TypeVar("M", datetime, int)


async def newest(answers: AsyncIterator[T], limit: int | None) -> AsyncIterator[T]:
    """The last `limit` of answers in order of time; all of them without a limit."""
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
    """The `limit` latest answers, in the order in which they arrive; of equal ones the first.

    All answers are read for that, but only `limit` of them are kept in memory.
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
    """As `newest_of`, for the routes in batches, by the time of their announcement."""
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
