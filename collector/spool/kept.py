"""Stored segments that are kept for some time, compressed.

`kept/00000000000000104212.jsonl.zst` is one segment (Zstandard with its checksum, RFC 8878: `zstdcat` reads it); its
modification time is the time of the segment's last line. `kept/00000000000000104212.note.json` is the reader's note
before its first line.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import zstandard

from collector.errors import SpoolError
from collector.files import replace, replacing
from collector.spool.position import ReaderNote
from collector.spool.segment import CHUNK_BYTES, Segment, SpooledLine, make_directory

_log = logging.getLogger(__name__)

_NAME = re.compile(r"(\d{20})\.jsonl\.zst")
_DAY = 86_400.0


class KeptSegment(NamedTuple):
    """A segment that was compressed."""

    first: int
    """The number of its first line."""
    path: Path
    size: int
    """In bytes, compressed."""
    last_written: datetime


class Keep:
    """Where stored segments are kept, and for how long.

    Args:
        spool: the spool's directory.
        days: how long a segment is kept after its last line.
    """

    def __init__(self, spool: Path, days: float) -> None:
        self._directory = spool / "kept"
        self._days = days
        make_directory(self._directory)

    def note(self, first: int, note: ReaderNote) -> None:
        """Remember the reader's note before line `first`, the first of a segment."""
        path = _note_path(self._directory, first)
        with _rather_stored_than_kept(path):
            replace(path, json.dumps(note))

    def take(self, segment: Segment) -> None:
        """Compress a segment; the caller removes it."""
        path = self._directory / f"{segment.path.name}.zst"
        with _rather_stored_than_kept(path):
            written = segment.path.stat().st_mtime
            _compress(segment.path, path)
            os.utime(path, (written, written))

    def expire(self) -> None:
        """Remove segments that are too old."""
        oldest = time.time() - self._days * _DAY
        for kept in kept_segments(self._directory.parent):
            if kept.last_written.timestamp() < oldest:
                kept.path.unlink(missing_ok=True)
                _note_path(self._directory, kept.first).unlink(missing_ok=True)


@contextmanager
def _rather_stored_than_kept(path: Path) -> Iterator[None]:
    """Lack of room to keep stored segments must not stop archiving."""
    try:
        yield
    except OSError as error:
        _log.error("a segment cannot be kept: %s: %s", path, error.strerror)


def kept_segments(spool: Path) -> list[KeptSegment]:
    """List the kept segments of a spool, oldest first; empty if none were ever kept."""
    directory = spool / "kept"
    found = []
    for path in directory.iterdir() if directory.is_dir() else ():
        if name := _NAME.fullmatch(path.name):
            facts = path.stat()
            written = datetime.fromtimestamp(facts.st_mtime, UTC)
            found.append(KeptSegment(int(name[1]), path, facts.st_size, written))
    return sorted(found)


def note_ahead_of(segment: KeptSegment) -> ReaderNote:
    """The reader's note before the first line of a kept segment.

    Raises:
        SpoolError: there is none.
    """
    if segment.first == 0:
        return {}
    try:
        found: ReaderNote = json.loads(_note_path(segment.path.parent, segment.first).read_bytes())
    except (OSError, ValueError) as error:
        raise SpoolError(
            f"the state before {segment.path.name} is missing: {error}",
            "start with a later segment (bgpledger spool list; --start)",
        ) from error
    return found


def lines_of(segment: KeptSegment) -> Iterator[SpooledLine]:
    """The lines of a kept segment; a torn last line is given as far as it goes.

    Raises:
        SpoolError: it is damaged.
    """
    number, rest = segment.first, b""
    try:
        with segment.path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
            while chunk := reader.read(CHUNK_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield SpooledLine(number, line)
                    number += 1
    except (OSError, zstandard.ZstdError) as error:
        raise SpoolError(
            f"{segment.path} is damaged after line {number}: {error}", "leave it out (--start, --end)"
        ) from error
    if rest:
        yield SpooledLine(number, rest, torn=True)


def _compress(source: Path, target: Path) -> None:
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    with source.open("rb") as lines, replacing(target, durable=True) as file:
        compressor.copy_stream(lines, file, size=source.stat().st_size)


def _note_path(directory: Path, first: int) -> Path:
    return directory / f"{first:020}.note.json"
