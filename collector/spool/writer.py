"""The spool's write end."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from collector.errors import SpoolError
from collector.spool import position as positions
from collector.spool.lock import EndLock
from collector.spool.segment import CLOSED, make_directory, measure, path_of, segments, unusable

_log = logging.getLogger(__name__)


class SpoolWriter:
    """The end that `receive` holds: appends bytes, and begins a new segment where a line ends.

    Args:
        directory: made, with its parents, when it is not there.
        segment_bytes: a segment ends with the line that reaches this size.

    Raises:
        SpoolError: another process writes to this spool, or the directory cannot be used.
    """

    def __init__(self, directory: Path, *, segment_bytes: int = 64 * 2**20) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        make_directory(directory)
        # The helper of an ExaBGP that was killed may still be emptying its pipe.
        self._lock = EndLock(directory, "writer", patience=2.0)
        self._descriptor = CLOSED
        try:
            self._find_end()
        except OSError as error:
            self._lock.release()
            raise unusable(directory, error) from error

    def write(self, data: bytes) -> None:
        """Append bytes, cut as it pleases the caller; the system has them all when this returns.

        Raises:
            SpoolError: the disk is full, or refuses for another reason.
        """
        start = 0
        while start < len(data):
            if self._descriptor == CLOSED or (self._size >= self._segment_bytes and not self._torn):
                self._begin_segment()
            # The line in which this segment reaches its size is the last one of it.
            newline = data.find(b"\n", start + max(self._segment_bytes - self._size - 1, 0))
            end = newline + 1 or len(data)
            self._append(memoryview(data)[start:end])
            start = end

    def close(self) -> None:
        """End writing; another process may begin."""
        if self._descriptor != CLOSED:
            os.close(self._descriptor)
            self._descriptor = CLOSED
        self._lock.release()

    def _find_end(self) -> None:
        """Go on where the last writer stopped; never touch a torn line, but let it count as one."""
        self._next = self._size = 0
        self._torn = False
        found = segments(self._directory)
        if found:
            last = found[-1]
            extent = measure(last.path)
            self._next = last.first + extent.newlines + extent.torn
            if not extent.torn:
                self._descriptor = os.open(last.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
                self._size = extent.size
        done = positions.glance(self._directory)
        if done is not None and done.line > self._next:
            # Somebody removed segments by hand. Their numbers are taken: MongoDB has documents under them.
            _log.warning("the spool %s ends before the line %d that was acknowledged", self._directory, done.line)
            self._next = done.line
            self._close_segment()

    def _begin_segment(self) -> None:
        self._close_segment()
        path = path_of(self._directory, self._next)
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritten(path, error) from error
        self._size = 0

    def _close_segment(self) -> None:
        if self._descriptor != CLOSED:
            os.close(self._descriptor)
            self._descriptor = CLOSED

    def _append(self, data: memoryview) -> None:
        while data:
            try:
                written = os.write(self._descriptor, data)
            except OSError as error:
                raise _unwritten(self._directory, error) from error
            part = bytes(data[:written])
            self._next += part.count(b"\n")
            self._size += written
            self._torn = not part.endswith(b"\n")
            data = data[written:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _unwritten(path: Path, error: OSError) -> SpoolError:
    return SpoolError(
        f"the spool cannot be written: {path}: {error.strerror}", "make room on that disk, or see why it refuses"
    )
