"""What peers say, as it is stored.

Not every server has change streams (`collector.store.traits`), and keys are not ordered by the time of storing: a
collector whose store was unavailable stores old lines, and a batch is not written in order. But the sessions of a batch
are written after all of its UPDATEs, so the UPDATEs that a session's document counts, up to its `last_seen`, are
complete; only these are read and shown. While stored time stands still, the keys that were shown tell which documents
of that time are new.

The sessions of a batch are written one by one, followed by the line up to which everything is stored
(`Meta.note_stored`). Nothing after that line is shown: so the documents of an instance come in the order of its lines,
and whoever was shown one of them has been shown all before it.
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
from collector.query.search import Expander
from collector.query.streams import GapRow, OwnRow, Row, SessionRow, TableRow, UpdateRow
from collector.store.meta import InstancePosition
from collector.store.mongo import Store
from schemas.keys import collector_number, key_collector, key_line
from schemas.query import HistoryEntry
from schemas.stored import SessionDocument

POLL_SECONDS = 0.15
_EPOCH = datetime.fromtimestamp(0, UTC)
_ONE_QUERY = timedelta(minutes=1)
"""More UPDATEs than this are read in windows."""


class FollowedLine(NamedTuple):
    """The entries of one line."""

    row: Row
    entries: list[HistoryEntry]
    """Those that match the filters; an UPDATE may have many."""
    looked: Mapping[int, InstancePosition]
    """By instance number, the line up to which everything had been shown before this look at the store; empty if that
    is unknown."""

    @property
    def instance(self) -> int:
        """The number of the line's instance."""
        return key_collector(self._key)

    @property
    def line(self) -> int:
        """The line's number; for what a line revealed, the number of that line."""
        row = self.row
        if isinstance(row, GapRow):
            return row.document["line"]
        if isinstance(row, SessionRow) and row.ended:
            return row.document.get("until_line", 0)
        return key_line(self._key)

    @property
    def place(self) -> bytes:
        """The line's place in the order of its instance."""
        rank = self.row.rank[-12:] if self.row.rank[:1] == b"\xff" else self.row.rank
        # It begins with the instance's number, because a place before the first line borrows from it. It ends with the
        # key, because a line that ends many sessions gives them all one place.
        return rank[4:] + self._key.binary

    @property
    def _key(self) -> ObjectId:
        return row_key(self.row)


async def looks(
    store: Store, filters: Filter, pulse: Callable[[], None] = lambda: None
) -> AsyncIterator[AsyncIterator[FollowedLine]]:
    """Look at the store again and again, and yield what is new from now on, or since the filters' start.

    The results of one look are in order of time; those of one instance are in the order of its lines.

    Args:
        store: the archive.
        filters: which entries; lines without any are left out.
        pulse: called after each look; an exception from it ends this.
    """
    follower = _Follower(store, filters)
    expand = Expander(store, filters, complete=True)

    async def look(looked: Mapping[int, InstancePosition]) -> AsyncIterator[FollowedLine]:
        async for row in follower.news():
            entries = [entry async for entry in expand(row) if filters.matches(entry)]
            if entries:
                yield FollowedLine(row, entries, looked)

    await follower.start()
    while True:
        yield look(follower.reached)
        pulse()
        await asyncio.sleep(POLL_SECONDS)


async def follow(store: Store, filters: Filter, pulse: Callable[[], None] | None = None) -> AsyncIterator[FollowedLine]:
    """What is stored from now on, or since the filters' start, endlessly; see `looks`."""
    async for look in looks(store, filters, pulse or (lambda: None)):
        async for line in look:
            yield line


async def notes_since(store: Store, start: datetime) -> AsyncIterator[FollowedLine]:
    """What has been stored from a time until now."""
    async for look in looks(store, Filter(start=start)):
        async for line in look:
            yield line
        return


@dataclass
class _Followed:
    """A session, and how much of it has been shown."""

    upto: datetime
    updates: int
    ended: bool
    shown: set[ObjectId] = field(default_factory=set)
    """The shown UPDATEs of the last millisecond, of which more may come."""


class _Stored:
    """The line of each instance up to which everything is stored; later lines wait for the next look.

    Args:
        reached: these lines by instance number; imported files have none.
    """

    def __init__(self, reached: Mapping[int, InstancePosition]) -> None:
        self._reached = reached

    def has(self, key: ObjectId, line: int, ts: datetime | None = None) -> bool:
        """Whether a line of the instance of a key is among them.

        The stored time helps with lines of an earlier spool, whose numbers were higher: all older documents are stored.
        """
        reached = self._reached.get(key_collector(key))
        return reached is None or line <= reached.line or (ts is not None and ts < reached.ts)

    def until(self, session: SessionDocument) -> datetime:
        """The time up to which all of a session's UPDATEs are stored, except some of that very millisecond."""
        reached = self._reached.get(key_collector(session["_id"]))
        return min(session["last_seen"], reached.ts) if reached else session["last_seen"]


class _Late:
    """What instances whose clocks are behind have stored between two looks, with times before the horizon.

    Args:
        before: the lines up to which everything was stored at the last look.
        now: the same at this look.
        horizon: from this time on all is looked at; None: there is none.
    """

    def __init__(
        self,
        before: Mapping[int, InstancePosition],
        now: Mapping[int, InstancePosition],
        horizon: datetime | None,
    ) -> None:
        self._horizon = horizon
        self._before = {number: before.get(number) for number, at in now.items() if at != before.get(number)}

    @property
    def begin(self) -> datetime | None:
        """The time from which on something may be new: stored time does not run backwards within an instance."""
        behind = [at.ts if at else _EPOCH for at in self._before.values()]
        return self._horizon and min([self._horizon, *behind])

    def has(self, key: ObjectId, line: int, ts: datetime) -> bool:
        """Whether a document is behind the horizon, or was stored since the last look."""
        if self._horizon is None or ts >= self._horizon:
            return True
        number = key_collector(key)
        at = self._before.get(number)
        return number in self._before and (at is None or line > at.line)


