"""The history of a prefix: announcements, withdrawals, and the ends of sessions that withdrew its routes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from collector.query.attributes import AnswerFields, answered
from collector.query.entries import gap_entry, route_entry, table_entry
from collector.query.filters import Filter
from collector.query.history_rows import rows_of_prefix
from collector.query.last_announced import LastAnnounced
from collector.query.prefix_windows import PrefixReader
from collector.query.routes import AnnouncedRoute, route_of
from collector.query.routes_before import RoutesBefore
from collector.query.streams import GapRow, OwnRow, Row, SessionRow, TableRow, UpdateRow
from collector.rib.routes import groups
from collector.store.mongo import Store
from schemas.peer import Peer
from schemas.query import HistoryEntry
from schemas.stored import SessionDocument, UpdateDocument

LastRoutesOfPrefix = LastAnnounced[AnnouncedRoute, HistoryEntry]
_CARRIED = frozenset(HistoryEntry.model_fields) - {
    "ts",
    "event",
    "reason",
    "since",
    "lines",
    "labels",
    "error",
    "intent",
}


@dataclass(frozen=True)
class HistoryQuery:
    """One prefix, normalised, and conditions on its entries."""

    prefix: str
    filters: Filter = field(default_factory=Filter)
    with_ours: bool = False
    """Whether to include the states of our own announcements of it."""


async def history(store: Store, question: HistoryQuery) -> AsyncIterator[HistoryEntry]:
    """All events of a prefix, oldest first.

    One UPDATE that withdraws and announces the prefix yields the withdrawal first: the route stands afterwards
    (RFC 4271 4.3).
    """
    prefix, filters = question.prefix, question.filters
    last: LastRoutesOfPrefix = LastAnnounced()
    reader = PrefixReader(store, prefix)
    past = None
    if filters.start is not None and (filters.wants("withdraw") or filters.wants("session")):
        past = _Past(reader, filters, filters.start, last)
    async with aclosing(rows_of_prefix(reader, filters, with_ours=question.with_ours)) as rows:
        async for row in rows:
            if past:
                await past.recall_for(row)
            for entry in entries_of(row, prefix, last):
                if filters.matches(entry):
                    yield entry


def entries_of(row: Row, prefix: str, last: LastRoutesOfPrefix) -> Iterator[HistoryEntry]:
    """The entries of a prefix in a row, which also updates `last`, the state after all rows before it."""
    if isinstance(row, GapRow):
        yield gap_entry(row.document, prefix)
    elif isinstance(row, SessionRow):
        yield from _end(row.document, last)
    elif isinstance(row, TableRow):
        yield from _go_on_from(row, last)
    elif isinstance(row, UpdateRow):
        yield from _follow(row, prefix, last)
    elif isinstance(row, OwnRow):
        yield row.entry


def _follow(row: UpdateRow, prefix: str, last: LastRoutesOfPrefix) -> Iterator[HistoryEntry]:
    """The entries of an UPDATE for the prefix; withdrawals have the route that they end."""
    document, event = row.document, row.event or "announce"
    for group in groups(document, event):
        for nlri in group.get("nlri", ()):
            if nlri != prefix:
                continue
            route = route_of(document, group, prefix)
            if event == "announce":
                entry = route_entry(document, "announce", group, prefix, answered(document.get("attributes", {})))
                last.announce(route, entry)
            else:
                ended = last.withdraw(route)
                entry = route_entry(document, "withdraw", group, prefix, carried(ended) if ended else {})
            yield entry


def _end(session: SessionDocument, last: LastRoutesOfPrefix) -> Iterator[HistoryEntry]:
    """The ends of a session's routes."""
    own = {"ts": session["until"], "event": "session_end", "reason": session.get("reason")}
    for stood in last.end(lambda route: bool(route[0] == session["_id"])):
        yield HistoryEntry.model_validate({**carried(stood), **own})


def _go_on_from(row: TableRow, last: LastRoutesOfPrefix) -> Iterator[HistoryEntry]:
    """Replace the session's known routes to the prefix by those in a RIB dump."""
    last.end(lambda route: bool(route[0] == row.table.session))
    for key, stored in row.routes:
        entry = table_entry(row.table, key, stored)
        last.announce((row.table.session, key), entry)
        yield entry


def carried(entry: HistoryEntry) -> AnswerFields:
    """The fields of an announcement that the end of its route has too."""
    return entry.model_dump(include=set(_CARRIED))


class _Past:
    """The routes before the first row, read as far as entries depend on them."""

    def __init__(self, reader: PrefixReader, filters: Filter, start: datetime, last: LastRoutesOfPrefix) -> None:
        self._reader = reader
        self._filters = filters
        self._start = start
        self._last = last
        self._before: dict[Any, RoutesBefore] = {}
        self._over: set[Any] = set()
        """Sessions that ended since, or whose whole table came."""

    async def recall_for(self, row: Row) -> None:
        """Add to the last routes those that a row ends; rows come in order."""
        if isinstance(row, UpdateRow) and row.event == "withdraw":
            for group in groups(row.document, "withdraw"):
                if self._reader.prefix in group.get("nlri", ()):
                    await self._recall(row.document, route_of(row.document, group, self._reader.prefix))
        elif isinstance(row, TableRow):
            self._over.add(row.table.session)
        elif isinstance(row, SessionRow):
            await self._recall_all_of(row.document)
            self._over.add(row.document["_id"])

    async def _recall_all_of(self, session: SessionDocument) -> None:
        is_wanted = session["_id"] not in self._over and self._filters.of_peer(Peer.model_validate(session["peer"]))
        if is_wanted and session["since"] < self._start:
            for route, entry in await self._of(session["_id"], session["peer"]["address"]).standing():
                if self._last.get(route) is None:
                    self._last.recall(route, entry)

    async def _recall(self, document: UpdateDocument, route: AnnouncedRoute) -> None:
        owner = route[0]
        if self._last.get(route) is None and owner not in self._over:
            entry = await self._of(owner, document["peer"]["address"]).announced(route)
            if entry is not None:
                self._last.recall(route, entry)

    def _of(self, owner: Any, address: str) -> RoutesBefore:
        if owner not in self._before:
            self._before[owner] = RoutesBefore(self._reader, owner, address, self._start)
        return self._before[owner]
