"""How much of its disk the spool may use."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from collector.spool.segment import segments

FULL = "full"
_LOOK_SECONDS = 1.0
_LOOK_BYTES = 2**20
_MARGIN = 2**20
"""How much extra room is needed before writing resumes, so that it does not stop at the next line."""


class Room:
    """Tells whether there is room for more lines; checks the disk from time to time.

    Args:
        directory: the spool.
        limit: maximum total size of its segments in bytes; None: as much as the disk has.
        keep_free: bytes of the disk to leave for others: the store, if its files are there, and the position.
    """

    def __init__(self, directory: Path, *, limit: int | None = None, keep_free: int = 0) -> None:
        self._directory = directory
        self._limit = limit
        self._keep_free = keep_free
        self._looked = float("-inf")
        self._since = 0

    def shortage(self, size: int, *, again: bool = False) -> str | None:
        """Why another `size` bytes cannot be written; None if they can.

        Args:
            size: number of bytes to write.
            again: check now, and require some more, because there was no room before.
        """
        self._since += size
        now = time.monotonic()
        if not again and self._since < _LOOK_BYTES and now - self._looked < _LOOK_SECONDS:
            return None
        self._looked, self._since = now, 0
        return self._look(size + (_MARGIN if again else 0))

    def mark(self, reason: str) -> None:
        """Record for other processes that there is no room: since when, and why."""
        with suppress(OSError):
            descriptor = os.open(self._directory / FULL, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(reason)

    def clear(self) -> None:
        """Remove that record."""
        with suppress(OSError):
            (self._directory / FULL).unlink(missing_ok=True)

    def _look(self, size: int) -> str | None:
        disk = os.statvfs(self._directory)
        free = disk.f_bavail * disk.f_frsize
        if free < self._keep_free + size:
            kept = f", and spool.keep_free_mib leaves {self._keep_free >> 20} to others" if self._keep_free else ""
            return f"{free >> 20} MiB are free on the disk{kept}"
        if self._limit is not None:
            used = spooled_bytes(self._directory)
            if used + size > self._limit:
                return f"the spool has {used >> 20} MiB, of {self._limit >> 20} that spool.limit_mib allows"
        return None


def spooled_bytes(directory: Path) -> int:
    """Bytes of all segments that have not been removed yet."""
    total = 0
    for segment in segments(directory):
        try:
            total += segment.path.stat().st_size
        except FileNotFoundError:
            continue
    return total
