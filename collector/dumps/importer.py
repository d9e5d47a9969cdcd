"""Imports a RIB dump as a stored table for each of its peers, at the time in its header.

Each peer in it has a session: one that continues there, or one that begins with the dump. Updates that follow continue
it, as they do after update files. An interrupted import continues with the first table that is not stored completely;
a partly stored one is written again, with the same keys.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple, TypeVar

from collector.archive.followed_files import FOLLOWS, SILENCE, first_line, preceding
from collector.archive.imported import Imported
from collector.archive.importing import FileImporter
from collector.archive.selection import Selection
from collector.archive.session_tracker import SessionTracker
from collector.dumps.differences import Differences, compare
from collector.dumps.reader import BadRecord, Dump, DumpedPeer, DumpReader, WantedTables
from collector.errors import StoreUnavailableError
from collector.query.peer_ribs import peer_rib_of
from collector.retry import pauses
from collector.rib import storing
from collector.rib.dumped import DumpedTable
from collector.rib.pages import PackedPage
from collector.rib.routes import milliseconds
from collector.sources.source import Source
from collector.store.mongo import Store
from collector.store.updates import updates_of_session
from schemas.documents import Gap, Place, Session, make_reject
from schemas.keys import collector_number, instance_name, key_collector, make_gap_key, make_key
from schemas.meta import ImportDocument
from schemas.notes import ArchiverNote, TrackerNote
from schemas.peer import Peer
from schemas.stored import GapCause, RejectDocument, SessionDocument, name_of

_MILLISECOND = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)
"""How long a dump is valid if nothing follows: its header has whole seconds."""
_AT_ONCE = 100
"""The number of rejects that are stored together."""
_PATIENCE = 60.0
"""Seconds that the store may be unavailable, as while it restarts or elects another primary."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0

T = TypeVar("T")


class _FoundSession(NamedTuple):
    """The session to which a table belongs."""

    session: SessionDocument
    changed: Session | None
    """The session to store with the table; None if it exists, and extends beyond the dump."""
    before: SessionDocument | None
    """The session as it was stored before."""


