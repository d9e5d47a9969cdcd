"""Imports files of MRT records straight into the archive, each exactly once, even if an import is interrupted.

A file is identified by its bytes. It has its own number, which is part of its records' keys: read again, they get the
same keys. Its progress, and the state of the sessions, are recorded in `meta` after documents are stored. A file of
messages that begins with all bytes of an imported one is that file, grown: it continues with that one's number.

Sessions continue from one file to the next if the files are consecutive, in whatever order these are imported (see
`joining`); otherwise they end, for unknown reasons.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bson import ObjectId

from collector.archive.archiver import Archiver, check_schema
from collector.archive.batches import storable_document
from collector.archive.digests import digests_of
from collector.archive.file_records import FileRecords, OpenFile
from collector.archive.followed_files import end_of, first_line, preceding, state_digest
from collector.archive.imported import Imported
from collector.archive.joining import join_following, join_preceding
from collector.archive.selection import Selection
from collector.bgp import mrt
from collector.bgp.mrt_header import is_of_table
from collector.errors import ImportFileError, StoreUnavailableError
from collector.sources.source import Source
from collector.spool.segment import SpooledLine
from collector.store.mongo import Store
from schemas.documents import Place
from schemas.keys import collector_number, instance_name, key_collector
from schemas.meta import ImportDocument, ImportFacts, ImportProgress
from schemas.notes import ArchiverNote
from schemas.stored import RejectDocument


class _FileArchiver(Archiver):
    """An archiver of one file."""

    def __init__(self, records: FileRecords, store: Store, *, key: str, source: Source, collector: str) -> None:
        super().__init__(records, store, source=source, collector=collector, instance=source.name)
        self._file = records
        self._key = key

    async def store_all(self, on_read: Callable[[int], None]) -> None:
        self.stop()
        self._on_read = on_read
        await self.run()

    def _reject(self, line: SpooledLine, place: Place, reason: str) -> RejectDocument:
        return {**super()._reject(line, place, reason), "offset": self._file.offset(line.number)}

    async def _acknowledge(self, point: Any) -> None:
        await super()._acknowledge(point)
        await self._store.meta.note_import(self._key, {"next_line": self._file.reached, "note": self._file.note})
        self._on_read(self._file.read_bytes)


class FileImporter(ABC):
    """Imports files of one kind under one collector's name.

    Args:
        store: the archive, open for writing.
        source: the source of the files' records.
        collector: the name in every document.
        selection: which records, or tables.
        open_file: opens each file.
    """

    def __init__(
        self,
        store: Store,
        *,
        source: Source,
        collector: str,
        selection: Selection,
        open_file: OpenFile = mrt.MrtFile,
    ) -> None:
        self._store = store
        self._source = source
        self._collector = collector
        self._selection = selection
        self._open = open_file

    async def take(self, path: Path, on_read: Callable[[int], None] = lambda _: None) -> Imported:
        """Import one file, or the rest of it.

        Args:
            path: the file.
            on_read: called with the number of bytes of it processed so far.

        Raises:
            ImportFileError: it was imported with another selection, or is a capture that has grown since.
            ReplayError: it cannot be read, or is not an MRT file.
            StoreError: the store does not answer; what is stored stays, and the next import continues there.
        """
        began = time.monotonic()
        result = Imported(path)
        first = next(self._open(path, lambda _: None).frames())
        document, result.grown = await self._begin(path, first)
        result.key, result.first = document["_id"], document["first"]
        result.was_imported, result.tables_are_stored = document["done"], "tables_are_stored" in document
        if result.was_imported:
            if document.get("joined") is False:  # that import was interrupted there
                await self._join(document["_id"], again=True)
            return result
        await self._store_file(path, document, result, on_read)
        result.seconds = time.monotonic() - began
        return result

    async def _begin(self, path: Path, first: mrt.Frame) -> tuple[ImportDocument, bool]:
        """Record that a file, with its first record, is being imported.

        Returns:
            The stored facts, perhaps earlier ones, and whether they continue those of the file when it was shorter.
        """
        await self._store.prepare()
        await check_schema(self._store, self._source)
        facts: ImportFacts = {
            "file": path.name,
            "size": path.stat().st_size,  # noqa: ASYNC240  # at the start
            "source": self._source.name,
            "selection": self._selection.as_document(),
            "first": datetime.fromtimestamp(int.from_bytes(first.raw[:4]), UTC),
            "done": False,
        }
        shorter: list[ImportDocument] = []
        if is_of_table(first.raw):
            facts["dump"] = True  # if it has grown, its tables are stored anew: they lacked routes
        else:
            shorter = await self._store.meta.shorter_imports(self._collector, facts)
        digests = digests_of(path, {facts["size"], *(one["size"] for one in shorter)})
        grown = [one for one in shorter if one["_id"].endswith(digests[one["size"]])]
        if grown and self._open is not mrt.MrtFile:  # how a capture is read depends on all that is in it
            raise ImportFileError(
                f"{path} is a capture that has grown since it was imported as {self._collector}",
                "import it under another name (--collector); or capture into one file after another (tcpdump -G)",
            )
        longest = max(grown, key=lambda one: one["size"], default=None)
        if longest:
            self._check_selection(path, longest)
        document = await self._store.meta.begin_import(self._collector, digests[facts["size"]], facts, longest)
        self._check_selection(path, document)
        return document, longest is not None

    def _check_selection(self, path: Path, document: ImportDocument) -> None:
        if document["selection"] != self._selection.as_document():
            raise ImportFileError(
                f"{path} was imported as {self._collector} already, with other --start, --end or --peer",
                "import it under another name (--collector)",
            )

    async def _join(self, key: str, *, again: bool) -> int:
        """Join the sessions of a file with those of other files; returns how many files behind it are concerned."""
        (document,) = [one for one in await self._store.meta.imports(self._collector) if one["_id"] == key]
        document = await join_preceding(self._store, self._source, document)
        joined = await join_following(self._store, self._source, document, again=again)
        await self._store.meta.note_import(key, {"joined": True})
        return joined

    @abstractmethod
    async def _store_file(
        self, path: Path, document: ImportDocument, result: Imported, on_read: Callable[[int], None]
    ) -> None:
        """Store what is left of a file, and note that it is done.

        Args:
            path: the file.
            document: what `meta` says about it.
            result: gets the result.
            on_read: called with the number of bytes of it processed so far.
        """


class Importer(FileImporter):
    """Imports files of messages."""

    async def _store_file(
        self, path: Path, document: ImportDocument, result: Imported, on_read: Callable[[int], None]
    ) -> None:
        records = FileRecords(
            path, self._open, first_line(document), self._selection, document.get("next_line", 0), result
        )
        if "note" in document:
            records.note = document["note"]
        else:
            before_it = await self._note_before(document)
            records.note = {**before_it, "stored": 0, "rejected": 0, "refused": 0}
        before = records.note.get("rejected", 0)
        result.continued = "note" in document
        importer = _FileArchiver(
            records, self._store, key=document["_id"], source=self._source, collector=self._collector
        )
        await importer.store_all(on_read)
        if result.records and records.note.get("stored", 0) + records.note.get("rejected", 0) < result.records:
            raise StoreUnavailableError(
                f"the store at {self._store.shown_uri} became unavailable before everything was stored",
                "import again when it is back",
            )
        result.rejected = records.note.get("rejected", 0) - before
        end = end_of(self._source, self._collector, records.note)
        await self._store.replace("sessions", [storable_document(session) for session in end.ended])
        done: ImportProgress = {"done": True, "last": end.time, "note": records.note, "joined": False}
        await self._store.meta.note_import(document["_id"], done)
        result.joined = await self._join(document["_id"], again=False)

    async def _note_before(self, document: ImportDocument) -> ArchiverNote:
        """The state of the sessions at the end of the file that this one follows; if it follows none, only its time.

        Without that, a reject at the beginning would have none.
        """
        before = await preceding(self._store, document)
        if before is None:
            return {"tracker": {"last_ts": document["first"].isoformat()}}
        follows: ImportProgress = {"follows": before["_id"], "begins_with": state_digest(before["note"])}
        await self._store.meta.note_import(document["_id"], follows)
        return before["note"]


async def sessions_since(store: Store, collector: str, source: Source, since: datetime) -> list[ObjectId]:
    """The sessions of imported files that overlap a time, or are newer."""
    number = collector_number(instance_name(collector, source.name))
    found = store.find("sessions", {"until": {"$gte": since}}, fields=("since",), sort=(("until", 1), ("_id", 1)))
    return [one["_id"] async for one in found if key_collector(one["_id"]) == number]
