"""The history of a prefix, read backwards from the end: as much as can be read in a given time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bson import ObjectId

from collector.query import streams
from collector.query.coverage import coverage
from collector.query.filters import Filter
from collector.query.history import LastRoutesOfPrefix, entries_of
from collector.query.last_announced import LastAnnounced
from collector.query.prefix_windows import FIRST_WINDOW, NARROWER, PrefixReader
from collector.query.sessions import session_of
from collector.query.streams import Row, SessionRow, TableRow, UpdateRow
from collector.rib import snapshots
from collector.rib.stored_routes import routes_to
from collector.store.mongo import Store
from schemas.query import HistoryEntry
from schemas.snapshots import Snapshot
from schemas.status import PeerSession
from schemas.stored import SessionDocument

_WIDER = 4
_FEW = 500
"""UPDATEs: windows with fewer are widened."""
_LONGER, _LONGEST = 4, 12
"""How many times longer reading may take while little, or nothing, was read: then the machine is busy."""
_TICK = timedelta(milliseconds=1)


@dataclass(frozen=True)
class PrefixTimeline:
    """What happened to a prefix in a time range."""

    start: datetime
    end: datetime
    """The time range: if the query has no begin or end, that of the archive."""
    since: datetime
    """Everything since then was read; later than `start` if there was too much to read in time."""
    until: datetime
    """The end of what was read, exclusive."""
    standing: Sequence[HistoryEntry]
    """The announcements of the routes at `since`, if that is the start."""
    entries: Sequence[HistoryEntry]
    """As in `history`, oldest first."""
    sessions: Sequence[PeerSession]
    """The sessions of that time."""


async def timeline(
    store: Store, prefix: str, filters: Filter, *, until: datetime | None, seconds: float
) -> PrefixTimeline:
    """What happened to a prefix: in all of a time range, or in the last part of it.

    Args:
        store: the archive.
        prefix: the prefix, normalised.
        filters: the time range, the peers, and conditions on entries.
        until: where to start reading backwards, instead of the range's end.
        seconds: the time after which reading stops, unless little is left.
    """
    clock = asyncio.get_running_loop().time
    now = clock()
    over, last_call, latest = now + seconds, now + _LONGER * seconds, now + _LONGEST * seconds
    start, end = await _range(store, filters)
    until = min(until or end, end)
    found = await streams.sessions(store, replace(filters, start=start, end=end))
    reader, last_seen_times = PrefixReader(store, prefix), _last_seen_times(found)
    await reader.read_few()
    at, width = until, FIRST_WINDOW
    rows: list[list[UpdateRow]] = []
    read = 0
    while at > start and (not rows or clock() < (over if read > _FEW else last_call if read else latest)):
        begin = max(start, at - width)
        some = await reader.read(begin, at, [one for one, seen in last_seen_times.items() if seen >= begin])
        if some is None:
            width /= NARROWER
            continue
        rows.append(some)
        read += len(some)
        at = begin
        if len(some) < _FEW:
            width *= _WIDER
    last: LastRoutesOfPrefix = LastAnnounced()
    if at == start:
        for row in await _before(reader, [one for one in found if one["since"] < start], start, last_call):
            for _ in entries_of(row, prefix, last):
                pass
    stood = last.standing
    within = replace(filters, start=at, end=until)
    others: list[Row] = [row async for row in streams.gap_rows(store, within)]
    others += [row async for row in streams.table_rows(store, prefix, within)]
    others += [row for one in found for row in streams.rows_of(one) if _ends_within(row, at, until)]
    updates = [row for some in reversed(rows) for row in some]
    ordered = sorted([*updates, *others], key=lambda row: row[:2])  # a withdrawal stays before its announcement
    entries = [entry for row in ordered for entry in entries_of(row, prefix, last) if filters.matches(entry)]
    return PrefixTimeline(start, end, at, until, stood, entries, [session_of(one) for one in found])


async def _range(store: Store, filters: Filter) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    covered = await coverage(store, now)
    upto = (covered.upto or now) + _TICK
    async for _ in store.find("sessions", {"until": None}, limit=1, fields=("since",)):
        upto = max(now, upto)
    start = filters.start or covered.since or now
    return start, max(filters.end or upto, start + _TICK)


def _last_seen_times(sessions: Iterable[SessionDocument]) -> Mapping[str, datetime]:
    """When each peer was last seen, by address."""
    last: dict[str, datetime] = {}
    for one in sessions:
        address, seen = one["peer"]["address"], one["last_seen"]
        last[address] = max(last.get(address, seen), seen)
    return last


def _ends_within(row: SessionRow, start: datetime, end: datetime) -> bool:
    return row.ended and start <= row.ts < end


async def _before(reader: PrefixReader, sessions: Sequence[SessionDocument], start: datetime, over: float) -> list[Row]:
    """The last UPDATEs before a time in sessions that were up then; with ADD-PATH, perhaps not for every path.

    If a RIB dump has the table of a session, everything since the dump is read.
    """
    tables = await _tables_before(reader.store, sessions, start)
    waiting = {one["_id"]: one for one in sessions}
    found: list[Row] = []
    at, width = start, FIRST_WINDOW
    while waiting and asyncio.get_running_loop().time() < over:
        begin = at - width
        some = await reader.read(begin, at, {one["peer"]["address"] for one in waiting.values()})
        if some is None:
            width /= NARROWER
            continue
        own = [row for row in some if row.document.get("session") in waiting]
        found = [*own, *found]
        reached = {row.document.get("session") for row in own} - tables.keys()
        reached |= {key for key, one in waiting.items() if begin <= (tables[key].ts if key in tables else one["since"])}
        waiting = {key: one for key, one in waiting.items() if key not in reached}
        at, width = begin, width * _WIDER
    whole = [table for key, table in tables.items() if key not in waiting]
    found += [TableRow(one.ts, b"", one, await routes_to(reader.store, one, (reader.prefix,))) for one in whole]
    return sorted(found, key=lambda row: row[:2])


async def _tables_before(
    store: Store, sessions: Sequence[SessionDocument], start: datetime
) -> dict[ObjectId, Snapshot]:
    """The newest table of each session from a RIB dump before a time, if there is one."""
    if not any(one < start for one in await store.meta.dump_times()):
        return {}
    found = {one["_id"]: await snapshots.newest_dump(store, one, start - _TICK) for one in sessions}
    return {key: table for key, table in found.items() if table}
