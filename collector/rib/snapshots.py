"""Stored tables: found, read, written and removed.

A snapshot's parts are written before it is complete, and it is incomplete before they are removed: whoever is killed in
between leaves something that nobody takes for a table. A table is a whole snapshot, or such a one and a later one that
has only what changed since.
"""

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
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from bson import ObjectId

from collector.errors import StoreError
from collector.rib import pages
from collector.rib.fold import Fold
from collector.rib.pages import Page
from collector.rib.routes import BEHIND_PREFIXES, WITHDRAWN, Items, Range, RouteEntry, RouteKey, order, place
from collector.rib.runs import Change
from collector.store.mongo import Document, Store
from collector.store.updates import NEWEST_FIRST, pieces
from collector.tasks import end
from schemas.documents import TABLE_VERSION, Snapshot, SnapshotPart
from schemas.keys import collector_number, key_behind, make_snapshot_key
from schemas.scalars import spoken
from schemas.stored import SessionDocument

Beside = tuple[RouteKey, RouteEntry, RouteEntry]
"""A route, how it stood, and how it stands; `WITHDRAWN` when it does not."""

_AT_ONCE = 8
"""Parts that are written together."""
_READ_AHEAD = 3
"""Parts that are read at once."""
_FIRST_LOOK = 4
"""Snapshots: there are thousands of a session that lasts, and one of the newest nearly always serves."""
_LOOKS = 16
"""At the order of so many routes one looks to find the place of another among some thousands."""


class Stored(NamedTuple):
    """A session's table as it is stored: a whole one, and what had changed some time later."""

    whole: Snapshot
    changes: Snapshot | None = None

    @property
    def newest(self) -> Snapshot:
        """What tells of which moment it is, and how many UPDATEs it has."""
        return self.changes or self.whole


async def newest(store: Store, session: ObjectId, at: datetime | None = None) -> Stored | None:
    """The newest complete table of a session, of those up to a time; None when there is none."""
    query = {"session": session, **({"ts": {"$lte": at}} if at else {})}
    for limit in (_FIRST_LOOK, 0):
        async for document in store.find("snapshots", query, sort=NEWEST_FIRST, limit=limit):
            snapshot = Snapshot.model_validate(document)
            if is_good(snapshot) and (stored := await _with_base(store, snapshot)):
                return stored
    return None


async def newest_dump(store: Store, session: SessionDocument, at: datetime | None = None) -> Snapshot | None:
    """The newest table that a RIB dump gave of a session, of those up to a time; None where there is none."""
    if "exabgp_pid" in session:  # nobody dumps what ExaBGP hears
        return None
    query = {"session": session["_id"], "dump": {"$exists": True}, **({"ts": {"$lte": at}} if at else {})}
    async for document in store.find("snapshots", query, sort=NEWEST_FIRST):
        if (snapshot := Snapshot.model_validate(document)).complete:
            return snapshot
    return None


async def dumps_from(store: Store, session: SessionDocument, begin: datetime) -> AsyncIterator[Snapshot]:
    """The tables that RIB dumps gave of a session from a time on."""
    if "exabgp_pid" not in session:
        async for one in every(store, {"session": session["_id"], "ts": {"$gte": begin}, "dump": {"$exists": True}}):
            if one.complete:
                yield one


async def routes_to(store: Store, snapshot: Snapshot, prefixes: Collection[str]) -> Items:
    """What a whole table has of some prefixes, in order; only parts are read in which they may be.

    Raises:
        StoreError: it was removed meanwhile.
    """
    places = [place(prefix) for prefix in prefixes]
    found: Items = []
    for part in snapshot.parts:
        if any(part.first[: len(one)] <= one <= part.last for one in places):
            found += await _read(store, snapshot, part, prefixes)
    return found


async def _with_base(store: Store, snapshot: Snapshot) -> Stored | None:
    if snapshot.base is None:
        return Stored(snapshot)
    async for document in store.find("snapshots", {"_id": snapshot.base}):
        base = Snapshot.model_validate(document)
        if is_good(base) and base.session == snapshot.session:
            return Stored(base, snapshot)
    return None


def is_good(snapshot: Snapshot) -> bool:
    """Whether it can be read: all of it is there, and routes that are no prefixes stand by their keys."""
    has_others = bool(snapshot.parts) and snapshot.parts[-1].last >= BEHIND_PREFIXES
    return snapshot.complete and (snapshot.v == TABLE_VERSION or not has_others)


async def has_all_parts(store: Store, snapshot: Snapshot) -> bool:
    """Whether its parts are there, and its own."""
    there = {one["_id"] async for one in store.find("snapshot_parts", {"snapshot": snapshot.key}, fields=("_id",))}
    return there.issuperset(part.key for part in snapshot.parts)


