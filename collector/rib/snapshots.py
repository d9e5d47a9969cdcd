"""Finds and removes stored tables.

A snapshot is marked complete after its parts are written, and incomplete before they are removed: a process that is
killed in between leaves nothing that could be taken for a table. A table is a whole snapshot, or a whole snapshot and a
later one with the changes since.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Sequence,
)
from datetime import datetime
from typing import NamedTuple

from bson import ObjectId

from collector.rib.routes import BEHIND_PREFIXES
from collector.store.mongo import Query, Store
from collector.store.updates import NEWEST_FIRST, pieces
from schemas.snapshots import TABLE_VERSION, Snapshot
from schemas.stored import SessionDocument

_FIRST_LOOK = 4
"""Snapshots read at first: a long session has thousands, and one of the newest nearly always serves."""


class StoredTable(NamedTuple):
    """A session's stored table: a whole snapshot, and possibly a later one with the changes since."""

    whole: Snapshot
    changes: Snapshot | None = None

    @property
    def newest(self) -> Snapshot:
        """The snapshot that has the table's time and number of UPDATEs."""
        return self.changes or self.whole


async def newest(store: Store, session: ObjectId, at: datetime | None = None) -> StoredTable | None:
    """The newest complete table of a session, at or before a time; None if there is none."""
    query = {"session": session, **({"ts": {"$lte": at}} if at else {})}
    for limit in (_FIRST_LOOK, 0):
        async for document in store.find("snapshots", query, sort=NEWEST_FIRST, limit=limit):
            snapshot = Snapshot.model_validate(document)
            if is_good(snapshot) and (stored := await _with_base(store, snapshot)):
                return stored
    return None


async def newest_dump(store: Store, session: SessionDocument, at: datetime | None = None) -> Snapshot | None:
    """The newest table of a session from a RIB dump, at or before a time; None if there is none."""
    if "exabgp_pid" in session:  # there are no dumps of what ExaBGP receives
        return None
    query = {"session": session["_id"], "dump": {"$exists": True}, **({"ts": {"$lte": at}} if at else {})}
    async for document in store.find("snapshots", query, sort=NEWEST_FIRST):
        if (snapshot := Snapshot.model_validate(document)).complete:
            return snapshot
    return None


async def dumps_from(store: Store, session: SessionDocument, begin: datetime) -> AsyncIterator[Snapshot]:
    """The tables of a session from RIB dumps, from a time on."""
    if "exabgp_pid" not in session:
        async for one in every(store, {"session": session["_id"], "ts": {"$gte": begin}, "dump": {"$exists": True}}):
            if one.complete:
                yield one


async def _with_base(store: Store, snapshot: Snapshot) -> StoredTable | None:
    if snapshot.base is None:
        return StoredTable(snapshot)
    async for document in store.find("snapshots", {"_id": snapshot.base}):
        base = Snapshot.model_validate(document)
        if is_good(base) and base.session == snapshot.session:
            return StoredTable(base, snapshot)
    return None


def is_good(snapshot: Snapshot) -> bool:
    """Whether it can be read: it is complete, and the keys of routes that are not prefixes have the current form."""
    has_others = bool(snapshot.parts) and snapshot.parts[-1].last >= BEHIND_PREFIXES
    return snapshot.complete and (snapshot.v == TABLE_VERSION or not has_others)


async def has_all_parts(store: Store, snapshot: Snapshot) -> bool:
    """Whether its parts exist, and belong to it."""
    there = {one["_id"] async for one in store.find("snapshot_parts", {"snapshot": snapshot.key}, fields=("_id",))}
    return there.issuperset(part.key for part in snapshot.parts)


async def every(store: Store, query: Query) -> AsyncIterator[Snapshot]:
    """All snapshots that match a query, including incomplete ones."""
    async for document in store.find("snapshots", query):
        yield Snapshot.model_validate(document)


async def bases(store: Store, since: datetime) -> set[ObjectId]:
    """The whole snapshots that changes stored at or after a time depend on."""
    found = store.find("snapshots", {"ts": {"$gte": since}}, fields=("base",))
    return {document["base"] async for document in found if "base" in document}


async def remove(store: Store, gone: Sequence[Snapshot]) -> None:
    """Remove tables; a concurrent reader of one gets an error."""
    if gone:
        unfinished = [snapshot.model_copy(update={"complete": False}) for snapshot in gone]
        await store.replace("snapshots", [snapshot.to_document() for snapshot in unfinished])
        for keys in pieces([snapshot.key for snapshot in gone], (await store.traits()).keys):
            await store.remove("snapshot_parts", {"snapshot": {"$in": keys}})
            await store.remove("snapshots", {"_id": {"$in": keys}})