class DumpImporter(FileImporter):
    """Imports RIB dumps; tables are selected by the time in the dump's header."""

    def __init__(self, store: Store, *, source: Source, collector: str, selection: Selection) -> None:
        super().__init__(store, source=source, collector=collector, selection=selection)
        self._number = collector_number(instance_name(collector, source.name))

    async def _store_file(
        self, path: Path, document: ImportDocument, result: Imported, on_read: Callable[[int], None]
    ) -> None:
        result.continued = document.get("tables", 0) > 0
        before = await preceding(self._store, document)
        note = before["note"].get("tracker") if before else None
        course = _ImportCourse(document, self._tracker(note), result, on_read)
        reader = DumpReader(path, wanted(self._selection), course.read)
        await self._store_all(course, reader.read())
        add_counts(result, reader)
        last = course.tracker.time if result.tables else None
        noted: ArchiverNote = {
            "stored": 0,
            "rejected": result.rejected,
            "refused": 0,
            "tracker": course.tracker.note(),
        }
        await self._store.meta.note_import(document["_id"], {"done": True, "last": last, "note": noted})

    def _tracker(self, note: TrackerNote | None = None) -> SessionTracker:
        return SessionTracker(self._source, self._collector, note=note, instance=self._source.name)

    async def _store_all(self, course: _ImportCourse, found: Iterator[Dump | BadRecord]) -> None:
        rejects: list[RejectDocument] = []
        while (one := await asyncio.to_thread(next, found, None)) is not None:
            if isinstance(one, BadRecord):
                rejects.append(self._reject(course, one))
                course.result.rejected += 1
                course.result.reasons[one.reason] += 1
            if isinstance(one, Dump) or len(rejects) >= _AT_ONCE:
                await self._patiently(partial(self._store.insert, "rejects", rejects))
                rejects = []
            if isinstance(one, Dump):
                await self._store_dump(course, one)
        await self._patiently(partial(self._store.insert, "rejects", rejects))

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Retry until it succeeds, unless the store stays unavailable."""
        waits, over = pauses(_FIRST_PAUSE, _LONGEST_PAUSE), time.monotonic() + _PATIENCE
        while True:
            try:
                return await attempt()
            except StoreUnavailableError as error:
                if time.monotonic() >= over:
                    raise StoreUnavailableError(
                        f"{error.cause}, before everything was stored",
                        "import again when it is back: the import continues from here",
                    ) from error
                await asyncio.sleep(next(waits))

    def _reject(self, course: _ImportCourse, bad: BadRecord) -> RejectDocument:
        line = course.line + bad.frame.record
        place = Place(make_key(bad.ts, self._number, line), bad.ts, self._collector, None)
        reject = make_reject(place, line, bad.frame.raw, bad.reason, binary=True)
        return {**reject, "offset": bad.frame.offset}

    async def _store_dump(self, course: _ImportCourse, dump: Dump) -> None:
        if course.tracker.time + FOLLOWS < dump.ts:
            course.tracker = self._tracker()
        course.times.append(dump.ts)
        await self._patiently(partial(self._store.meta.note_import, course.document["_id"], {"times": course.times}))
        beyond = await self._patiently(partial(self._sessions_beyond, dump.ts))
        for number, one in enumerate(dump.peers):
            if not one.table.routes and ip_address(one.peer.address).is_unspecified:
                continue  # the collector itself, in an index
            line = course.line + number + 1
            await self._patiently(partial(self._store_peer, course, dump.ts, one, line, beyond))
            course.store(number + 1, len(dump.peers))

    async def _store_peer(
        self, course: _ImportCourse, ts: datetime, one: DumpedPeer, line: int, beyond: Mapping[str, SessionDocument]
    ) -> None:
        """Store a peer's table, unless an interrupted import has stored it, and record that."""
        found = await self._session_of(course, Peer(**one.peer._asdict()), ts, line, beyond)
        if course.tables >= course.document.get("tables", 0):
            await self._store_table(course, ts, one, found)
            await self._store.meta.note_import(course.document["_id"], {"tables": course.tables + 1})
        course.tables += 1

    async def _store_table(self, course: _ImportCourse, ts: datetime, one: DumpedPeer, found: _FoundSession) -> None:
        """Store the gap if the table differs, then the table, then the session, without which nobody sees the table."""
        table, result, name = one.table, course.result, course.document["file"]
        differences = await self._differences(found, table, ts)
        updates = await self._updates_before(found, ts)
        stored = await storing.write_dump(self._store, found.session, ts, _each(table), updates=updates, dump=name)
        why = f"the RIB dump {name} has other routes than the UPDATEs before it give: {differences}"
        after = found.before["since"] if found.before else None
        await self._mark(course, found, ts, "table", why=why if differences else "", after=after)
        why = f"{one.unreadable:,} records of the RIB dump {name} cannot be read" if one.unreadable else ""
        await self._mark(course, found, ts, "reject", why=why, after=ts)
        if found.changed:
            await self._store.replace("sessions", [_ended(found.changed, ts, course.line).to_document()])
        result.tables += 1
        result.routes += stored.routes
        result.twice += table.twice
        result.differ += bool(differences)

    # --- sessions -------------------------------------------------------------------------------------------------

    async def _sessions_beyond(self, ts: datetime) -> dict[str, SessionDocument]:
        """The sessions of earlier imports that extend beyond a time, by peer name."""
        found = {}
        async for one in self._store.find("sessions", {"until": {"$gt": ts}}):
            if key_collector(one["_id"]) == self._number and one["since"] <= ts:
                found[name_of(one["peer"])] = one
        return found

    async def _session_of(
        self, course: _ImportCourse, peer: Peer, ts: datetime, line: int, beyond: Mapping[str, SessionDocument]
    ) -> _FoundSession:
        """The session to which a peer's table at a time belongs."""
        session = beyond.get(peer.name)
        if session and session["_id"] != make_key(ts, self._number, line):
            return _FoundSession(session, None, session)
        changed = course.tracker.table(line, ts, peer)
        document = changed.to_document()
        stored = [one async for one in self._store.find("sessions", {"_id": changed.key})]
        return _FoundSession(document, changed, stored[0] if stored and stored[0]["since"] < ts else None)

    async def _updates_before(self, found: _FoundSession, ts: datetime) -> int:
        """The number of a session's UPDATEs before a time."""
        session = found.before
        if session is None or session["last_seen"] < ts:
            return session["updates"] if session else 0
        count = 0
        span = session["since"], ts
        async for update in updates_of_session(self._store, session, span, most=session["updates"]):
            count += update.get("session") == session["_id"]
        return count

    # --- faults ---------------------------------------------------------------------------------------------------

    async def _differences(self, found: _FoundSession, table: DumpedTable, ts: datetime) -> Differences:
        # If no UPDATE was received, perhaps none has been imported.
        if found.before is None or not found.before["updates"]:
            return Differences()
        before = await peer_rib_of(self._store, found.before, ts - _MILLISECOND)
        return await compare(before, table, milliseconds(ts))

    async def _mark(
        self,
        course: _ImportCourse,
        found: _FoundSession,
        ts: datetime,
        cause: GapCause,
        *,
        why: str,
        after: datetime | None,
    ) -> None:
        """Store a gap, or that there is none: the same dump may be imported again, undamaged."""
        key = make_gap_key(ts, self._number, 0, f"{name_of(found.session['peer'])} {cause}")
        await self._store.remove("gaps", {"_id": key})
        if why:
            peer = Peer.model_validate(found.session["peer"])
            gap = Gap(
                key=key,
                collector=self._collector,
                ts=ts,
                line=course.line,
                peer=peer,
                after=after,
                cause=cause,
                reason=why,
            )
            await self._store.replace("gaps", [gap.to_document()])


