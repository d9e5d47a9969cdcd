"""The newest entries of `search`: read from the end on, until there are enough."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from collector.query.coverage import coverage
from collector.query.filters import Filter
from collector.query.newest import newest
from collector.query.origins import are_indexed
from collector.query.search import search
from collector.query.streams import SLACK
from collector.store.mongo import Store
from schemas.query import HistoryEntry

_FIRST_WINDOW = timedelta(minutes=1)
_WIDER = 4


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
