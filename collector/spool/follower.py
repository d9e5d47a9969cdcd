"""Reads a spool's lines as they arrive, beside its reader, and acknowledges none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from collector.spool.segment import CHUNK_BYTES, CLOSED, path_of, segments


class FollowedTo(NamedTuple):
    """Everything before this has been read."""

    segment: int
    offset: int
    """In bytes."""


class Follower:
    """Reads from a position; if its segment is gone, from the oldest existing one.

    Args:
        directory: the spool; it need not exist yet.
        start: a value of `position`; None: only what is written from now on.

    Raises:
        SpoolError: the directory cannot be read.
    """

    def __init__(self, directory: Path, start: FollowedTo | None = None) -> None:
        self._directory = directory
        self._descriptor = CLOSED
        self._rest = b""
        found = segments(directory)
        if start is None and found:
            start = FollowedTo(found[-1].first, found[-1].path.stat().st_size)
        self._segment, self._offset = start or FollowedTo(-1, 0)

    @property
    def position(self) -> FollowedTo:
        """The position after the last complete line that was read."""
        return FollowedTo(self._segment, self._offset - len(self._rest))

    def read(self) -> list[bytes]:
        """The next complete lines, at most 1 MiB; empty if there are none.

        Raises:
            OSError: the disk refuses.
            SpoolError: likewise.
        """
        if self._descriptor == CLOSED and not self._open():
            return []
        chunk = os.read(self._descriptor, CHUNK_BYTES)
        if not chunk:
            # Looked for first: a successor may appear while the end of this segment is read.
            following = next((one.first for one in segments(self._directory) if one.first > self._segment), None)
            chunk = os.read(self._descriptor, CHUNK_BYTES) if following is not None else b""
            if following is not None and not chunk:
                self._leave(following)
        self._offset += len(chunk)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return lines

    def close(self) -> None:
        """Stop reading."""
        if self._descriptor != CLOSED:
            os.close(self._descriptor)
            self._descriptor = CLOSED

    def _leave(self, segment: int) -> None:
        self.close()
        self._segment, self._offset, self._rest = segment, 0, b""

    def _open(self) -> bool:
        found = segments(self._directory)
        if not found:
            return False
        if all(one.first != self._segment for one in found):
            self._leave(next((one.first for one in found if one.first > self._segment), found[-1].first))
        try:
            self._descriptor = os.open(path_of(self._directory, self._segment), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # it was removed just now
            return False
        os.lseek(self._descriptor, self._offset, os.SEEK_SET)
        return True
