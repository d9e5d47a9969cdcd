"""Stores the tables of one session that are due."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from collector.rib import snapshots, stored_routes, storing
from collector.rib.fold import Fold
from collector.rib.snapshots import StoredTable
from collector.store.mongo import Store
from collector.store.updates import updates_of_session
from schemas.snapshots import Snapshot
from schemas.stored import SessionDocument, UpdateDocument

_FRACTION = 4
"""If the changes are more than this fraction of a table, the whole table is stored."""


class Rhythm(NamedTuple):
    """When tables are stored."""

    hours: int
    """Hours between whole tables; a divisor of 24."""
    updates: int
    """The number of UPDATEs after which changes are stored in between."""

    def marks(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """The times after `begin`, up to and including `end`, for which a whole table is stored."""
        day = begin.replace(hour=0, minute=0, second=0, microsecond=0)
        step = timedelta(hours=self.hours)
        mark = day + ((begin - day) // step + 1) * step
        while mark <= end:
            yield mark
            mark += step


async def project(
    store: Store, session: SessionDocument, stored: StoredTable | None, rhythm: Rhythm
) -> AsyncIterator[StoredTable]:
    """Store the tables of a session that are due after the existing ones.

    Args:
        store: the archive, which has all UPDATEs that the session's document counts.
        session: the session's document.
        stored: the newest stored table.
        rhythm: when tables are stored.
    """
    last = session["last_seen"]
    marks = list(rhythm.marks(stored.newest.ts if stored else session["since"], last))
    pending = session["updates"] - (stored.newest.updates if stored else 0)
    if not pending or not (marks or pending >= rhythm.updates):
        return
    course = _Course(store, session, stored, await stored_routes.begin_fold(store, session["_id"], stored))
    dumps = {dump.ts: dump async for dump in snapshots.dumps_from(store, session, course.begin)}
    for end in sorted({*marks, *dumps, last}):
        async for update in course.updates(end):
            if course.stored and course.pending >= rhythm.updates and update["ts"] > course.last_update:
                yield await course.store_at(update["ts"])
            await course.add(update)
        course.begin = end
        if end in dumps:
            course.go_on_from(dumps[end])
        # If nothing was said before a mark that is not the last one, the table before it serves as well.
        elif end in marks and (course.pending or end == marks[-1]):
            yield await course.store_at(end, whole=True)
    if session["updates"] - course.count >= rhythm.updates and last not in dumps:
        yield await course.store_at(last)


class _Course:
    """The state of going through one session's UPDATEs, and what has been stored."""

    def __init__(self, store: Store, session: SessionDocument, stored: StoredTable | None, fold: Fold) -> None:
        self.stored = stored
        self.begin: datetime = stored.newest.ts if stored else session["since"]
        """Where the remaining UPDATEs begin."""
        self.count = stored.newest.updates if stored else 0
        """The number of UPDATEs in what is stored."""
        self.pending = 0
        """The number of UPDATEs since."""
        self.last_update: datetime = self.begin
        """The time of the last of these."""
        self._store, self._session, self._fold = store, session, fold

    def updates(self, end: datetime) -> AsyncIterator[UpdateDocument]:
        """The remaining UPDATEs up to a time."""
        most = self._session["updates"] - self.count - self.pending
        return updates_of_session(self._store, self._session, (self.begin, end), most=most)

    async def add(self, update: UpdateDocument) -> None:
        """Apply the next UPDATE."""
        before = self._fold.updates
        await self._fold.add(update)
        self.pending += self._fold.updates - before
        self.last_update = update["ts"]

    def go_on_from(self, dump: Snapshot) -> None:
        """Continue from the table of a RIB dump, ignoring all UPDATEs before it."""
        self.stored, self._fold = StoredTable(dump), Fold(self._session["_id"])
        self.count, self.pending, self.last_update = dump.updates, 0, dump.ts

    async def store_at(self, ts: datetime, *, whole: bool = False) -> StoredTable:
        """Store the table as it was before a time: the whole table, or only the changes if they are few."""
        most, last = self._session["updates"], self._session["last_seen"]
        # At the end the table has all UPDATEs that the session counts, even if older ones have been removed.
        updates = most if ts == last else min(self.count + self.pending, most)
        base = self.stored.whole if self.stored else None
        if whole or base is None or self._fold.most * _FRACTION > base.routes:
            made = await storing.write(self._store, self._session, ts, base, self._fold, updates=updates)
            self.stored = StoredTable(made)
            self._fold = Fold(self._session["_id"])
        else:
            made = await storing.write_changes(self._store, self._session, ts, base, self._fold, updates=updates)
            self.stored = StoredTable(base, made)
        self.count, self.pending = updates, 0
        return self.stored