async def every(store: Store, query: Mapping[str, Any]) -> AsyncIterator[Snapshot]:
    """All snapshots that a query finds, those that are not complete as well."""
    async for document in store.find("snapshots", query):
        yield Snapshot.model_validate(document)


async def bases(store: Store, since: datetime) -> set[ObjectId]:
    """The whole snapshots that are needed for what has changed at a time or later."""
    found = store.find("snapshots", {"ts": {"$gte": since}}, fields=("base",))
    return {document["base"] async for document in found if "base" in document}


async def begin_fold(store: Store, session: ObjectId, stored: Stored | None, span: Range | None = None) -> Fold:
    """A fold that has what is stored of changes behind a whole table.

    Raises:
        StoreError: they were removed meanwhile.
    """
    fold = Fold(session, span=span)
    if stored and stored.changes:
        parts = [part for part in stored.changes.parts if _meet(part, span)]
        packed = [await _packed(store, stored.changes, part) for part in parts]
        fold.begin_with(packed, sum(part.routes for part in parts))
    return fold


def _meet(part: SnapshotPart, span: Range | None) -> bool:
    return span is None or (part.last >= span.first and part.first <= span.last)


async def _packed(store: Store, snapshot: Snapshot, part: SnapshotPart) -> bytes:
    async for document in store.find("snapshot_parts", {"_id": part.key}):
        number = snapshot.parts.index(part)
        if document["snapshot"] != snapshot.key or document.get("part", number) != number:  # 0.1 has no numbers
            raise StoreError(
                f"the stored table of {snapshot.peer.address} at {spoken(snapshot.ts)} UTC cannot be read:"
                " another table has overwritten a part of it, which bgpledger 0.1 let happen",
                "bgpledger db rebuild-rib makes the stored tables anew",
            )
        packed: bytes = document["routes"]
        return packed
    raise StoreError("a snapshot was removed while it was read", "ask again")


async def _read(store: Store, snapshot: Snapshot, part: SnapshotPart, only: Container[str] | None = None) -> Items:
    return pages.unpack(await _packed(store, snapshot, part), only)


async def changed(store: Store, whole: Snapshot | None, fold: Fold, span: Range | None = None) -> AsyncIterator[Items]:
    """A whole table with changes applied, in order, some thousands of routes at a time.

    Raises:
        StoreError: the table was removed meanwhile.
    """
    changes = await _ahead(fold)
    if whole:
        async with aclosing(_read_ahead(store, whole, span)) as parts:
            async for last, items in parts:
                of_part = await changes.all_upto(last)
                yield await asyncio.to_thread(_merge, items, of_part) if of_part else items
    while rest := await changes.some(pages.ROUTES):
        yield await asyncio.to_thread(_merge, [], rest)


async def _read_ahead(store: Store, whole: Snapshot, span: Range | None) -> AsyncGenerator[tuple[bytes, Items], None]:
    """Where each part ends, and its routes; while they are looked at, the next parts are read."""
    coming: deque[tuple[bytes, asyncio.Task[Items]]] = deque()
    parts = iter([part for part in whole.parts if _meet(part, span)])
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
    """Routes with changes applied: of those that are there already, and nearly all are, the order is known."""
    said = {key: held for _, key, held in changes}
    names = {key.nlri for key in said}  # a text is looked up in half the time of a key
    merged = [item if item[0].nlri not in names else (item[0], said.pop(*item)) for item in items]
    merged = [item for item in merged if item[1] is not WITHDRAWN]
    new = [(key, held) for key, held in said.items() if held is not WITHDRAWN]
    if len(new) * _LOOKS < len(merged):
        for item in new:
            insort(merged, item, key=_order_of)
    elif new:
        merged = sorted(merged + new, key=_order_of)
    return merged


def _order_of(item: tuple[RouteKey, RouteEntry]) -> bytes:
    return order(item[0])


async def count(store: Store, whole: Snapshot | None, fold: Fold) -> Counter[str]:
    """How many routes `changed` would give, by family. Of a counted table, only what changed is read."""
    total = await _counted(store, whole) if whole else Counter[str]()
    async for changes in beside(store, whole, None, fold):
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


async def beside(store: Store, whole: Snapshot | None, fold: Fold | None, later: Fold) -> AsyncIterator[list[Beside]]:
    """Each change of a later fold, in their order, and what stood before it: a whole table, if any, with changes.

    Raises:
        StoreError: the table was removed meanwhile.
    """
    before, changes = await _ahead(fold), await _ahead(later)
    for snapshot, part in ((whole, part) for part in whole.parts) if whole else ():
        if of_part := await changes.all_upto(part.last):
            items = await _read(store, snapshot, part, {key.nlri for _, key, _ in of_part})
            yield await asyncio.to_thread(_beside, items, before.upto(part.last), of_part)
    while of_part := await changes.some(pages.ROUTES):
        yield await asyncio.to_thread(_beside, [], before.upto(of_part[-1][0]), of_part)


