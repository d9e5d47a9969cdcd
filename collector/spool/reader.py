"""Reads a spool."""

from __future__ import annotations

import logging
import os
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from collector.errors import SpoolError
from collector.files import sync_directory
from collector.spool import position as positions
from collector.spool.kept import Keep
from collector.spool.lock import EndLock
from collector.spool.position import DamagedPositionError, Position, ReaderNote
from collector.spool.segment import (
    CHUNK_BYTES,
    CLOSED,
    DAMAGED,
    Segment,
    SpooledLine,
    make_directory,
    path_of,
    segments,
    unusable,
)

_log = logging.getLogger(__name__)


class SpoolReader:
    """The end that the archiver uses: reads from the acknowledged position.

    Not thread-safe. `read` and `acknowledge` wait for the disk (fdatasync, fsync), so an event loop calls them in a
    thread.

    Args:
        directory: created, with its parents, if it does not exist.
        keep: takes finished segments; None: they are removed.

    Raises:
        SpoolError: another process reads from this spool, or the directory cannot be used.
    """

    def __init__(self, directory: Path, *, keep: Keep | None = None) -> None:
        self._directory = directory
        self._keep = keep
        make_directory(directory)
        self._lock = EndLock(directory, "reader")
        self._descriptor = CLOSED
        self._ready: deque[bytes] = deque()
        self._pieces: list[bytes] = []
        self._torn = False
        """Whether the buffered line, the last of its segment, has no newline."""
        self._failure: SpoolError | None = None
        self._outstanding: deque[Position] = deque()
        self._final: Segment | None = None
        positions.reserve(directory)
        try:
            self._done = self._begin()
            self.note: ReaderNote = dict(self._done.note)
            self._line, self._segment, self._offset = self._done.line, self._done.segment, self._done.offset
            self._read_to = self._synced = self._offset
            if path_of(directory, self._segment).exists():
                self._open(self._segment, self._offset)
        except OSError as error:
            self.close()
            raise unusable(directory, error) from error

    @property
    def next_line(self) -> int:
        """The number of the line with which the next `read` starts; at first, the acknowledged position."""
        return self._line

    @property
    def segment(self) -> int:
        """The number of the first line of the segment that was read last."""
        return self._segment

    def read(self, max_lines: int, max_bytes: int) -> list[SpooledLine]:
        """The next complete lines; empty if there are none. Never waits for the writer.

        A batch ends where a segment does, so that a note can be saved for that position.

        Args:
            max_lines: the maximum number of lines.
            max_bytes: their maximum total size; a longer line is returned alone.

        Raises:
            SpoolError: the disk refuses.
        """
        if self._failure is not None:
            raise self._failure
        batch: list[SpooledLine] = []
        room = max_bytes
        try:
            while len(batch) < max_lines and room > 0 and self._more(within=self._segment if batch else None):
                raw = self._ready[0]
                if batch and len(raw) > room:
                    break
                batch.append(SpooledLine(self._line, self._ready.popleft(), self._torn))
                self._torn = False
                self._line += 1
                self._offset += len(raw) + 1
                room -= len(raw)
        except OSError as error:
            # The lines taken so far would be skipped: only a new reader, from the acknowledged position, is safe.
            self._failure = unusable(self._directory, error)
            raise self._failure from error
        # A torn line has no newline to count.
        self._offset = min(self._offset, self._read_to)
        if batch:
            self._outstanding.append(Position(self._line, self._segment, self._offset))
        return batch

    def acknowledge(self, next_line: int, note: ReaderNote) -> None:
        """Acknowledge everything before `next_line`, and save a note with it; finished segments are removed.

        Args:
            next_line: the number after the last line of a batch that `read` returned, or the acknowledged position, to
                change only the note.
            note: the value of `note` after a restart; JSON.

        Raises:
            SpoolError: the disk refuses.
            ValueError: no batch ended there.
        """
        while self._outstanding and self._outstanding[0].line <= next_line:
            self._done = self._outstanding.popleft()
        if self._done.line != next_line:
            raise ValueError(f"no batch ended before line {next_line}")
        found = segments(self._directory)
        home = max([self._done.segment, *(segment.first for segment in found if segment.first <= next_line)])
        offset = self._done.offset if home == self._done.segment else 0
        try:
            positions.save(self._directory, Position(next_line, home, offset, note))
            if self._keep and home == next_line:
                self._keep.note(home, note)
            for segment in found:
                if segment.first < home:
                    self._retire(segment)
        except OSError as error:
            raise unusable(self._directory, error) from error
        self.note = dict(note)

    def close(self) -> None:
        """Stop reading; another process may continue from the acknowledged position."""
        self._close_segment()
        self._lock.release()

    def _begin(self) -> Position:
        """Find the acknowledged position, or the oldest line if it is unusable: reading again does no harm."""
        try:
            done = positions.load(self._directory)
            if done is not None:
                self._check(done)
        except DamagedPositionError as error:
            aside = positions.set_aside(self._directory)
            _log.warning(
                "the spool's position is damaged (%s): moved to %s, reading from the oldest line", error, aside
            )
            done = None
        if done is not None:
            return done
        oldest = next(iter(segments(self._directory)), None)
        return Position(oldest.first, oldest.first, 0) if oldest else Position(0, 0, 0)

    def _check(self, done: Position) -> None:
        path = path_of(self._directory, done.segment)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            if segments(self._directory):
                raise DamagedPositionError(f"{path.name} is gone") from None
            return
        if size < done.offset:
            raise DamagedPositionError(f"{path.name} is shorter than {done.offset} bytes")

    def _more(self, *, within: int | None) -> bool:
        """Buffer at least one line, from this segment or a later one."""
        return bool(self._ready) or (self._fill() and within in (None, self._segment))

    def _fill(self) -> bool:
        """Buffer at least one line; False if there is no complete one yet."""
        while True:
            if self._descriptor == CLOSED:
                following = self._following()
                if following is None:
                    return False
                self._go_to(following)
            chunk = self._chunk()
            if chunk is None:
                continue
            if chunk:
                self._read_to += len(chunk)
                if self._split(chunk):
                    self._sync()
                    return True
            elif self._final is None:
                # The writer starts a successor when this segment is finished: once the successor exists, one more look
                # here is the last one. In the other order, what is written in between would be missed.
                self._final = self._following()
                if self._final is None:
                    return False
            elif self._pieces:
                self._ready.append(b"".join(self._pieces))
                self._pieces, self._torn = [], True
                self._sync()
                return True
            else:
                self._go_to(self._final)

    def _chunk(self) -> bytes | None:
        """Read more; None if the segment is damaged, and reading moved on to the next one."""
        try:
            return os.read(self._descriptor, CHUNK_BYTES)
        except OSError as error:
            following = self._following()
            if error.errno not in DAMAGED or following is None:
                raise
            path = path_of(self._directory, self._segment)
            aside = path.with_name(f"{path.name}.damaged")
            path.rename(aside)
            _log.error("%s cannot be read from line %d on: %s; moved to %s", path, self._line, error.strerror, aside)
            self._pieces = []
            self._go_to(following)
            return None

    def _split(self, chunk: bytes) -> bool:
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if lines:
            self._pieces.append(lines[0])
            lines[0] = b"".join(self._pieces)
            self._pieces = []
            self._ready.extend(lines)
        if rest:
            self._pieces.append(rest)
        return bool(lines)

    def _following(self) -> Segment | None:
        """Find the next segment after the one that is open, or the first when none is."""
        after = -1 if self._descriptor == CLOSED else self._segment
        return next((segment for segment in segments(self._directory) if segment.first > after), None)

    def _go_to(self, segment: Segment) -> None:
        self._close_segment()
        if segment.first != self._line:
            _log.warning("the spool %s has no lines %d to %d", self._directory, self._line, segment.first - 1)
        self._line, self._segment, self._offset = segment.first, segment.first, 0
        self._open(segment.first, 0)

    def _open(self, first: int, offset: int) -> None:
        self._descriptor = os.open(path_of(self._directory, first), os.O_RDONLY | os.O_CLOEXEC)
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        sync_directory(self._directory)
        self._read_to = offset
        self._synced = 0
        self._final = None

    def _sync(self) -> None:
        """Sync what is about to be returned, together with what the writer has added since."""
        if self._read_to > self._synced:
            size = os.fstat(self._descriptor).st_size
            os.fdatasync(self._descriptor)
            self._synced = size

    def _close_segment(self) -> None:
        if self._descriptor != CLOSED:
            os.close(self._descriptor)
            self._descriptor = CLOSED

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _retire(self, segment: Segment) -> None:
        """Dispose of a segment whose every line is acknowledged."""
        if self._keep:
            self._keep.take(segment)
            self._keep.expire()
        segment.path.unlink(missing_ok=True)
        positions.reserve(self._directory)
