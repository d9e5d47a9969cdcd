"""What peers say, as it is stored: `collector.query.follow` as entries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from collector.query.filters import Filter
from collector.query.follow import ToldLine, looks
from collector.query.newest import newest
from collector.store.mongo import Store
from schemas.query import HistoryEntry


async def tail(
    store: Store, filters: Filter, *, limit: int | None = None, pulse: Callable[[], None] = lambda: None
) -> AsyncIterator[HistoryEntry]:
    """What is stored from now on, or since the filters' start; without end, or up to a number of entries.

    Entries of one look at the store come in the order of time, later stored ones after earlier stored ones.

    Args:
        store: the archive.
        filters: which entries.
        limit: how many: the newest of those that are stored, and more as they come.
        pulse: called after each look; what it raises ends this.
    """
    left, newest_of_first = limit, limit
    async for look in looks(store, filters, pulse):
        async for entry in newest(_entries(look), newest_of_first):
            yield entry
            left = left and left - 1
            if left == 0:
                return
        newest_of_first = None


async def _entries(look: AsyncIterator[ToldLine]) -> AsyncIterator[HistoryEntry]:
    async for told in look:
        for entry in told.entries:
            yield entry
