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
"""How many times the patience applies while nothing has been found."""


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

    They are read backwards from the end, in windows of a second, then longer ones, until there are enough: the cost
    depends on what these windows contain, and is that of `search` only if there are fewer. With an index on origins,
    everything that it finds is read, whatever the patience.

    Args:
        store: an open store.
        filters: as for `search`.
        limit: the maximum number.
        complete: as for `search`.
        patience: seconds after which reading stops, and the entries found so far are returned; four times as many while
            there are none.
        on_cut: called with the time back to which everything was read, if reading stopped early.
        on_read: as for `search`.
    """
    if await are_indexed(store, filters) and (patience is None or filters.wanted_origins):
        async for entry in newest(search(store, filters, complete=complete, on_read=on_read), limit):
            yield entry
        return
    clock = asyncio.get_running_loop().time
    began = clock()
    begin, last, end = await _bounds(store, filters)
    # After the last message of any peer there can only be gaps.
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
    """All entries; None if that takes longer."""
    if seconds is not None and seconds <= 0:
        return None
    try:
        # The driver retries what is cancelled, unless it is given the time limit too.
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
    """The earliest time of any entry, the time of the last message of any peer, and the latest time of any entry."""
    now = datetime.now(UTC)
    covered = await coverage(store, now)
    last = covered.upto or now
    since, upto = (covered.since or now) - SLACK, max(last, now) + SLACK
    begin, end = max(since, filters.start or since), min(upto, filters.end or upto)
    return begin, last, end
