"""What peers say, as it is stored.

There are no change streams on the embedded store, and keys do not sort by the time of storing: a collector whose store
was away stores old lines, and a batch is not written in order. But a batch's sessions are written after all of its
UPDATEs; so what a session's document counts is all there, up to its `last_seen`, and that is what is read and shown.
A clock that is set back while a session lasts can hide what is said until it has caught up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from collector.query import streams
from collector.query.filters import Filter
from collector.query.newest import newest
from collector.query.search import Expander
from collector.query.streams import Row
from collector.store.mongo import Document, Store
from schemas.query import HistoryEntry

POLL_SECONDS = 0.15
_ONE_QUERY = timedelta(minutes=1)
"""More than this is read in windows."""


async def tail(
    store: Store, filters: Filter, *, limit: int | None = None, pulse: Callable[[], None] = lambda: None
) -> AsyncIterator[HistoryEntry]:
    """What is stored from now on, or since the filters' start; without end, or up to a number of entries.

    Entries of one look at the store come in the order of time, later stored ones after earlier stored ones.

    Args:
        store: the archive.
        filters: which entries.
        limit: how many: the newest of those that are stored, and more as they come.
        pulse: called after each look; what it raises ends this.
    """
    follower = _Follower(store, filters)
    expand = Expander(store, filters, complete=True)

    async def look() -> AsyncIterator[HistoryEntry]:
        async for row in follower.news():
            async for entry in expand(row):
                if filters.matches(entry):
                    yield entry

    await follower.start()
    left = limit
    entries = newest(look(), limit)
    while True:
        async for entry in entries:
            yield entry
            left = left and left - 1
            if left == 0:
                return
        pulse()
        await asyncio.sleep(POLL_SECONDS)
        entries = look()


@dataclass
class _Followed:
    """A session, and how far it has been shown."""

    upto: datetime
    updates: int
    ended: bool
    shown: set[ObjectId] = field(default_factory=set)
    """The UPDATEs of the last millisecond: others of it may come."""


class _Follower:
    """Remembers what has been shown."""

    def __init__(self, store: Store, filters: Filter) -> None:
        self._store = store
        self._filters = filters
        self._followed: dict[Any, _Followed] = {}
        self._gaps: set[ObjectId] = set()
        self._reads_updates = filters.wants("announce") or filters.wants("withdraw")
        self._horizon = Filter(start=filters.start, peers=filters.peers, peer_asns=filters.peer_asns)

    async def start(self) -> None:
        """Take what is stored before the start as shown."""
        if self._filters.start is not None:
            return
        now = datetime.now(UTC)
        still_up = Filter(start=now, peers=self._filters.peers, peer_asns=self._filters.peer_asns)
        for session in await streams.sessions(self._store, still_up):
            shown = {"$gte": session["last_seen"], "$lte": session["last_seen"]}
            self._followed[session["_id"]] = _Followed(
                session["last_seen"],
                session["updates"],
                "until" in session,
                {row.document["_id"] async for row in streams.window(self._store, session["peer"]["address"], shown)},
            )
        # A collector that lags behind may store what is older than this moment.
        begin = min((one.upto for one in self._followed.values()), default=now)
        self._horizon = Filter(start=begin, peers=still_up.peers, peer_asns=still_up.peer_asns)
        for session in await streams.sessions(self._store, self._horizon):
            if "until" in session:
                self._followed.setdefault(
                    session["_id"], _Followed(session["last_seen"], session["updates"], ended=True)
                )
        self._gaps = {row.document["_id"] async for row in streams.gap_rows(self._store, self._horizon)}

    async def news(self) -> AsyncIterator[Row]:
        """What has been stored since the last call."""
        fresh: list[AsyncIterator[Row]] = []
        for session in await streams.sessions(self._store, self._horizon):
            fresh += self._fresh(session)
        gaps = [row async for row in streams.gap_rows(self._store, self._horizon)]
        fresh.append(_stream([row for row in gaps if row.document["_id"] not in self._gaps]))
        self._gaps.update(row.document["_id"] for row in gaps)
        async for row in streams.merge(*fresh):
            yield row

    def _fresh(self, session: Document) -> Iterator[AsyncIterator[Row]]:
        known = self._followed.get(session["_id"])
        rows = streams.rows_of(session)
        if known is None:
            begin = max(session["since"], self._filters.start or session["since"])
            known = self._followed[session["_id"]] = _Followed(begin, 0, ended=False)
        else:
            rows = [] if known.ended else rows[1:]
        known.ended = "until" in session
        yield _stream(rows)
        if session["updates"] > known.updates and self._reads_updates:
            begin, known.upto = known.upto, max(known.upto, session["last_seen"])
            known.updates = session["updates"]
            yield self._updates(session, known, begin)

    async def _updates(self, session: Document, known: _Followed, begin: datetime) -> AsyncIterator[Row]:
        shown, known.shown = known.shown, set(known.shown if begin == known.upto else ())
        behind = known.upto + timedelta(milliseconds=1)
        address = session["peer"]["address"]
        if behind - begin < _ONE_QUERY:
            rows = streams.window(self._store, address, {"$gte": begin, "$lt": behind})
        else:
            rows = streams.of_peer(self._store, address, [(begin, behind)])
        async for row in rows:
            key = row.document["_id"]
            if row.document.get("session") == session["_id"] and key not in shown:
                if row.ts == known.upto:
                    known.shown.add(key)
                yield row


async def _stream(rows: Sequence[Row]) -> AsyncIterator[Row]:
    for row in rows:
        yield row
