"""Stores peers' tables now and then, so that a question for a whole table has few UPDATEs to fold.

Each session that is up has its table stored at fixed hours, as RIS and RouteViews do; and in between what has changed
since, as soon as so much was said that folding it takes half a second. Tables are derived: they may lag behind, or be
thrown away and made anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from bson import ObjectId

from collector.errors import StoreError
from collector.rib import snapshots
from collector.rib.fold import Fold
from collector.rib.snapshots import Stored
from collector.store.mongo import Store
from collector.store.updates import updates_of_session
from schemas.documents import Snapshot
from schemas.stored import SessionDocument, UpdateDocument

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
QUIET_SECONDS = 1.0
"""So long after the last full batch the archiver has time for us."""
LONGEST_WAIT = 600.0
"""So long we wait for that."""
SWEEP_SECONDS = 3600.0
_REMOVED_MEANWHILE = timedelta(hours=1)
"""UPDATEs that are there still may be removed while tables are made of them."""
_FRACTION = 4
"""When what has changed is more than this part of a table, the whole of it is stored."""


class Rhythm(NamedTuple):
    """When tables are stored."""

    hours: int
    """Between whole tables; a divisor of 24."""
    updates: int
    """UPDATEs after which there is something in between."""

    def marks(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """The times behind `begin` and up to `end` at which there is a table that is kept."""
        day = begin.replace(hour=0, minute=0, second=0, microsecond=0)
        step = timedelta(hours=self.hours)
        mark = day + ((begin - day) // step + 1) * step
        while mark <= end:
            yield mark
            mark += step


class Projector:
    """Follows the sessions of one collector.

    Args:
        store: the archive.
        collector: its name.
        rhythm: when tables are stored.
        days: how long whole tables are kept; 0 is for ever.
        changes_days: how long what changed in between is kept; 0 is as long.
    """

    def __init__(self, store: Store, collector: str, rhythm: Rhythm, *, days: float, changes_days: float = 0) -> None:
        self._store = store
        self._collector = collector
        self._rhythm = rhythm
        self._kept, self._changes_kept = days, changes_days
        self._began = datetime.now(UTC)
        self._up: dict[ObjectId, SessionDocument] | None = None
        self._seen: dict[ObjectId, SessionDocument] = {}
        self._newest: dict[ObjectId, Stored | None] = {}
        self._outdated: set[ObjectId] | None = None
        self._busy_since = self._last_full = self._swept = float("-inf")

    def saw(self, sessions: Sequence[SessionDocument], *, full: bool) -> None:
        """Take note of sessions as the archiver has stored them, and of whether its batch was a full one."""
        self._seen.update((session["_id"], session) for session in sessions)
        if full:
            now = time.monotonic()
            if now - self._last_full > QUIET_SECONDS:
                self._busy_since = now
            self._last_full = now

    async def run(self) -> None:
        """Store tables when they are due, until cancelled; a store that is away is waited for."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look()
            except StoreError as error:
                log.info("no table could be stored: %s", error.cause)
                self._newest.clear()
            except Exception:
                # Nobody waits for this task, and tables can be made anew: it goes on, and the log has the fault.
                log.exception("no table could be stored")
                self._newest.clear()

    async def _look(self) -> None:
        if self._up is None:
            found = self._store.find("sessions", {"until": None})
            self._up = {one["_id"]: one async for one in found if one["collector"] == self._collector}
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

    def _may_work(self) -> bool:
        """Whether the archiver is quiet, or has not been for too long."""
        now = time.monotonic()
        return now - self._last_full > QUIET_SECONDS or now - self._busy_since > LONGEST_WAIT

    async def _follow(self, session: SessionDocument) -> None:
        """Store what is due of a session."""
        key = session["_id"]
        if key not in self._newest:
            await self._tidy(key)
            self._newest[key] = await self._sound(key)
        async for stored in project(self._store, session, self._newest[key], self._rhythm):
            self._newest[key] = stored

    async def _sound(self, session: ObjectId) -> Stored | None:
        """The newest table, after those are removed of which another table has overwritten a part."""
        while stored := await snapshots.newest(self._store, session):
            broken = [one for one in stored if one and not await snapshots.has_all_parts(self._store, one)]
            if not broken:
                return stored
            log.info("a stored table of %s is not whole, and is made anew", broken[0].peer.address)
            await snapshots.remove(self._store, broken)
        return None

    async def _tidy(self, session: ObjectId) -> None:
        """Remove what one of us that was killed, or of an older version, has left."""
        left = [
            snapshot
            async for snapshot in snapshots.every(self._store, {"session": session})
            if not snapshots.is_good(snapshot) and snapshot.dump is None and snapshot.written < self._began
        ]
        await snapshots.remove(self._store, left)

    async def _renew(self) -> None:
        """Make the tables anew of one session that has ended and has some of an older version."""
        if self._outdated is None:
            old = snapshots.every(self._store, {"collector": self._collector})
            self._outdated = {one.session async for one in old if not snapshots.is_good(one) and one.dump is None}
        if not self._outdated:
            return
        key = self._outdated.pop()
        async for session in self._store.find("sessions", {"_id": key, "until": {"$exists": True}}):
            await self._tidy(key)
            async for _ in project(self._store, session, await snapshots.newest(self._store, key), self._rhythm):
                pass

    async def _sweep(self) -> None:
        """Remove tables that are too old, but for what is needed of them still."""
        needed = {snapshot.key for stored in self._newest.values() if stored for snapshot in stored if snapshot}
        for days, kind in ((self._changes_kept, {"base": {"$exists": True}}), (self._kept, {})):
            if not days:
                continue
            limit = datetime.now(UTC) - timedelta(days=days)
            needed |= await snapshots.bases(self._store, limit)
            async for snapshot in snapshots.every(self._store, {"ts": {"$lt": limit}, **kind}):
                is_ours = snapshot.collector == self._collector and snapshot.dump is None
                if is_ours and snapshot.key not in needed:
                    await snapshots.remove(self._store, [snapshot])


