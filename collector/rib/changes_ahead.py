"""Reads sorted changes ahead, for merging them with a table."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice

from collector.rib.fold import Fold
from collector.rib.runs import Change


class ChangesAhead:
    """Sorted changes, with a look at the next one."""

    def __init__(self, changes: Iterator[Change]) -> None:
        self._changes = changes
        self._next = next(changes, None)

    def upto(self, last: bytes) -> Iterator[Change]:
        """All changes up to a place, inclusive."""
        while self._next and self._next[0] <= last:
            yield self._next
            self._next = next(self._changes, None)

    async def all_upto(self, last: bytes) -> list[Change]:
        """As `upto`, for very many changes, without blocking the event loop."""
        return await asyncio.to_thread(list, self.upto(last)) if self._next and self._next[0] <= last else []

    async def some(self, most: int) -> list[Change]:
        """The next changes, at most `most`; empty at the end."""
        return await asyncio.to_thread(self._some, most) if self._next else []

    def _some(self, most: int) -> list[Change]:
        found = [self._next] if self._next else []
        found += islice(self._changes, most - 1)
        self._next = next(self._changes, None)
        return found


async def look_ahead(fold: Fold | None) -> ChangesAhead:
    """All changes of a fold, if any, in order; sorting them does not block the event loop."""
    return await asyncio.to_thread(ChangesAhead, fold.changes() if fold else iter(()))
