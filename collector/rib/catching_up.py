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
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> int:
    """Store the tables of some sessions that are due.

    Args:
        store: the archive.
        sessions: the keys of the sessions.
        rhythm: when tables are stored.
        on_progress: called with how many sessions are done, and how many there are.

    Returns:
        The number of stored tables.
    """
    count = 0
    for number, key in enumerate(sessions):
        on_progress(number, len(sessions))
        async for session in store.find("sessions", {"_id": key}):
            newest = await snapshots.newest(store, key)
            count += len([stored async for stored in project(store, session, newest, rhythm)])
    on_progress(len(sessions), len(sessions))
    return count
