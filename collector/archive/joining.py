"""Joins the sessions of imported files that follow each other, in whatever order the files were imported.

A file that was imported before the one that precedes it began without knowing which sessions were up. When that one is
there, its stored records are followed again, from the state at the end of the earlier file: they get the sessions that
they would have had, and so do those of the files behind it. Their keys, and everything else in them, stay.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from collector.archive.batches import storable_document
from collector.archive.followed_files import continues, end_of, first_line, following, preceding, state_digest
from collector.archive.session_tracker import SessionTracker
from collector.sources.source import Rejection, Source
from collector.store.mongo import Document, Store
from schemas.documents import Gap, Place, Session, to_document, to_message
from schemas.keys import FILE_RECORD_BITS, collector_number, instance_name, key_collector, key_line
from schemas.meta import ImportDocument, ImportProgress
from schemas.notes import ArchiverNote

_WINDOW = timedelta(minutes=1)
"""Records of this long a time are in memory at once."""
_OF_RECORDS = ("updates", "messages", "rejects")
_IN_DOUBT = ""
"""What a file begins with while its records are followed again. If that is interrupted, some have other sessions."""


async def join_following(store: Store, source: Source, document: ImportDocument, *, again: bool) -> int:
    """Have the sessions of a file continue in the files that follow it, and were imported before it.

    It ends at a file that has these sessions already.

    Args:
        store: the archive, open for writing.
        source: the source of the files' records.
        document: what `meta` has about the file, whose import is done.
        again: this was interrupted before: the first of these files may have them already, unlike those behind them.

    Returns:
        How many files got other sessions.
    """
    count = 0
    is_new = False
    while (later := await following(store, document)) is not None:
        if is_new or not continues(later, document):
            document, is_new = await _StoredFile(store, source, later).follow_again(document)
            count += 1
        elif again and not count:
            document = later
        else:
            break
    return count


async def join_preceding(store: Store, source: Source, document: ImportDocument) -> ImportDocument:
    """As `join_following`, for a file whose predecessor was imported while it was; returns what `meta` has then."""
    before = await preceding(store, document)
    if before is None or continues(document, before):
        return document
    document, _is_new = await _StoredFile(store, source, document).follow_again(before)
    return document


class _StoredFile:
    """The records of one imported file, as they are stored."""

    def __init__(self, store: Store, source: Source, document: ImportDocument) -> None:
        self._store, self._source, self._document = store, source, document
        self._collector = document["collector"]
        self._number = collector_number(instance_name(self._collector, source.name))
        self._lines = range(first_line(document), first_line(document) + (1 << FILE_RECORD_BITS))

    async def follow_again(self, before: ImportDocument) -> tuple[ImportDocument, bool]:
        """Give the records the sessions that they have behind another file.

        Sessions that are the same at the end of the records as they were are left as stored: the files behind them have
        continued them already.

        Returns:
            What `meta` has about the file then, and whether sessions at its end are new to the files behind it.
        """
        note = before["note"]
        was_whole = self._document.get("begins_with") != _IN_DOUBT
        await self._store.meta.note_import(self._document["_id"], {"begins_with": _IN_DOUBT})
        tracker = SessionTracker(self._source, self._collector, note=note.get("tracker"), instance=self._source.name)
        gaps: dict[ObjectId, Gap] = {}
        sessions: dict[ObjectId, Session] = {}
        last = self._document.get("last") or self._document["first"]
        async for records in self._windows(last):
            await self._place(tracker, records)
            gaps.update((one.key, one) for one in tracker.take_gaps())
            sessions.update((one.key, one) for one in tracker.take_changed())
        made: ArchiverNote = {**self._document["note"], "tracker": tracker.note()}
        end = end_of(self._source, self._collector, made)
        is_new = not (was_whole and state_digest(made) == state_digest(self._document["note"]))
        if is_new:
            sessions.update((one.key, one) for one in end.ended)
        stands = frozenset[ObjectId]() if is_new else end.open_ended
        await self._replace_own("sessions", "since", last, sessions, stands)
        await self._replace_own("gaps", "ts", last, gaps)
        joined: ImportProgress = {
            "note": made,
            "last": end.time,
            "follows": before["_id"],
            "begins_with": state_digest(note),
        }
        await self._store.meta.note_import(self._document["_id"], joined)
        return {**self._document, **joined}, is_new

    async def _place(self, tracker: SessionTracker, records: Sequence[tuple[str, Any]]) -> None:
        """Follow some records, and replace those whose session is another one now."""
        changed: dict[str, list[Any]] = {}
        for name, document in records:
            line = key_line(document["_id"])
            message = self._source.decode(document["raw"]) if name == "rejects" else to_message(document)
            if isinstance(message, Rejection):
                raw = document["raw"]
                tracker.reject(line, self._source.counted(raw, document["size"]), document["reason"])
                continue
            session = tracker.follow(line, message).session
            if name != "rejects" and session != document.get("session"):
                place = Place(document["_id"], document["ts"], self._collector, session)
                changed.setdefault(name, []).append(to_document(message, place))
        for name, documents in changed.items():
            await self._store.replace(name, documents)

    async def _windows(self, last: datetime) -> AsyncIterator[list[tuple[str, Any]]]:
        """All records in their order, with the names of their collections.

        Where nothing is stored, windows become wider: one wrong time in a file may be decades after the others.
        """
        begin, width = self._document["first"], _WINDOW
        while begin <= last:
            found = [
                (name, document)
                for name in _OF_RECORDS
                async for document in self._store.find(name, {"ts": {"$gte": begin, "$lt": begin + width}})
                if self._has(document["_id"])
            ]
            if found and width > _WINDOW:
                width = _WINDOW
                continue
            if found:
                yield sorted(found, key=lambda one: key_line(one[1]["_id"]))
            begin += width
            width = _WINDOW if found else 2 * width

    async def _replace_own(
        self,
        name: str,
        field: str,
        last: datetime,
        made: Mapping[ObjectId, Session] | Mapping[ObjectId, Gap],
        stands: Set[ObjectId] = frozenset(),
    ) -> None:
        """Store sessions or gaps, except what `stands` as it is, and remove those that there were before."""
        await self._store.replace(name, [storable_document(one) for key, one in made.items() if key not in stands])
        await self._remove(name, {one["_id"] for one in await self._own(name, field, last)} - made.keys())

    async def _own(self, name: str, field: str, last: datetime) -> list[Document]:
        """The sessions that began, or the gaps that were found, with one of the records."""
        span = {"$gte": self._document["first"], "$lte": last}
        found = [one async for one in self._store.find(name, {field: span})]
        return [one for one in found if one.get("line", key_line(one["_id"])) in self._lines and self._is_own(one)]

    def _is_own(self, document: Document) -> bool:
        return key_collector(document["_id"]) == self._number

    def _has(self, key: ObjectId) -> bool:
        return key_collector(key) == self._number and key_line(key) in self._lines

    async def _remove(self, name: str, keys: set[ObjectId]) -> None:
        """Remove documents, and the stored tables of sessions, which are stored again for others."""
        for key in keys:
            await self._store.remove(name, {"_id": key})
            if name == "sessions":
                async for table in self._store.find("snapshots", {"session": key}):
                    await self._store.remove("snapshots", {"_id": table["_id"]})
                    await self._store.remove("snapshot_parts", {"snapshot": table["_id"]})
