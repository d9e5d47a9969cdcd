"""What queries without a prefix read: UPDATEs, sessions and gaps, each in order of time.

UPDATEs are read peer by peer through the index over peer and time (see `collector.store.updates`). Memory depends on
the number of peers, not of messages.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypeVar

from bson import ObjectId

from collector.query.filters import Filter
from collector.rib.routes import Items
from collector.rib.stored_routes import routes_to
from collector.store.mongo import Store
from collector.store.updates import (
    IN_ORDER,
    NEWEST_FIRST,
    Span,
    messages_of,
    updates_naming,
    updates_of_peer,
    updates_within,
)
from schemas.peer import Peer, name_order
from schemas.query import HistoryEntry
from schemas.snapshots import Snapshot
from schemas.stored import GapDocument, MessageDocument, SessionDocument, UpdateDocument

SLACK = timedelta(seconds=2)
"""In archives of version 0.1 time could run backwards; UPDATEs are looked for this long before and after their
session."""
_MILLISECOND = timedelta(milliseconds=1)
_SESSION_FIELDS = (
    *("peer", "local", "collector", "since", "began", "until", "until_line", "last_seen", "reason"),
    "updates",
)


class UpdateRow(NamedTuple):
    """An UPDATE; see `Row`."""

    ts: datetime
    rank: bytes
    document: UpdateDocument
    event: Literal["announce", "withdraw"] | None = None
    """Which of its routes are wanted; None: all."""


class SessionRow(NamedTuple):
    """The begin or end of a session; see `Row`."""

    ts: datetime
    rank: bytes
    document: SessionDocument
    ended: bool


class GapRow(NamedTuple):
    """A gap; see `Row`."""

    ts: datetime
    rank: bytes
    document: GapDocument


class MessageRow(NamedTuple):
    """A message that is no UPDATE; see `Row`."""

    ts: datetime
    rank: bytes
    document: MessageDocument


class TableRow(NamedTuple):
    """A peer's table in a RIB dump, and its routes to one prefix; see `Row`."""

    ts: datetime
    rank: bytes
    table: Snapshot
    routes: Items


class OwnRow(NamedTuple):
    """A state of one of our own announcements; see `Row`."""

    ts: datetime
    rank: bytes
    entry: HistoryEntry


Row = UpdateRow | SessionRow | GapRow | MessageRow | TableRow | OwnRow
"""Something stored, and its place: rows sort by time, and those of one collector by line within a millisecond."""
R = TypeVar("R", bound=Row)


def updates(store: Store, found: Sequence[SessionDocument], filters: Filter) -> AsyncGenerator[UpdateRow, None]:
    """The UPDATEs of these sessions, in the wanted time range."""
    most = Counter[str]()
    # The number of UPDATEs that other routers have of an address is unknown.
    some = filters.routers or filters.ribs
    for session in found:
        most[session["peer"]["address"]] += session["updates"]
    each = spans(found, filters)
    if names := filters.named_prefixes:
        wholes = {address: (its[0][0], its[-1][1]) for address, its in each.items()}
        return merge(*(rows(updates_naming(store, address, names, whole)) for address, whole in wholes.items()))
    return merge(*(of_peer(store, address, its, most=None if some else most[address]) for address, its in each.items()))


async def session_rows(found: Iterable[SessionDocument]) -> AsyncGenerator[SessionRow, None]:
    """The begins and ends of sessions."""
    for row in in_order(row for session in found for row in rows_of(session)):
        yield row


def in_order(rows: Iterable[R]) -> list[R]:
    """Rows sorted by time and place."""
    return sorted(rows, key=lambda row: row[:2])


def rows_of(session: SessionDocument) -> list[SessionRow]:
    """A session's begin, and its end if it has ended."""
    rows = [SessionRow(session["since"], _ahead_of(session["_id"].binary), session, ended=False)]
    if "until" in session:
        rows.append(SessionRow(session["until"], _place_of_end(session), session, ended=True))
    return rows


def _place_of_end(session: SessionDocument) -> bytes:
    """After the last line before the one that reported it: the clock may stand still while sessions come and go.

    Version 0.1 did not store that line: there an end comes last in its millisecond.
    """
    key = session["_id"].binary
    if "until_line" not in session:
        return b"\xff" + bytes(key)
    return _behind(int(session["until"].timestamp()).to_bytes(4) + key[4:7], session["until_line"] - 1)


async def message_rows(store: Store, filters: Filter) -> AsyncGenerator[MessageRow, None]:
    """What peers said other than UPDATEs, in the wanted time range."""
    found = []
    for sort in (IN_ORDER, NEWEST_FIRST):
        found += [one["ts"] async for one in store.find("messages", {}, sort=sort, limit=1, fields=("ts",))]
    if not found:
        return
    first, last = found
    span = max(first, filters.start or first), min(last + _MILLISECOND, filters.end or datetime.max.replace(tzinfo=UTC))
    async for document in messages_of(store, span):
        yield MessageRow(document["ts"], document["_id"].binary, document)