class _ImportCourse:
    """The progress of importing one file."""

    def __init__(
        self, document: ImportDocument, tracker: SessionTracker, result: Imported, on_read: Callable[[int], None]
    ) -> None:
        self.document = document
        self.line = first_line(document)
        self.tracker = tracker
        self.result = result
        self.times: list[datetime] = []
        """The times of its dumps."""
        self.tables = 0
        """The number of stored tables, counted from the start of the file."""
        self._on_read = on_read
        self._read = self._stored = 0

    def read(self, size: int) -> None:
        """Report that this many bytes of the file have been read, which is about half of the work."""
        self._read = size
        self._on_read((self._stored + size) // 2)

    def store(self, tables: int, of: int) -> None:
        """Report that this many tables of those read are stored."""
        self._on_read((self._stored + self._read) // 2 + (self._read - self._stored) * tables // (2 * of))
        if tables == of:
            self._stored = self._read


def wanted(selection: Selection) -> WantedTables:
    """Which tables a selection includes."""

    def at(ts: datetime) -> bool:
        return (selection.start is None or ts >= selection.start) and (selection.end is None or ts < selection.end)

    return WantedTables(at, selection.peers)


def add_counts(result: Imported, reader: DumpReader) -> None:
    """Copy the reader's counts to the result for a file."""
    result.records, result.left_out, result.fault = reader.records, reader.left_out, reader.fault
    result.others = dict(reader.others)


def look_through_dump(path: Path, selection: Selection) -> Imported:
    """What an import of RIB dumps would give, without a store.

    Raises:
        ReplayError: the file cannot be read, or is not an MRT file.
    """
    began = time.monotonic()
    result = Imported(path)
    reader = DumpReader(path, wanted(selection))
    for one in reader.read():
        if isinstance(one, BadRecord):
            result.rejected += 1
            result.reasons[one.reason] += 1
        else:
            result.tables += len(one.peers)
            result.routes += sum(page.routes for peer in one.peers for page in peer.table.pages())
            result.twice += sum(peer.table.twice for peer in one.peers)
    add_counts(result, reader)
    result.seconds = time.monotonic() - began
    return result


def _ended(session: Session, ts: datetime, line: int) -> Session:
    """A session that ends, for unknown reasons, with a dump."""
    end = {"until": ts + _SECOND, "until_line": line, "ended_by": "collector", "reason": SILENCE}
    return session.model_copy(update=end)


async def _each(table: DumpedTable) -> AsyncIterator[PackedPage]:
    pages = table.pages()
    while (page := await asyncio.to_thread(next, pages, None)) is not None:
        yield page
