"""Reads the routes of stored tables."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import Counter, deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Collection,
    Container,
    Iterable,
    Sequence,
)
from contextlib import aclosing
from itertools import islice

from bson import ObjectId

from collector.errors import StoreError
from collector.rib import pages
from collector.rib.changes_ahead import look_ahead
from collector.rib.fold import Fold
from collector.rib.routes import WITHDRAWN, Items, Range, RouteEntry, RouteKey, order, place
from collector.rib.runs import Change
from collector.rib.snapshots import StoredTable
from collector.store.mongo import Store
from collector.tasks import end
from schemas.scalars import spoken
from schemas.snapshots import Snapshot, SnapshotPart

StatePair = tuple[RouteKey, RouteEntry, RouteEntry]
"""A route, its earlier state, and its later state; `WITHDRAWN` where there is none."""

_READ_AHEAD = 3
"""Parts that are read concurrently."""
_LOOKS = 16
"""About how many sort keys are computed to find a place among some thousands of routes."""


async def routes_to(store: Store, snapshot: Snapshot, prefixes: Collection[str]) -> Items:
    """The routes of a whole table to some prefixes, in order; only parts that may contain them are read.

    Raises:
        StoreError: the table was removed meanwhile.
    """
    places = [place(prefix) for prefix in prefixes]
    found: Items = []
    for part in snapshot.parts:
        if any(part.first[: len(one)] <= one <= part.last for one in places):
            found += await _read(store, snapshot, part, prefixes)
    return found


async def begin_fold(store: Store, session: ObjectId, stored: StoredTable | None, span: Range | None = None) -> Fold:
    """A fold that starts with the stored changes since a whole table.

    Raises:
        StoreError: they were removed meanwhile.
    """
    fold = Fold(session, span=span)
    if stored and stored.changes:
        parts = [part for part in stored.changes.parts if _overlap(part, span)]
        packed = [await _packed(store, stored.changes, part) for part in parts]
        fold.begin_with(packed, sum(part.routes for part in parts))
    return fold


def _overlap(part: SnapshotPart, span: Range | None) -> bool:
    return span is None or (part.last >= span.first and part.first <= span.last)


async def _packed(store: Store, snapshot: Snapshot, part: SnapshotPart) -> bytes:
    async for document in store.find("snapshot_parts", {"_id": part.key}):
        number = snapshot.parts.index(part)
        if document["snapshot"] != snapshot.key or document.get("part", number) != number:  # 0.1 did not store these
            raise StoreError(
                f"the stored table of {snapshot.peer.address} at {spoken(snapshot.ts)} UTC cannot be read:"
                " another table has overwritten a part of it, which could happen with bgpledger 0.1",
                "bgpledger db rebuild-rib rebuilds the stored tables",
            )
        packed: bytes = document["routes"]
        return packed
    raise StoreError("a snapshot was removed while it was read", "ask again")


async def _read(store: Store, snapshot: Snapshot, part: SnapshotPart, only: Container[str] | None = None) -> Items:
    return pages.unpack(await _packed(store, snapshot, part), only)


async def changed(store: Store, whole: Snapshot | None, fold: Fold, span: Range | None = None) -> AsyncIterator[Items]:
    """A whole table with changes applied, in order, in lists of some thousands of routes.

    Raises:
        StoreError: the table was removed meanwhile.
    """
    changes = await look_ahead(fold)
    if whole:
        async with aclosing(_read_ahead(store, whole, span)) as parts:
            async for last, items in parts:
                of_part = await changes.all_upto(last)
                yield await asyncio.to_thread(_merge, items, of_part) if of_part else items
    while rest := await changes.some(pages.ROUTES):
        yield await asyncio.to_thread(_merge, [], rest)


async def _read_ahead(store: Store, whole: Snapshot, span: Range | None) -> AsyncGenerator[tuple[bytes, Items], None]:
    """The last place of each part, and its routes; the next parts are read meanwhile."""
    coming: deque[tuple[bytes, asyncio.Task[Items]]] = deque()
    parts = iter([part for part in whole.parts if _overlap(part, span)])
    try:
        while True:
            for part in islice(parts, _READ_AHEAD - len(coming)):
                coming.append((part.last, asyncio.create_task(_read(store, whole, part))))
            if not coming:
                return
            last, reading = coming[0]
            items = await reading
            coming.popleft()
            yield last, items
    finally:
        await end(*(reading for _, reading in coming))


def _merge(items: Items, changes: Sequence[Change]) -> Items:
    """Routes with changes applied. Nearly all changed routes exist already, so their place is known."""
    changed = {key: entry for _, key, entry in changes}
    names = {key.nlri for key in changed}  # looking up a text takes half the time of a key
    merged = [item if item[0].nlri not in names else (item[0], changed.pop(*item)) for item in items]
    merged = [item for item in merged if item[1] is not WITHDRAWN]
    new = [(key, entry) for key, entry in changed.items() if entry is not WITHDRAWN]
    if len(new) * _LOOKS < len(merged):
        for item in new:
            insort(merged, item, key=_order_of)
    elif new:
        merged = sorted(merged + new, key=_order_of)
    return merged


def _order_of(item: tuple[RouteKey, RouteEntry]) -> bytes:
    return order(item[0])


async def count(store: Store, whole: Snapshot | None, fold: Fold) -> Counter[str]:
    """The number of routes of `changed`, by family. If the table's own count is stored, only changes are read."""
    total = await _counted(store, whole) if whole else Counter[str]()
    async for changes in before_and_after(store, whole, None, fold):
        total.subtract(key.family for key, stood, _ in changes if stood is not WITHDRAWN)
        total.update(key.family for key, _, stands in changes if stands is not WITHDRAWN)
    return +total


async def _counted(store: Store, whole: Snapshot) -> Counter[str]:
    if whole.standing is not None:
        return Counter(whole.standing)
    total = Counter[str]()
    for part in whole.parts:  # 0.1 did not count
        total.update(pages.families(await _read(store, whole, part)))
    return total


async def before_and_after(
    store: Store, whole: Snapshot | None, fold: Fold | None, later: Fold
) -> AsyncIterator[list[StatePair]]:
    """Each change of a later fold, in order, with the route's state before it.

    Raises:
        StoreError: the table was removed meanwhile.
    """
    before, changes = await look_ahead(fold), await look_ahead(later)
    for snapshot, part in ((whole, part) for part in whole.parts) if whole else ():
        if of_part := await changes.all_upto(part.last):
            items = await _read(store, snapshot, part, {key.nlri for _, key, _ in of_part})
            yield await asyncio.to_thread(_before_and_after, items, before.upto(part.last), of_part)
    while of_part := await changes.some(pages.ROUTES):
        yield await asyncio.to_thread(_before_and_after, [], before.upto(of_part[-1][0]), of_part)


def _before_and_after(items: Items, before: Iterable[Change], changes: Sequence[Change]) -> list[StatePair]:
    changed = {key for _, key, _ in changes}
    stood = {key: entry for key, entry in items if key in changed}
    stood.update((key, entry) for _, key, entry in before if key in changed)
    return [(key, stood.get(key, WITHDRAWN), entry) for _, key, entry in changes]
