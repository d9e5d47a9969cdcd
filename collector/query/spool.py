"""The segments of a spool."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from collector.spool.kept import kept_segments
from collector.spool.segment import measure, segments
from schemas.status import SpoolSegment


def spool_segments(spool: Path) -> Iterator[SpoolSegment]:
    """All segments, oldest first: those that are kept, then those that are not completely stored.

    Raises:
        SpoolError: the directory cannot be read.
    """
    waiting = segments(spool)
    kept = kept_segments(spool)
    starts = [*(segment.first for segment in kept), *(segment.first for segment in waiting)]
    following = dict(pairwise(starts))
    for done in kept:
        lines = following[done.first] - done.first if done.first in following else None
        yield SpoolSegment(
            state="kept", first=done.first, lines=lines, bytes=done.size, last_written=done.last_written, path=done.path
        )
    for segment in waiting:
        try:
            facts, extent = segment.path.stat(), measure(segment.path)
        except FileNotFoundError:  # finished meanwhile
            continue
        yield SpoolSegment(
            state="waiting" if segment.first in following else "open",
            first=segment.first,
            lines=extent.newlines + extent.torn,
            bytes=extent.size,
            last_written=datetime.fromtimestamp(facts.st_mtime, UTC),
            path=segment.path,
        )
