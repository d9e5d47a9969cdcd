"""Stores tables that are due for sessions from imported files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bson import ObjectId

from collector.rib import snapshots
from collector.rib.projecting import Rhythm, project
from collector.store.mongo import Store


async def catch_up(
    store: Store,
    sessions: Sequence[ObjectId],
    rhythm: Rhythm,
    told: Callable[[int, int], None] = lambda _done, _of: None,
) -> int:
    """Store the tables of some sessions that are due.

    Args:
        store: the archive.
        sessions: their keys.
        rhythm: when there are tables.
        told: is told how many sessions are done, of how many.

    Returns:
        How many tables were stored.
    """
    count = 0
    for number, key in enumerate(sessions):
        told(number, len(sessions))
        async for session in store.find("sessions", {"_id": key}):
            newest = await snapshots.newest(store, key)
            count += len([stored async for stored in project(store, session, newest, rhythm)])
    told(len(sessions), len(sessions))
    return count
