"""The wanted records of a file, read in its order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from collector.archive.imported import Imported
from collector.archive.selection import Selection
from collector.bgp import mrt
from collector.bgp.mrt_header import describe_type, is_of_session, type_of
from collector.errors import ImportFileError
from collector.sources.source import Rejection, Source
from collector.spool.framing import frame, unframe
from collector.spool.segment import SpooledLine
from schemas.keys import FILE_RECORD_BITS
from schemas.notes import ArchiverNote

_CHUNK = 2**20
_AT_ONCE = 1000


class RecordFile(Protocol):
    """A file as MRT records, which are the same each time that it is read."""

    def frames(self) -> Iterator[mrt.Frame]:
        """Its records, in order; see `mrt.MrtFile.frames`."""


OpenFile = Callable[[Path, Callable[[int], None]], RecordFile]
"""Opens a file; its second argument is called with the number of bytes of the file read so far."""


class FileRecords:
    """The wanted records of a file, for the archiver to read like lines of a spool.

    Args:
        path: the file.
        open_file: opens it.
        first: the line number of its first record.
        selection: which records are wanted.
        begin: the line number to begin with, if the records before it are stored.
        result: gets the counts of what is read, and why it ends early.
    """

    def __init__(
        self, path: Path, open_file: OpenFile, first: int, selection: Selection, begin: int, result: Imported
    ) -> None:
        self.note: ArchiverNote = {}
        """What the archiver has to remember; see `acknowledge`."""
        self.segment = first
        self.read_bytes = 0
        """How many bytes of the file have been read."""
        self.reached = begin
        """The line number behind the last acknowledged record."""
        self._result = result
        self._selection = selection
        self._begin = begin
        self._offsets: dict[int, int] = {}
        self._records = self._wanted(open_file(path, self._on_read))

    def _on_read(self, size: int) -> None:
        self.read_bytes = size

    def _wanted(self, file: RecordFile) -> Iterator[SpooledLine]:
        try:
            for found in file.frames():
                if found.record >= 1 << FILE_RECORD_BITS:
                    raise ImportFileError(f"the file has more than {1 << FILE_RECORD_BITS} records", "split it")
                line = self.segment + found.record
                if not is_of_session(found.raw):
                    name = describe_type(type_of(found.raw))
                    self._result.others[name] = self._result.others.get(name, 0) + 1
                elif not self._selection.takes(found.raw):
                    self._result.left_out += 1
                elif line >= self._begin:
                    self._offsets[line] = found.offset
                    yield SpooledLine(line, frame(found.raw)[:-1])
        except mrt.CutError as fault:
            self._result.fault = fault

    def read(self, max_lines: int, max_bytes: int) -> list[SpooledLine]:
        """The next records, framed; none at the end of the file, and where it is damaged (`Imported.fault`)."""
        batch: list[SpooledLine] = []
        size = 0
        while len(batch) < max_lines and size < max_bytes and (line := next(self._records, None)) is not None:
            batch.append(line)
            size += len(line.raw)
        self._result.records += len(batch)
        return batch

    def acknowledge(self, next_line: int, note: ArchiverNote) -> None:
        """All records before this line number are stored."""
        self.note, self.reached = note, next_line
        self._offsets = {line: offset for line, offset in self._offsets.items() if line >= next_line}

    def offset(self, line: int) -> int:
        """Where an unacknowledged record begins in the uncompressed file, in bytes."""
        return self._offsets[line]


def look_through(path: Path, source: Source, selection: Selection, open_file: OpenFile = mrt.MrtFile) -> Imported:
    """What an import of a file would give, without a store.

    Raises:
        ReplayError: it cannot be read, or is not an MRT file.
    """
    result = Imported(path)
    began = time.monotonic()
    records = FileRecords(path, open_file, 0, selection, 0, result)
    while batch := records.read(_AT_ONCE, _CHUNK):
        for line in batch:
            if isinstance(decoded := source.decode(unframe(line.raw)), Rejection):
                result.rejected += 1
                result.reasons[decoded.reason] += 1
    result.seconds = time.monotonic() - began
    return result