class _Unshown(NamedTuple):
    """The part of a session to show."""

    known: _Followed
    begin: datetime
    shown: set[ObjectId]
    """What has been shown already of the millisecond in which it begins."""
    stored: _Stored
    most: int
    """The maximum number of UPDATEs."""

    def takes(self, row: UpdateRow) -> bool:
        """Whether to show an UPDATE of the session; if so, it counts as shown from now on."""
        key = row.document["_id"]
        if not self.begin <= row.ts <= self.known.upto or key in self.shown:
            return False
        if not self.stored.has(key, key_line(key), row.ts):
            self.known.updates = -1  # look at this millisecond again
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
        self.reached: Mapping[int, InstancePosition] = {}
        """The lines up to which everything of each instance has been shown; unknown before a first look into the
        past."""
        self._horizon = replace(filters.of_peers_alone, start=filters.start)

    async def start(self) -> None:
        """Treat what is stored before the start as shown."""
        if self._filters.start is not None:
            return
        self.reached = by_number(await self._store.meta.reached())
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
        # A collector that lags behind may still store older documents.
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
        before, self.reached = self.reached, by_number(await self._store.meta.reached())
        stored, late = _Stored(self.reached), _Late(before, self.reached, self._horizon.start)
        horizon = replace(self._horizon, start=late.begin if self._filters.start is None else self._filters.start)
        for session in await self._sessions(horizon, late):
            if not stored.has(session["_id"], key_line(session["_id"]), session["since"]):
                continue
            rows += self._fresh(session, stored)
            if part := self._part(session, stored):
                parts[session["peer"]["address"]][session["_id"]] = part
        gaps = [row async for row in streams.gap_rows(self._store, horizon)]
        gaps = [row for row in gaps if stored.has(row.document["_id"], row.document["line"])]
        gaps = [row for row in gaps if late.has(row.document["_id"], row.document["line"], row.ts)]
        rows += [row for row in gaps if row.document["_id"] not in self._gaps]
        self._gaps.update(row.document["_id"] for row in gaps)
        fresh = [self._updates(address, of_peer) for address, of_peer in parts.items()]
        async with aclosing(
            streams.merge(*fresh, _stream(sorted(rows, key=lambda row: (*row[:2], row_key(row)))))
        ) as merged:
            async for row in merged:
                yield row

    async def _sessions(self, horizon: Filter, late: _Late) -> list[SessionDocument]:
        """The sessions that may have news: also those that ended before the start, by a clock that is behind."""
        found = [
            one
            for one in await streams.sessions(self._store, horizon)
            if "until" not in one or late.has(one["_id"], one.get("until_line", 0), one["until"])
        ]
        up = {key for key, known in self._followed.items() if not known.ended}
        up.difference_update(session["_id"] for session in found)
        return found + await streams.sessions_by_key(self._store, up)

    def _fresh(self, session: SessionDocument, stored: _Stored) -> list[SessionRow]:
        """A session's begin and end, if not shown yet."""
        known = self._followed.get(session["_id"])
        until_line = session.get("until_line", 0)
        has_ended = "until" in session and stored.has(session["_id"], until_line, session["until"])
        rows = streams.rows_of(session)[: 1 + has_ended]
        if known is None:
            begin = max(session["since"], self._filters.start or session["since"])
            known = self._followed[session["_id"]] = _Followed(begin, 0, ended=False)
        else:
            rows = [] if known.ended else rows[1:]
        known.ended = known.ended or has_ended
        return rows

    def _part(self, session: SessionDocument, stored: _Stored) -> _Unshown | None:
        """The part of a session's UPDATEs that has not been shown."""
        known = self._followed[session["_id"]]
        if session["updates"] <= known.updates or not self._reads_updates:
            return None
        upto = stored.until(session)
        begin, known.upto = known.upto, max(known.upto, upto)
        shown, known.shown = known.shown, set(known.shown if begin == known.upto else ())
        if upto == session["last_seen"]:
            known.updates = session["updates"]
        return _Unshown(known, begin, shown, stored, session["updates"])

    async def _updates(self, address: str, parts: Mapping[ObjectId, _Unshown]) -> AsyncGenerator[UpdateRow, None]:
        """One query for all sessions of a peer."""
        begin = min(part.begin for part in parts.values())
        end = max(part.known.upto for part in parts.values()) + timedelta(milliseconds=1)
        if end - begin < _ONE_QUERY:
            rows = streams.window(self._store, address, {"$gte": begin, "$lt": end})
        else:
            most = sum(part.most for part in parts.values())
            rows = streams.of_peer(self._store, address, [(begin, end)], most=most)
        async with aclosing(rows):
            async for row in rows:
                part = parts.get(row.document["session"]) if "session" in row.document else None
                if part and part.takes(row):
                    yield row


def by_number(reached: Sequence[InstancePosition]) -> dict[int, InstancePosition]:
    """Positions by the instance numbers in keys."""
    return {collector_number(one.instance): one for one in reached}


def row_key(row: Row) -> ObjectId:
    """The key of a row's document."""
    if isinstance(row, TableRow | OwnRow):
        raise TypeError("it is not told line by line")
    return row.document["_id"]


async def _stream(rows: Sequence[Row]) -> AsyncGenerator[Row, None]:
    for row in rows:
        yield row