def _beside(items: Items, before: Iterable[Change], changes: Sequence[Change]) -> list[Beside]:
    changed = {key for _, key, _ in changes}
    stood = {key: held for key, held in items if key in changed}
    stood.update((key, held) for _, key, held in before if key in changed)
    return [(key, stood.get(key, WITHDRAWN), held) for _, key, held in changes]


class _Ahead:
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


async def _ahead(fold: Fold | None) -> _Ahead:
    return await asyncio.to_thread(_Ahead, fold.changes() if fold else iter(()))  # sorts them


async def write(
    store: Store, session: SessionDocument, ts: datetime, base: Snapshot | None, fold: Fold, *, updates: int
) -> Snapshot:
    """Store a session's whole table as it was just before a time; harmless to repeat.

    Args:
        store: the archive.
        session: its document.
        ts: the time.
        base: the whole table that the changes are to be applied to.
        fold: all of the session's UPDATEs from `base` up to the time.
        updates: so many UPDATEs the session had by then.

    Raises:
        StoreError: somebody removed it meanwhile.
    """
    snapshot = await _empty(store, session, ts, updates)
    return await _write(store, snapshot, _packed_pages(_pages(changed(store, base, fold))))


async def write_changes(
    store: Store, session: SessionDocument, ts: datetime, base: Snapshot, fold: Fold, *, updates: int
) -> Snapshot:
    """The same, of what has changed alone: to store it costs as much as there are changes, not routes."""
    snapshot = await _empty(store, session, ts, updates, base.key)
    snapshot.standing = await count(store, base, fold)
    return await _write(store, snapshot, _packed_pages(_changes(fold)))


async def write_dump(
    store: Store, session: SessionDocument, ts: datetime, table: AsyncIterator[Page], *, updates: int, dump: str
) -> Snapshot:
    """Store a session's table as a RIB dump has it; harmless to repeat. What was made of UPDATEs behind it goes.

    Args:
        store: the archive.
        session: its document.
        ts: the dump's time.
        table: all of its routes, in their order.
        updates: so many UPDATEs the session had by then.
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
    """A key, or the next one that is no other document's: forty bits of a hash are the same now and then."""
    while True:
        found = store.find(collection, {"_id": key}, fields=tuple(own))
        others = [one async for one in found if any(one.get(name) != value for name, value in own.items())]
        if key not in taken and not others:
            return key
        key = key_behind(key)


async def _write(store: Store, snapshot: Snapshot, table: AsyncIterator[Page]) -> Snapshot:
    await store.replace("snapshots", [snapshot.to_document()])
    waiting: list[Document] = []
    total: Counter[str] = Counter()
    async for page in table:
        total.update(page.families)
        whose = {"snapshot": snapshot.key, "part": len(snapshot.parts)}
        part = await _part(store, snapshot, page, whose)
        snapshot.parts.append(part)
        waiting.append({"_id": part.key, "v": snapshot.v, **whose, "routes": page.packed})
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


async def _part(store: Store, snapshot: Snapshot, page: Page, whose: Mapping[str, Any]) -> SnapshotPart:
    number = collector_number(snapshot.collector)
    key = make_snapshot_key(snapshot.ts, number, snapshot.session, len(snapshot.parts))
    return SnapshotPart(
        key=await _free(store, "snapshot_parts", key, whose, [part.key for part in snapshot.parts]),
        routes=page.routes,
        first=page.first,
        last=page.last,
    )


async def _packed_pages(paged: AsyncIterator[Items]) -> AsyncIterator[Page]:
    async for items in paged:
        yield await asyncio.to_thread(pages.page_of, items)


async def _pages(tables: AsyncIterator[Items]) -> AsyncIterator[Items]:
    """The same routes, as many at a time as a page has."""
    rest: Items = []
    async for items in tables:
        rest += items
        while len(rest) >= pages.ROUTES:
            yield rest[: pages.ROUTES]
            rest = rest[pages.ROUTES :]
    if rest:
        yield rest


async def _changes(fold: Fold) -> AsyncIterator[Items]:
    changes = await _ahead(fold)
    while some := await changes.some(pages.ROUTES):
        yield [(key, held) for _, key, held in some]


async def remove(store: Store, gone: Sequence[Snapshot]) -> None:
    """Remove tables; who reads one of them meanwhile is told."""
    if gone:
        unfinished = [snapshot.model_copy(update={"complete": False}) for snapshot in gone]
        await store.replace("snapshots", [snapshot.to_document() for snapshot in unfinished])
        for keys in pieces([snapshot.key for snapshot in gone], (await store.traits()).keys):
            await store.remove("snapshot_parts", {"snapshot": {"$in": keys}})
            await store.remove("snapshots", {"_id": {"$in": keys}})
