"""Stores peers' tables now and then, so that a question for a whole table has few UPDATEs to fold.

Each session that is up has its table stored at fixed hours, as RIS and RouteViews do, and kept; and in between as soon
as so much was said since the last time that folding it takes a second. Tables are derived: they may lag behind, or be
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
from collector.store.mongo import Document, Store
from collector.store.updates import updates_of_peer
from collector.tables import snapshots
from collector.tables.fold import Fold
from schemas.documents import Snapshot

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
QUIET_SECONDS = 1.0
"""So long after the last full batch the archiver has time for us."""
LONGEST_WAIT = 600.0
"""So long we wait for that."""
SWEEP_SECONDS = 3600.0
SUPERSEDED = timedelta(minutes=10)
"""So long a table that a newer one replaces stays all the same: somebody may be reading it."""
_FRACTION = 50
"""A table's routes for one UPDATE more that may wait: a large table is not written anew for a few."""


class Rhythm(NamedTuple):
    """When tables are stored."""

    hours: int
    """Between the tables that are kept; a divisor of 24."""
    updates: int
    """UPDATEs, beside a fiftieth of the table's routes, after which a table is stored in between."""

    def marks(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """The times behind `begin` and up to `end` at which there is a table that is kept."""
        day = begin.replace(hour=0, minute=0, second=0, microsecond=0)
        step = timedelta(hours=self.hours)
        mark = day + ((begin - day) // step + 1) * step
        while mark <= end:
            yield mark
            mark += step

    def allows(self, pending: int, routes: int) -> bool:
        """Whether so many UPDATEs are worth a table in between, of so many routes."""
        return pending >= self.updates + routes // _FRACTION


class Projector:
    """Follows the sessions of one collector.

    Args:
        store: the archive.
        collector: its name.
        rhythm: when tables are stored.
        days: how long tables are kept; 0 is for ever.
    """

    def __init__(self, store: Store, collector: str, rhythm: Rhythm, *, days: float) -> None:
        self._store = store
        self._collector = collector
        self._rhythm = rhythm
        self._kept = timedelta(days=days)
        self._began = datetime.now(UTC)
        self._up: dict[ObjectId, Document] | None = None
        self._seen: dict[ObjectId, Document] = {}
        self._newest: dict[ObjectId, Snapshot | None] = {}
        self._busy_since = self._last_full = self._swept = float("-inf")

    def saw(self, sessions: Sequence[Document], *, full: bool) -> None:
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
        if time.monotonic() - self._swept > SWEEP_SECONDS:
            await self._sweep()
            self._swept = time.monotonic()

    def _may_work(self) -> bool:
        """Whether the archiver is quiet, or has not been for too long."""
        now = time.monotonic()
        return now - self._last_full > QUIET_SECONDS or now - self._busy_since > LONGEST_WAIT

    async def _follow(self, session: Document) -> None:
        """Store the tables of a session that are due, and remove those that nobody needs any more."""
        key = session["_id"]
        if key not in self._newest:
            self._newest[key] = await snapshots.newest(self._store, key)
            await self._tidy(key)
        before = self._newest[key]
        async for snapshot in project(self._store, session, before, self._rhythm):
            self._newest[key] = snapshot
        if self._newest[key] is not before:
            await self._tidy(key)

    async def _tidy(self, session: ObjectId) -> None:
        """Remove tables in between that a newer one has replaced, and what a killed one of us left."""
        gone = []
        newer: Snapshot | None = None
        for snapshot in await snapshots.every(self._store, session):
            if not snapshot.complete:
                if snapshot.written < self._began:
                    gone.append(snapshot)
                continue
            if newer and not snapshot.regular and datetime.now(UTC) - newer.written > SUPERSEDED:
                gone.append(snapshot)
            newer = snapshot
        await snapshots.remove(self._store, gone)

    async def _sweep(self) -> None:
        """Remove tables that are too old, but for the newest of a session that is up."""
        if not self._kept:
            return
        needed = {snapshot.key for snapshot in self._newest.values() if snapshot}
        limit = datetime.now(UTC) - self._kept
        async for document in self._store.find("snapshots", {"ts": {"$lt": limit}}):
            if document["collector"] == self._collector and document["_id"] not in needed:
                await snapshots.remove(self._store, [Snapshot.model_validate(document)])


async def rebuild(store: Store, rhythm: Rhythm, told: Callable[[int, int], None] = lambda _done, _of: None) -> int:
    """Throw all stored tables away, of all collectors, and make them anew from the archive.

    Args:
        store: the archive; collectors may be at work meanwhile.
        rhythm: when there are tables.
        told: is told how many sessions are done, of how many.

    Returns:
        How many tables there are.
    """
    async for document in store.find("snapshots", {}):
        await snapshots.remove(store, [Snapshot.model_validate(document)])
    sessions = [one async for one in store.find("sessions", {}, sort=(("since", 1),))]
    count = 0
    for number, session in enumerate(sessions):
        told(number, len(sessions))
        count += len([snapshot async for snapshot in project(store, session, None, rhythm)])
    told(len(sessions), len(sessions))
    return count


async def project(store: Store, session: Document, base: Snapshot | None, rhythm: Rhythm) -> AsyncIterator[Snapshot]:
    """Store the tables of a session that are due behind one that is there.

    Args:
        store: the archive, which has all that the session's document counts.
        session: its document.
        base: the newest table that is there.
        rhythm: when there are tables.
    """
    last = session["last_seen"]
    if session["updates"] == (base.updates if base else 0):
        return
    marks = list(rhythm.marks(base.ts if base else session["since"], last))
    for mark in marks:
        fold = await _fold(store, session, base, mark)
        # Where nothing was said before a time that is not the last, the table before it serves as well.
        if fold.updates or mark == marks[-1]:
            base = await snapshots.write(store, session, mark, base, fold, regular=True)
            yield base
    pending = session["updates"] - (base.updates if base else 0)
    if rhythm.allows(pending, base.routes if base else 0):
        yield await snapshots.write(store, session, last, base, await _fold(store, session, base, last), regular=False)


async def _fold(store: Store, session: Document, base: Snapshot | None, end: datetime) -> Fold:
    """The UPDATEs behind a table and before a time."""
    begin, most = (base.ts, base.updates) if base else (session["since"], 0)
    fold = Fold(session["_id"])
    address = session["peer"]["address"]
    async for update in updates_of_peer(store, address, [(begin, end)], most=session["updates"] - most):
        fold.add(update)
    return fold