async def rebuild(store: Store, rhythm: Rhythm, told: Callable[[int, int], None] = lambda _done, _of: None) -> int:
    """Throw the stored tables of all collectors away, and make them anew from the archive.

    Those stay that the archive cannot make: of RIB dumps, and those of which UPDATEs have been removed ([retention]).

    Args:
        store: the archive; collectors may be at work meanwhile.
        rhythm: when there are tables.
        told: is told how many sessions are done, of how many.

    Returns:
        How many tables there are.
    """
    sessions = [one async for one in store.find("sessions", {}, sort=(("_id", 1),))]
    known = {session["_id"] for session in sessions}
    async for snapshot in snapshots.every(store, {}):
        if snapshot.session not in known and snapshot.dump is None:
            await snapshots.remove(store, [snapshot])
    count = 0
    for number, session in enumerate(sessions):
        told(number, len(sessions))
        stay, begin = await _remove_what_can_be_made(store, session)
        count += stay
        stored = await snapshots.newest(store, session["_id"], begin) if begin else None
        count += len([stored async for stored in project(store, session, stored, rhythm)])
    told(len(sessions), len(sessions))
    return count


async def _remove_what_can_be_made(store: Store, session: SessionDocument) -> tuple[int, datetime | None]:
    """Remove a session's tables, but for those that its UPDATEs do not make, or not any more, and the first behind.

    Returns:
        How many stay, and from when on they are to be made anew; None is from the session's begin.
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


async def project(
    store: Store, session: SessionDocument, stored: Stored | None, rhythm: Rhythm
) -> AsyncIterator[Stored]:
    """Store the tables of a session that are due behind what is there.

    Args:
        store: the archive, which has all that the session's document counts.
        session: its document.
        stored: the newest that is there.
        rhythm: when there are tables.
    """
    last = session["last_seen"]
    marks = list(rhythm.marks(stored.newest.ts if stored else session["since"], last))
    pending = session["updates"] - (stored.newest.updates if stored else 0)
    if not pending or not (marks or pending >= rhythm.updates):
        return
    course = _Course(store, session, stored, await snapshots.begin_fold(store, session["_id"], stored))
    dumps = {dump.ts: dump async for dump in snapshots.dumps_from(store, session, course.begin)}
    for end in sorted({*marks, *dumps, last}):
        async for update in course.updates(end):
            if course.stored and course.pending >= rhythm.updates and update["ts"] > course.heard:
                yield await course.store_at(update["ts"])
            await course.add(update)
        course.begin = end
        if end in dumps:
            course.go_on_from(dumps[end])
        # Where nothing was said before a mark that is not the last, the table before it serves as well.
        elif end in marks and (course.pending or end == marks[-1]):
            yield await course.store_at(end, whole=True)
    if session["updates"] - course.count >= rhythm.updates and last not in dumps:
        yield await course.store_at(last)


class _Course:
    """One session's UPDATEs as they are gone through, and what is stored of them."""

    def __init__(self, store: Store, session: SessionDocument, stored: Stored | None, fold: Fold) -> None:
        self.stored = stored
        self.begin: datetime = stored.newest.ts if stored else session["since"]
        """Where what is to be gone through begins."""
        self.count = stored.newest.updates if stored else 0
        """UPDATEs that what is stored has."""
        self.pending = 0
        """UPDATEs behind it."""
        self.heard: datetime = self.begin
        """The time of the last of them."""
        self._store, self._session, self._fold = store, session, fold

    def updates(self, end: datetime) -> AsyncIterator[UpdateDocument]:
        """What was said up to a time."""
        most = self._session["updates"] - self.count - self.pending
        return updates_of_session(self._store, self._session, (self.begin, end), most=most)

    async def add(self, update: UpdateDocument) -> None:
        """Take the next one into account."""
        before = self._fold.updates
        await self._fold.add(update)
        self.pending += self._fold.updates - before
        self.heard = update["ts"]

    def go_on_from(self, dump: Snapshot) -> None:
        """Go on from the table of a RIB dump, whatever was said before it."""
        self.stored, self._fold = Stored(dump), Fold(self._session["_id"])
        self.count, self.pending, self.heard = dump.updates, 0, dump.ts

    async def store_at(self, ts: datetime, *, whole: bool = False) -> Stored:
        """Store how things stand before a time: the whole table, or what has changed where that is little."""
        most, last = self._session["updates"], self._session["last_seen"]
        # At the end it has all that the session counts, even where older UPDATEs are not kept.
        updates = most if ts == last else min(self.count + self.pending, most)
        base = self.stored.whole if self.stored else None
        if whole or base is None or self._fold.most * _FRACTION > base.routes:
            made = await snapshots.write(self._store, self._session, ts, base, self._fold, updates=updates)
            self.stored = Stored(made)
            self._fold = Fold(self._session["_id"])
        else:
            made = await snapshots.write_changes(self._store, self._session, ts, base, self._fold, updates=updates)
            self.stored = Stored(base, made)
        self.count, self.pending = updates, 0
        return self.stored
