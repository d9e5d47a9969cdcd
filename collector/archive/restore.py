"""Archives kept segments again, to restore what a database lost or to fill another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import cast

from bson import ObjectId

from collector.archive.archiver import Archiver
from collector.errors import StoreUnavailableError
from collector.sources.source import Source
from collector.spool.kept import KeptSegment, lines_of, note_ahead_of
from collector.spool.segment import SpooledLine
from collector.store.mongo import Store
from schemas.notes import ArchiverNote
from schemas.stored import SessionDocument


class _KeptLines:
    """The lines of kept segments, for the archiver to read like those of a spool; they need no acknowledgement."""

    def __init__(self, segments: Sequence[KeptSegment]) -> None:
        before = cast("ArchiverNote", note_ahead_of(segments[0]))
        self.note: ArchiverNote = {**before, "stored": 0, "rejected": 0}
        self.count = 0
        self.segment = segments[0].first
        self._lines = self._of(segments)

    @staticmethod
    def _of(segments: Sequence[KeptSegment]) -> Iterator[SpooledLine]:
        for segment in segments:
            yield from lines_of(segment)

    def read(self, max_lines: int, max_bytes: int) -> list[SpooledLine]:
        batch, size = [], 0
        for line in islice(self._lines, max_lines):
            batch.append(line)
            size += len(line.raw)
            if size >= max_bytes:
                break
        self.count += len(batch)
        return batch

    def acknowledge(self, _next_line: int, note: ArchiverNote) -> None:
        self.note = note


class _Restorer(Archiver):
    """An archiver that never changes an existing session, which may have continued since."""

    def __init__(
        self, lines: _KeptLines, store: Store, *, source: Source, collector: str, ranges: Sequence[str], instance: str
    ) -> None:
        super().__init__(lines, store, source=source, collector=collector, ranges=ranges, instance=instance)
        self._changed: dict[ObjectId, SessionDocument] = {}

    async def _store_sessions(self, sessions: Sequence[SessionDocument]) -> None:
        self._changed.update((session["_id"], session) for session in sessions)

    async def restore(self) -> None:
        self.stop()
        await self.run()
        if self._changed:
            await self._store.insert("sessions", list(self._changed.values()))


async def restore(
    segments: Sequence[KeptSegment],
    store: Store,
    *,
    source: Source,
    collector: str,
    ranges: Sequence[str],
    instance: str = "",
) -> int:
    """Archive kept segments again; existing documents stay as they are.

    Args:
        segments: without a gap between them, oldest first.
        store: the store to write to.
        source: where their lines come from.
        collector: the name under which the lines were archived first; with the same name they become the same
            documents.
        ranges: the peer ranges that were configured then.
        instance: which of the collector's spools they are from.

    Returns:
        The number of lines.

    Raises:
        SpoolError: a segment is damaged, or the note before the first one is missing.
        StoreError: the store does not answer.
    """
    lines = _KeptLines(segments)
    await _Restorer(lines, store, source=source, collector=collector, ranges=ranges, instance=instance).restore()
    if lines.note["stored"] + lines.note["rejected"] != lines.count:
        raise StoreUnavailableError(
            f"the store at {store.shown_uri} became unavailable before everything was stored",
            "run it again when the store is back; nothing is stored twice",
        )
    return lines.count
