"""Entries of what is stored, as it is stored: `collector.query.follow`, turned to entries and filtered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from collector.query.filters import Filter
from collector.query.follow import FollowedLine, looks
from collector.query.newest import newest
from collector.store.mongo import Store
from schemas.query import HistoryEntry


async def tail(
    store: Store, filters: Filter, *, limit: int | None = None, pulse: Callable[[], None] = lambda: None
) -> AsyncIterator[HistoryEntry]:
    """What is stored from now on, or since the filters' start; endlessly, or up to a number of entries.

    Entries found by one look at the store are in order of time; entries stored later come later.

    Args:
        store: the archive.
        filters: which entries.
        limit: the maximum number: the newest stored ones, and more as they arrive.
        pulse: called after each look; an exception from it ends this.
    """
    left, newest_of_first = limit, limit
    async for look in looks(store, filters, pulse):
        async for entry in newest(_entries(look), newest_of_first):
            yield entry
            left = left and left - 1
            if left == 0:
                return
        newest_of_first = None


async def _entries(look: AsyncIterator[FollowedLine]) -> AsyncIterator[HistoryEntry]:
    async for line in look:
        for entry in line.entries:
            yield entry
