"""What peers say, as it is stored.

Not every server has change streams (`collector.store.traits`), and keys do not sort by the time of storing: a collector
whose store was away stores old lines, and a batch is not written in order. But a batch's sessions are written after all
of its UPDATEs; so what a session's document counts is all there, up to its `last_seen`, and that is what is read and
shown. Where stored time stands still, the keys that were shown tell what is new of one moment.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bson import ObjectId

from collector.query import streams
from collector.query.filters import Filter
from collector.query.newest import newest
from collector.query.search import Expander
from collector.query.streams import Row, SessionRow, UpdateRow
from collector.store.mongo import Store
from schemas.query import HistoryEntry
from schemas.stored import SessionDocument

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


class _Unshown(NamedTuple):
    """What is to be shown of a session."""

    known: _Followed
    begin: datetime
    shown: set[ObjectId]
    """What was shown already, of the millisecond that it begins with."""

    def takes(self, row: UpdateRow) -> bool:
        """Whether an UPDATE of the session is to be shown; if so, it has been from now on."""
        key = row.document["_id"]
        if not self.begin <= row.ts <= self.known.upto or key in self.shown:
            return False
        if row.ts == self.known.upto:
            self.known.shown.add(key)
        return True


class _Follower:
    """Remembers what has been shown."""

    def __init__(self, store: Store, filters: Filter) -> None:
        self._store = store
        self._filters = filters
        self._followed: dict[Any, _Followed] = {}
        self._gaps: set[ObjectId] = set()
        self._reads_updates = filters.wants("announce") or filters.wants("withdraw")
        self._horizon = replace(filters.of_peers_alone, start=filters.start)

    async def start(self) -> None:
        """Take what is stored before the start as shown."""
        if self._filters.start is not None:
            return
        now = datetime.now(UTC)
        still_up = replace(self._filters.of_peers_alone, start=now)
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
        self._horizon = replace(still_up, start=begin)
        for session in await streams.sessions(self._store, self._horizon):
            if "until" in session:
                self._followed.setdefault(
                    session["_id"], _Followed(session["last_seen"], session["updates"], ended=True)
                )
        self._gaps = {row.document["_id"] async for row in streams.gap_rows(self._store, self._horizon)}

    async def news(self) -> AsyncGenerator[Row, None]:
        """What has been stored since the last call."""
        rows: list[Row] = []
        parts: dict[str, dict[ObjectId, _Unshown]] = defaultdict(dict)
        for session in await streams.sessions(self._store, self._horizon):
            rows += self._fresh(session)
            if part := self._part(session):
                parts[session["peer"]["address"]][session["_id"]] = part
        gaps = [row async for row in streams.gap_rows(self._store, self._horizon)]
        rows += [row for row in gaps if row.document["_id"] not in self._gaps]
        self._gaps.update(row.document["_id"] for row in gaps)
        fresh = [self._updates(address, of_peer) for address, of_peer in parts.items()]
        async with aclosing(streams.merge(*fresh, _stream(streams.in_order(rows)))) as merged:
            async for row in merged:
                yield row

    def _fresh(self, session: SessionDocument) -> list[SessionRow]:
        """A session's begin and its end, if they have not been shown."""
        known = self._followed.get(session["_id"])
        rows = streams.rows_of(session)
        if known is None:
            begin = max(session["since"], self._filters.start or session["since"])
            known = self._followed[session["_id"]] = _Followed(begin, 0, ended=False)
        else:
            rows = [] if known.ended else rows[1:]
        known.ended = "until" in session
        return rows

    def _part(self, session: SessionDocument) -> _Unshown | None:
        """What there is of a session's UPDATEs that has not been shown."""
        known = self._followed[session["_id"]]
        if session["updates"] <= known.updates or not self._reads_updates:
            return None
        begin, known.upto = known.upto, max(known.upto, session["last_seen"])
        shown, known.shown = known.shown, set(known.shown if begin == known.upto else ())
        known.updates = session["updates"]
        return _Unshown(known, begin, shown)

    async def _updates(self, address: str, parts: Mapping[ObjectId, _Unshown]) -> AsyncGenerator[UpdateRow, None]:
        """One question for all sessions of a peer."""
        begin = min(part.begin for part in parts.values())
        behind = max(part.known.upto for part in parts.values()) + timedelta(milliseconds=1)
        if behind - begin < _ONE_QUERY:
            rows = streams.window(self._store, address, {"$gte": begin, "$lt": behind})
        else:
            most = sum(part.known.updates for part in parts.values())
            rows = streams.of_peer(self._store, address, [(begin, behind)], most=most)
        async with aclosing(rows):
            async for row in rows:
                part = parts.get(row.document["session"]) if "session" in row.document else None
                if part and part.takes(row):
                    yield row


async def _stream(rows: Sequence[Row]) -> AsyncGenerator[Row, None]:
    for row in rows:
        yield row
