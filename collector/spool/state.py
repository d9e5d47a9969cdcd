"""Inspects a spool without locking it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from collector.errors import SpoolError
from collector.spool import position as positions
from collector.spool.position import Position
from collector.spool.room import FULL
from collector.spool.segment import measure, path_of, segments, unusable
from schemas.notes import ArchiverNote
from schemas.scalars import spoken


@dataclass(frozen=True, slots=True)
class SpoolState:
    """The state of a spool."""

    read: int
    """Lines ever written to it, counted from the segments, independently of the reader."""
    acknowledged: int
    """Lines that the reader has acknowledged."""
    bytes_waiting: int
    oldest_waiting: bytes | None
    """The first line that is not acknowledged."""
    note: ArchiverNote
    """The archiver's note, saved with its last acknowledgement."""
    acknowledged_at: datetime | None
    """When that was; None if never."""
    full: str | None
    """Since when and why there is no room for more lines; None if there is."""

    @property
    def waiting(self) -> int:
        """Lines written and not acknowledged."""
        return max(self.read - self.acknowledged, 0)


def inspect(directory: Path) -> SpoolState:
    """Inspect a spool, while its reader and writer may be running; takes no lock and writes nothing.

    Raises:
        SpoolError: the directory cannot be read, or changes faster than it can be read.
    """
    for _attempt in range(100):
        try:
            return _look(directory)
        except FileNotFoundError:
            # The reader removed a segment between our two looks: its position has advanced.
            continue
        except OSError as error:
            raise unusable(directory, error) from error
    raise SpoolError(f"the spool {directory} changes faster than it can be read", "try again")


def bytes_waiting(directory: Path) -> int:
    """As in `inspect`, which costs more: it counts the lines.

    Raises:
        SpoolError: the directory cannot be read.
        FileNotFoundError: the reader removed a segment meanwhile.
    """
    done = positions.glance(directory)
    line, offset = (done.segment, done.offset) if done else (0, 0)
    return max(sum(one.path.stat().st_size for one in segments(directory) if one.first >= line) - offset, 0)


def _look(directory: Path) -> SpoolState:
    # In this order: lines written between the two looks count as waiting, and none as acknowledged before it was
    # written.
    acknowledged_at = positions.saved_at(directory)
    done = positions.glance(directory)
    found = segments(directory)
    if not found:
        line = done.line if done else 0
        return SpoolState(line, line, 0, None, _noted(done), acknowledged_at, _full(directory))
    if done is None or all(segment.first != done.segment for segment in found):
        if positions.glance(directory) != done:
            raise FileNotFoundError
        done = Position(found[0].first, found[0].first, 0)
    read = found[-1].first + measure(found[-1].path).newlines
    ahead = [(segment.path, 0) for segment in found if segment.first > done.segment]
    ahead.insert(0, (path_of(directory, done.segment), done.offset))
    bytes_waiting = sum(path.stat().st_size - start for path, start in ahead)
    lines = (_line_at(path, start) for path, start in ahead) if read > done.line else iter(())
    oldest = next((line for line in lines if line is not None), None)
    return SpoolState(read, done.line, max(bytes_waiting, 0), oldest, _noted(done), acknowledged_at, _full(directory))


def _noted(done: Position | None) -> ArchiverNote:
    return cast("ArchiverNote", done.note) if done else {}


def _full(directory: Path) -> str | None:
    path = directory / FULL
    try:
        since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        # A full disk has room for the file's name, but not for its content.
        return f"since {spoken(since)} UTC: {path.read_text() or os.strerror(errno.ENOSPC)}"
    except OSError:
        return None


def _line_at(path: Path, offset: int) -> bytes | None:
    with path.open("rb") as file:
        file.seek(offset)
        line = file.readline()
    return line.removesuffix(b"\n") if line else None
