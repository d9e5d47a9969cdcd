"""Stores the tables of all sessions of a collector while they are archived.

The table of each session that is up is stored at fixed hours, as RIS and RouteViews do. In between, the changes are
stored as soon as folding them would take half a second. Tables are derived: they may lag behind, or be dropped and
rebuilt.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from bson import ObjectId

from collector.errors import StoreError
from collector.rib import snapshots
from collector.rib.projecting import Rhythm, project
from collector.rib.snapshots import StoredTable
from collector.store.mongo import Store
from schemas.stored import SessionDocument

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
QUIET_SECONDS = 1.0
"""How long after the last full batch the archiver counts as quiet."""
LONGEST_WAIT = 600.0
"""The maximum time to wait for that."""
SWEEP_SECONDS = 3600.0


class Projector:
    """Stores the tables of one collector's sessions.

    Args:
        store: the archive.
        collector: the collector's name.
        is_ours: whether this process follows the session with a key; other processes follow the others.
        rhythm: when tables are stored.
        days: how long whole tables are kept; 0: for ever.
        changes_days: how long the changes in between are kept; 0: as long.
    """

    def __init__(
        self,
        store: Store,
        collector: str,
        rhythm: Rhythm,
        *,
        is_ours: Callable[[ObjectId], bool] = lambda _session: True,
        days: float,
        changes_days: float = 0,
    ) -> None:
        self._store = store
        self._collector = collector
        self._rhythm = rhythm
        self._is_ours = is_ours
        self._kept, self._changes_kept = days, changes_days
        self._began = datetime.now(UTC)
        self._up: dict[ObjectId, SessionDocument] | None = None
        self._seen: dict[ObjectId, SessionDocument] = {}
        self._newest: dict[ObjectId, StoredTable | None] = {}
        self._outdated: set[ObjectId] | None = None
        self._busy_since = self._last_full = self._swept = float("-inf")

    def saw(self, sessions: Sequence[SessionDocument], *, full: bool) -> None:
        """Take note of sessions as the archiver has stored them, and of whether its batch was full."""
        self._seen.update((session["_id"], session) for session in sessions)
        if full:
            now = time.monotonic()
            if now - self._last_full > QUIET_SECONDS:
                self._busy_since = now
            self._last_full = now

    async def run(self) -> None:
        """Store tables when they are due, until cancelled; waits if the store is unavailable."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look()
            except StoreError as error:
                log.info("no table could be stored: %s", error.cause)
                self._newest.clear()
            except Exception:
                # Nobody awaits this task, and tables can be rebuilt: it continues, and the error is logged.
                log.exception("no table could be stored")
                self._newest.clear()

    async def _look(self) -> None:
        if self._up is None:
            found = self._store.find("sessions", {"until": None})
            self._up = {one["_id"]: one async for one in found if self._follows(one["collector"], one["_id"])}
        seen, self._seen = self._seen, {}
        self._up.update(seen)
        for key, session in list(self._up.items()):
            if not self._may_work():
                return
            await self._follow(session)
            if "until" in session and self._up[key] is session:
                del self._up[key]
                self._newest.pop(key, None)
        await self._renew()
        if time.monotonic() - self._swept > SWEEP_SECONDS:
            await self._sweep()
            self._swept = time.monotonic()

    def _follows(self, collector: str, session: ObjectId) -> bool:
        return collector == self._collector and self._is_ours(session)

    def _may_work(self) -> bool:
        """Whether the archiver is quiet, or has been busy for too long to wait."""
        now = time.monotonic()
        return now - self._last_full > QUIET_SECONDS or now - self._busy_since > LONGEST_WAIT

    async def _follow(self, session: SessionDocument) -> None:
        """Store the tables of a session that are due."""
        key = session["_id"]
        if key not in self._newest:
            await self._tidy(key)
            self._newest[key] = await self._sound(key)
        async for stored in project(self._store, session, self._newest[key], self._rhythm):
            self._newest[key] = stored

    async def _sound(self, session: ObjectId) -> StoredTable | None:
        """The newest sound table, after removing those of which another table has overwritten a part."""
        while stored := await snapshots.newest(self._store, session):
            broken = [one for one in stored if one and not await snapshots.has_all_parts(self._store, one)]
            if not broken:
                return stored
            log.info("a stored table of %s is incomplete, and is rebuilt", broken[0].peer.address)
            await snapshots.remove(self._store, broken)
        return None

    async def _tidy(self, session: ObjectId) -> None:
        """Remove leftovers of a process that was killed, or of an older version."""
        left = [
            snapshot
            async for snapshot in snapshots.every(self._store, {"session": session})
            if not snapshots.is_good(snapshot) and snapshot.dump is None and snapshot.written < self._began
        ]
        await snapshots.remove(self._store, left)

    async def _renew(self) -> None:
        """Rebuild the tables of one ended session that has some of an older version."""
        if self._outdated is None:
            old = snapshots.every(self._store, {"collector": self._collector})
            made = [one async for one in old if not snapshots.is_good(one) and one.dump is None]
            self._outdated = {one.session for one in made if self._is_ours(one.session)}
        if not self._outdated:
            return
        key = self._outdated.pop()
        async for session in self._store.find("sessions", {"_id": key, "until": {"$exists": True}}):
            await self._tidy(key)
            async for _ in project(self._store, session, await snapshots.newest(self._store, key), self._rhythm):
                pass

    async def _sweep(self) -> None:
        """Remove tables that are past their retention, unless newer tables need them."""
        needed = {snapshot.key for stored in self._newest.values() if stored for snapshot in stored if snapshot}
        for days, kind in ((self._changes_kept, {"base": {"$exists": True}}), (self._kept, {})):
            if not days:
                continue
            limit = datetime.now(UTC) - timedelta(days=days)
            needed |= await snapshots.bases(self._store, limit)
            async for snapshot in snapshots.every(self._store, {"ts": {"$lt": limit}, **kind}):
                is_ours = self._follows(snapshot.collector, snapshot.session) and snapshot.dump is None
                if is_ours and snapshot.key not in needed:
                    await snapshots.remove(self._store, [snapshot])
