"""The newest entries of `search`: read backwards from the end until there are enough."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pymongo
from pymongo.errors import ExecutionTimeout, NetworkTimeout

from collector.errors import StoreError
from collector.query.coverage import coverage
from collector.query.filters import Filter
from collector.query.newest import newest
from collector.query.origins import are_indexed
from collector.query.search import search
from collector.query.streams import SLACK
from collector.store.mongo import Store
from schemas.query import HistoryEntry

_FIRST_WINDOW = timedelta(seconds=1)
_WIDER = 4
_LONGER = 4
"""The patience, as long as nothing was found."""


async def search_newest(
    store: Store,
    filters: Filter,
    limit: int,
    *,
    complete: bool = True,
    patience: float | None = None,
    on_cut: Callable[[datetime], None] = lambda _: None,
    on_read: Callable[[], None] | None = None,
) -> AsyncIterator[HistoryEntry]:
    """The newest `limit` entries of `search`, oldest first.

    They are read from the end on, in windows of a second, then longer ones, until there are enough: it costs
    what these hold, and as much as `search` only where there are fewer. What an index over origins finds is read as a
    whole, whatever the patience.

    Args:
        store: an open store.
        filters: as for `search`.
        limit: how many.
        complete: as for `search`.
        patience: seconds after which no more is read, and those that were found are given; four times as many while
            there are none.
        on_cut: called with the time down to which all was read, where it was not read to its end.
        on_read: as for `search`.
    """
    if await are_indexed(store, filters) and (patience is None or filters.wanted_origins):
        async for entry in newest(search(store, filters, complete=complete, on_read=on_read), limit):
            yield entry
        return
    clock = asyncio.get_running_loop().time
    began = clock()
    begin, last, end = await _bounds(store, filters)
    # Behind the last word of any peer there is nothing but gaps.
    width, start = _FIRST_WINDOW, max(begin, min(last, end) - _FIRST_WINDOW)
    found: list[HistoryEntry] = []
    while begin < end and len(found) < limit:
        window = search(store, replace(filters, start=start, end=end), complete=complete, on_read=on_read)
        left = None if patience is None else began + patience * (1 if found else _LONGER) - clock()
        some = await _in_time(newest(window, limit - len(found)), left)
        if some is None:
            on_cut(end)
            break
        found = some + found
        width *= _WIDER
        end, start = start, max(begin, start - width)
    for entry in found:
        yield entry


async def _in_time(entries: AsyncIterator[HistoryEntry], seconds: float | None) -> list[HistoryEntry] | None:
    """All entries; None where that takes longer."""
    if seconds is not None and seconds <= 0:
        return None
    try:
        # The driver tries again what is cancelled, unless it is told of the time, too.
        async with asyncio.timeout(seconds):
            with pymongo.timeout(seconds):
                return [entry async for entry in entries]
    except TimeoutError:
        return None
    except StoreError as error:
        if isinstance(error.__cause__, ExecutionTimeout | NetworkTimeout):
            return None
        raise


async def _bounds(store: Store, filters: Filter) -> tuple[datetime, datetime, datetime]:
    """From when on there can be anything, when a peer was last heard of, and up to when there can be more."""
    now = datetime.now(UTC)
    covered = await coverage(store, now)
    last = covered.upto or now
    since, upto = (covered.since or now) - SLACK, max(last, now) + SLACK
    begin, end = max(since, filters.start or since), min(upto, filters.end or upto)
    return begin, last, end
