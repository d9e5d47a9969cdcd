"""Writes a spool."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from collector.errors import SpoolError
from collector.spool import position as positions
from collector.spool.lock import EndLock
from collector.spool.segment import CLOSED, DAMAGED, Extent, make_directory, measure, path_of, segments, unusable
from collector.spool.sync import Sync

_log = logging.getLogger(__name__)


class UnwrittenError(SpoolError):
    """Only part of the data was written.

    Attributes:
        written: the number of bytes that are in the spool.
        reason: the system's error message.
    """

    def __init__(self, path: Path, error: OSError, written: int) -> None:
        self.written = written
        self.reason = error.strerror or str(error)
        super().__init__(
            f"the spool cannot be written: {path}: {self.reason}", "make room on that disk, or see why it refuses"
        )


class SpoolWriter:
    """The end that `receive` uses: appends bytes, and starts new segments at line ends.

    Args:
        directory: created, with its parents, if it does not exist.
        segment_bytes: a segment ends with the line that reaches this size.
        sync: when bytes are synced to disk; by default the system decides.

    Raises:
        SpoolError: another process writes to this spool, or the directory cannot be used.
    """

    def __init__(self, directory: Path, *, segment_bytes: int = 64 * 2**20, sync: Sync | None = None) -> None:
        self._directory = directory
        self._sync = sync
        self._segment_bytes = segment_bytes
        make_directory(directory)
        # The helper of a killed ExaBGP may still be emptying its pipe.
        self._lock = EndLock(directory, "writer", patience=2.0)
        self._descriptor = CLOSED
        self._next = self._size = 0
        self._torn = False
        try:
            self._find_end()
        except OSError as error:
            self._lock.release()
            raise unusable(directory, error) from error

    def write(self, data: bytes) -> None:
        """Append bytes, cut anywhere; all are written when this returns.

        Raises:
            UnwrittenError: the disk is full, or the write fails for another reason.
        """
        done = 0
        try:
            while done < len(data):
                if self._descriptor == CLOSED or (self._size >= self._segment_bytes and not self._torn):
                    self._begin_segment()
                # The line with which this segment reaches its size is its last.
                newline = data.find(b"\n", done + max(self._segment_bytes - self._size - 1, 0))
                done += self._append(memoryview(data)[done : newline + 1 or len(data)])
        except OSError as error:
            raise UnwrittenError(self._directory, error, done) from error
        if self._sync and data:
            self._sync.written(self._descriptor, len(data))

    def leave_torn(self) -> None:
        """Never append to an unfinished line, whose rest is lost; it counts as a line."""
        if self._torn:
            self._close_segment()
            self._next += 1
            self._torn = False

    def close(self) -> None:
        """Stop writing; another process may start."""
        self._close_segment()
        self._lock.release()

    def _find_end(self) -> None:
        """Continue where the last writer stopped; a torn line is not touched, and counts as one."""
        found = segments(self._directory)
        if found:
            last = found[-1]
            try:
                extent = measure(last.path)
            except OSError as error:
                if error.errno not in DAMAGED:
                    raise
                # It never had more lines than bytes: this way none of their numbers is used twice.
                extent = Extent(last.path.stat().st_size, 0, torn=True)
                _log.error("%s cannot be read: %s; writing another one", last.path, error.strerror)
            self._next = last.first + extent.newlines + extent.torn
            if not extent.torn:
                self._descriptor = os.open(last.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
                self._size = extent.size
        done = positions.glance(self._directory)
        if done is not None and done.line > self._next:
            # Somebody removed segments by hand. Their numbers are taken: MongoDB has documents with them.
            _log.warning("the spool %s ends before the line %d that was acknowledged", self._directory, done.line)
            self._next = done.line
            self._close_segment()

    def _begin_segment(self) -> None:
        self._close_segment()
        path = path_of(self._directory, self._next)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._size = 0

    def _close_segment(self) -> None:
        if self._descriptor != CLOSED:
            if self._sync:
                self._sync.close(self._descriptor)
            else:
                os.close(self._descriptor)
            self._descriptor = CLOSED

    def _append(self, data: memoryview) -> int:
        """Write once; returns how many bytes were written."""
        written = os.write(self._descriptor, data)
        part = bytes(data[:written])
        self._next += part.count(b"\n")
        self._size += written
        self._torn = not part.endswith(b"\n")
        return written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