async def gap_rows(store: Store, filters: Filter) -> AsyncGenerator[GapRow, None]:
    """The gaps of the wanted peers."""
    query = {"ts": filters.span} if filters.span else {}
    async for gap in store.find("gaps", query, sort=IN_ORDER):
        if "peer" in gap and filters.of_peer(Peer.model_validate(gap["peer"])):
            yield GapRow(gap["ts"], _place(gap), gap)


async def table_rows(store: Store, prefix: str, filters: Filter) -> AsyncGenerator[TableRow, None]:
    """The routes to one prefix in RIB dumps; they come before all messages of the same time."""
    start, end = filters.start, filters.end
    times = [one for one in await store.meta.dump_times() if (not start or start <= one) and (not end or one < end)]
    if not times:
        return
    query = {"ts": {"$in": times}, "dump": {"$exists": True}}
    tables = [Snapshot.model_validate(document) async for document in store.find("snapshots", query)]
    for table in sorted(tables, key=lambda one: (one.ts, name_order(one.peer.name), one.collector)):
        if table.complete and filters.of_peer(table.peer):
            yield TableRow(table.ts, b"", table, await routes_to(store, table, (prefix,)))


def _place(gap: GapDocument) -> bytes:
    """After the last line before the gap: the line that revealed it comes after, an unreadable one is part of it."""
    line = gap["line"] - (gap["cause"] != "reject")
    return _behind(gap["_id"].binary[:7], line)


def _ahead_of(key: bytes) -> bytes:
    """The place of a session that begins with a route, and has its key: after the gap that its first line revealed."""
    return _behind(key[:7], int.from_bytes(key[7:]) - 1) + b"\xff"


def _behind(spool: bytes, line: int) -> bytes:
    """A place between the keys of a line, which may be -1, and of the next one."""
    return ((int.from_bytes(spool) << 40) + line).to_bytes(12) + b"\xff"


async def sessions(store: Store, filters: Filter) -> list[SessionDocument]:
    """The sessions of the wanted peers that overlap the wanted time range."""
    begun = {"since": {"$lt": filters.end}} if filters.end else {}
    found: dict[ObjectId, SessionDocument] = {}
    for still in ({"until": None}, {"until": {"$gte": filters.start} if filters.start else {"$exists": True}}):
        async for session in store.find("sessions", {**begun, **still}, fields=_SESSION_FIELDS):
            if filters.of_peer(Peer.model_validate(session["peer"])):
                found[session["_id"]] = session
    return list(found.values())


async def sessions_by_key(store: Store, keys: Collection[ObjectId]) -> list[SessionDocument]:
    """Some sessions."""
    if not keys:
        return []
    return [one async for one in store.find("sessions", {"_id": {"$in": list(keys)}}, fields=_SESSION_FIELDS)]


async def merge(*streams: AsyncGenerator[R, None]) -> AsyncGenerator[R, None]:
    """Streams in order as one stream in order: `heapq.merge` for asynchronous generators, which it closes."""
    heap: list[tuple[datetime, bytes, int, R]] = []

    async def advance(number: int) -> None:
        row = await anext(streams[number], None)
        if row is not None:
            heapq.heappush(heap, (row.ts, row.rank, number, row))

    async with AsyncExitStack() as closing:
        for stream in streams:
            await closing.enter_async_context(aclosing(stream))
        for number in range(len(streams)):
            await advance(number)
        while heap:
            *_, number, row = heapq.heappop(heap)
            yield row
            await advance(number)


# --- the UPDATEs of one peer --------------------------------------------------------------------------------------


def spans(found: Iterable[SessionDocument], filters: Filter) -> dict[str, list[Span]]:
    """The times in the wanted range at which each peer had sessions."""
    now = datetime.now(UTC)
    spans: dict[str, list[Span]] = {}
    for session in sorted(found, key=lambda session: (session["since"], session["_id"])):
        until = session.get("until", now)
        begin, end = session["since"] - SLACK, max(until, session["last_seen"]) + SLACK
        begin = max(begin, filters.start) if filters.start else begin
        end = min(end, filters.end) if filters.end else end
        of_peer = spans.get(session["peer"]["address"])
        if of_peer and begin <= of_peer[-1][1]:
            of_peer[-1] = (of_peer[-1][0], max(end, of_peer[-1][1]))
        elif begin < end:
            spans.setdefault(session["peer"]["address"], []).append((begin, end))
    return spans


def of_peer(
    store: Store, address: str, spans: Sequence[Span], *, most: int | None = None
) -> AsyncGenerator[UpdateRow, None]:
    """The UPDATEs of one peer in consecutive time ranges, each without its end.

    `most` is the maximum number of them, if known.
    """
    return rows(updates_of_peer(store, address, spans, most=most))


def window(store: Store, address: str, span: Mapping[str, datetime]) -> AsyncGenerator[UpdateRow, None]:
    """The UPDATEs of one peer in one time range."""
    return rows(updates_within(store, address, span))


async def rows(documents: AsyncGenerator[UpdateDocument, None]) -> AsyncGenerator[UpdateRow, None]:
    """UPDATEs as rows."""
    async with aclosing(documents):
        async for document in documents:
            yield UpdateRow(document["ts"], document["_id"].binary, document)
