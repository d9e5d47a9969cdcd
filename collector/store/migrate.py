"""Bringing a database of an older schema to this program's.

Version 2: a document of `updates` names its origins, for an index over them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta

from collector.store.collections import SCHEMA_VERSION
from collector.store.mongo import Document, Store
from collector.store.updates import updates_of_peer
from schemas.documents import UPDATE_VERSION, set_origins

_BATCH = 250
_FIELDS = ("peer.address", "since", "last_seen", "updates")
_SLACK = timedelta(seconds=2)
"""A clock may be set while a session lasts."""


async def migrate(store: Store, on_read: Callable[[int, int], None] = lambda _done, _of: None) -> int | None:
    """Bring every document of the sessions' UPDATEs to this schema, and say how many were changed.

    Harmless to repeat: what was done before it was broken off stays done. Collectors of this version may run
    meanwhile; one of an older must not, and refuses the database afterwards.

    Args:
        store: the database.
        on_read: called with how many UPDATEs have been read, and how many there are.

    Returns:
        None when the database needs none.

    Raises:
        StoreError: the database was written by a newer bgpledger.
    """
    if await store.schema() in (None, SCHEMA_VERSION):
        return None
    sessions = [session async for session in store.find("sessions", {}, fields=_FIELDS)]
    total = sum(session["updates"] for session in sessions)
    read = changed = 0
    waiting: list[Document] = []
    for address in sorted({session["peer"]["address"] for session in sessions}):
        async for document in _updates(store, [one for one in sessions if one["peer"]["address"] == address]):
            read += 1
            if document["v"] < UPDATE_VERSION:
                set_origins(document)
                waiting.append(document)
            if len(waiting) == _BATCH:
                changed += await _replace(store, waiting)
                on_read(read, total)
    changed += await _replace(store, waiting)
    await store.raise_schema()
    return changed


def _updates(store: Store, sessions: Sequence[Document]) -> AsyncIterator[Document]:
    """Those of one peer's sessions, and what was stored since they were written down."""
    begin = min(session["since"] for session in sessions)
    end = max(datetime.now(UTC), *(session["last_seen"] for session in sessions))
    most = sum(session["updates"] for session in sessions)
    return updates_of_peer(store, sessions[0]["peer"]["address"], [(begin - _SLACK, end + _SLACK)], most=most)


async def _replace(store: Store, documents: list[Document]) -> int:
    count = len(documents)
    await store.replace("updates", documents)
    documents.clear()
    return count
