"""Writes stored tables."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Collection,
    Mapping,
)
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from collector.errors import StoreError
from collector.rib import pages
from collector.rib.changes_ahead import look_ahead
from collector.rib.fold import Fold
from collector.rib.pages import PackedPage
from collector.rib.routes import Items
from collector.rib.snapshots import every, has_all_parts, remove
from collector.rib.stored_routes import changed, count
from collector.store.mongo import Store
from schemas.keys import collector_number, key_behind, make_snapshot_key
from schemas.snapshots import Snapshot, SnapshotPart
from schemas.stored import SessionDocument, SnapshotPartDocument

_AT_ONCE = 8
"""Parts that are written together."""


async def write(
    store: Store, session: SessionDocument, ts: datetime, base: Snapshot | None, fold: Fold, *, updates: int
) -> Snapshot:
    """Store a session's whole table as it was just before a time; idempotent.

    Args:
        store: the archive.
        session: the session's document.
        ts: the time.
        base: the whole table that the changes are to be applied to.
        fold: all of the session's UPDATEs from `base` up to the time.
        updates: the session's number of UPDATEs by then.

    Raises:
        StoreError: the base was removed meanwhile.
    """
    snapshot = await _empty(store, session, ts, updates)
    return await _write(store, snapshot, _packed_pages(_pages(changed(store, base, fold))))


async def write_changes(
    store: Store, session: SessionDocument, ts: datetime, base: Snapshot, fold: Fold, *, updates: int
) -> Snapshot:
    """As `write`, but store only the changes: the cost depends on their number, not on the size of the table."""
    snapshot = await _empty(store, session, ts, updates, base.key)
    snapshot.standing = await count(store, base, fold)
    return await _write(store, snapshot, _packed_pages(_changes(fold)))


async def write_dump(
    store: Store, session: SessionDocument, ts: datetime, table: AsyncIterator[PackedPage], *, updates: int, dump: str
) -> Snapshot:
    """Store a session's table from a RIB dump; idempotent. Later tables that were built from UPDATEs are removed.

    Args:
        store: the archive.
        session: the session's document.
        ts: the dump's time.
        table: all of its routes, in order.
        updates: the session's number of UPDATEs by then.
        dump: the dump's name.
    """
    later = every(store, {"session": session["_id"], "ts": {"$gte": ts}})
    await remove(store, [one async for one in later if one.dump is None])
    snapshot = (await _empty(store, session, ts, updates)).model_copy(update={"dump": dump})
    return await _write(store, snapshot, table)


async def _empty(
    store: Store, session: SessionDocument, ts: datetime, updates: int, base: ObjectId | None = None
) -> Snapshot:
    key = make_snapshot_key(ts, collector_number(session["collector"]), session["_id"])
    return Snapshot(
        key=await _free(store, "snapshots", key, {"session": session["_id"], "ts": ts}),
        collector=session["collector"],
        peer=session["peer"],
        session=session["_id"],
        ts=ts,
        written=datetime.now(UTC),
        complete=False,
        base=base,
        updates=updates,
        routes=0,
        parts=[],
    )


async def _free(
    store: Store, collection: str, key: ObjectId, own: Mapping[str, Any], taken: Collection[ObjectId] = ()
) -> ObjectId:
    """A key, or the next one that no other document has: hashes of forty bits collide now and then."""
    while True:
        found = store.find(collection, {"_id": key}, fields=tuple(own))
        others = [one async for one in found if any(one.get(name) != value for name, value in own.items())]
        if key not in taken and not others:
            return key
        key = key_behind(key)


async def _write(store: Store, snapshot: Snapshot, table: AsyncIterator[PackedPage]) -> Snapshot:
    await store.replace("snapshots", [snapshot.to_document()])
    waiting: list[SnapshotPartDocument] = []
    total: Counter[str] = Counter()
    async for page in table:
        total.update(page.families)
        number = len(snapshot.parts)
        part = await _part(store, snapshot, page, {"snapshot": snapshot.key, "part": number})
        snapshot.parts.append(part)
        waiting.append(
            {"_id": part.key, "v": snapshot.v, "snapshot": snapshot.key, "part": number, "routes": page.packed}
        )
        if len(waiting) == _AT_ONCE:
            await store.replace("snapshot_parts", waiting)
            waiting = []
    await store.replace("snapshot_parts", waiting)
    if not await has_all_parts(store, snapshot):
        raise StoreError("a snapshot was removed while it was written")
    snapshot.routes = sum(part.routes for part in snapshot.parts)
    if snapshot.base is None:
        snapshot.standing = total
    snapshot.complete = True
    await store.replace("snapshots", [snapshot.to_document()])
    return snapshot


async def _part(store: Store, snapshot: Snapshot, page: PackedPage, whose: Mapping[str, Any]) -> SnapshotPart:
    number = collector_number(snapshot.collector)
    key = make_snapshot_key(snapshot.ts, number, snapshot.session, len(snapshot.parts))
    return SnapshotPart(
        key=await _free(store, "snapshot_parts", key, whose, [part.key for part in snapshot.parts]),
        routes=page.routes,
        first=page.first,
        last=page.last,
    )


async def _packed_pages(paged: AsyncIterator[Items]) -> AsyncIterator[PackedPage]:
    async for items in paged:
        yield await asyncio.to_thread(pages.page_of, items)


async def _pages(tables: AsyncIterator[Items]) -> AsyncIterator[Items]:
    """The same routes, in lists of the size of a page."""
    rest: Items = []
    async for items in tables:
        rest += items
        while len(rest) >= pages.ROUTES:
            yield rest[: pages.ROUTES]
            rest = rest[pages.ROUTES :]
    if rest:
        yield rest


async def _changes(fold: Fold) -> AsyncIterator[Items]:
    changes = await look_ahead(fold)
    while some := await changes.some(pages.ROUTES):
        yield [(key, entry) for _, key, entry in some]
