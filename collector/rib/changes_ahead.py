"""Reads sorted changes ahead, for merging them with a table."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice

from collector.rib.fold import Fold
from collector.rib.runs import Change


class ChangesAhead:
    """Changes in order, and the next one of them."""

    def __init__(self, changes: Iterator[Change]) -> None:
        self._changes = changes
        self._next = next(changes, None)

    def upto(self, last: bytes) -> Iterator[Change]:
        """All up to a place, itself included."""
        while self._next and self._next[0] <= last:
            yield self._next
            self._next = next(self._changes, None)

    async def all_upto(self, last: bytes) -> list[Change]:
        """The same, which may be very many, without keeping the event loop waiting."""
        return await asyncio.to_thread(list, self.upto(last)) if self._next and self._next[0] <= last else []

    async def some(self, most: int) -> list[Change]:
        """The next ones, in the same way; none when there are none left."""
        return await asyncio.to_thread(self._some, most) if self._next else []

    def _some(self, most: int) -> list[Change]:
        found = [self._next] if self._next else []
        found += islice(self._changes, most - 1)
        self._next = next(self._changes, None)
        return found


async def look_ahead(fold: Fold | None) -> ChangesAhead:
    """All that a fold has, if any, in order, however long it takes to sort it."""
    return await asyncio.to_thread(ChangesAhead, fold.changes() if fold else iter(()))
