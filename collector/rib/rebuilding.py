"""Drops the stored tables, and rebuilds them from the archive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from collector.rib import snapshots
from collector.rib.projecting import Rhythm, project
from collector.store.mongo import Store
from schemas.snapshots import Snapshot
from schemas.stored import SessionDocument

_REMOVED_MEANWHILE = timedelta(hours=1)
"""UPDATEs that still exist may be removed while tables are built from them."""


async def rebuild(
    store: Store, rhythm: Rhythm, on_progress: Callable[[int, int], None] = lambda _done, _of: None
) -> int:
    """Drop the stored tables of all collectors, and rebuild them from the archive.

    Tables that cannot be rebuilt are kept: those of RIB dumps, and those whose UPDATEs have been removed ([retention]).

    Args:
        store: the archive; collectors may run meanwhile.
        rhythm: when tables are stored.
        on_progress: called with how many sessions are done, and how many there are.

    Returns:
        The number of tables.
    """
    sessions = [one async for one in store.find("sessions", {}, sort=(("_id", 1),))]
    known = {session["_id"] for session in sessions}
    async for snapshot in snapshots.every(store, {}):
        if snapshot.session not in known and snapshot.dump is None:
            await snapshots.remove(store, [snapshot])
    count = 0
    for number, session in enumerate(sessions):
        on_progress(number, len(sessions))
        stay, begin = await _remove_what_can_be_made(store, session)
        count += stay
        stored = await snapshots.newest(store, session["_id"], begin) if begin else None
        count += len([stored async for stored in project(store, session, stored, rhythm)])
    on_progress(len(sessions), len(sessions))
    return count


async def _remove_what_can_be_made(store: Store, session: SessionDocument) -> tuple[int, datetime | None]:
    """Remove the tables of a session that can be rebuilt, except the first one after those that are kept.

    Returns:
        How many are kept, and the time from which to rebuild; None: from the beginning of the session.
    """
    found = [one async for one in snapshots.every(store, {"session": session["_id"]})]
    seconds = (await store.lifetimes()).get("updates_days")
    kept = datetime.now(UTC) - timedelta(seconds=seconds) + _REMOVED_MEANWHILE if seconds else session["since"]
    old: list[Snapshot] = []
    if session["since"] < kept:
        whole = [one for one in found if snapshots.is_good(one) and await snapshots.has_all_parts(store, one)]
        keys = {one.key for one in whole}
        whole = sorted((one for one in whole if one.base is None or one.base in keys), key=lambda one: one.ts)
        old = [one for one in whole if one.ts < kept] + [one for one in whole if one.ts >= kept][:1]
    gone = [one for one in found if one not in old and one.dump is None]
    await snapshots.remove(store, gone)
    return len(found) - len(gone), max((one.ts for one in old), default=None)
