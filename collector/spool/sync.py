"""When the spool is synced to disk, which bounds how much a power loss can cost."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from collector.files import sync_directory
from collector.spool.segment import CLOSED

_log = logging.getLogger(__name__)


class Sync:
    """Syncs written bytes to disk after a time or a size, whichever comes first, in a thread.

    The archiver syncs what it reads before it stores it. But while the store is unavailable it does not read, and only
    this class bounds what a power loss costs.

    Args:
        directory: the spool.
        seconds: the maximum time that a byte stays unsynced; 0: each write waits until it is on disk.
        size: the maximum number of unsynced bytes; the write that reaches it waits until they are on disk.
    """

    def __init__(self, directory: Path, *, seconds: float, size: int) -> None:
        self._directory = directory
        self._seconds = seconds
        self._size = size
        self._guard = threading.Lock()
        self._descriptor = CLOSED
        self._waiting = 0
        if seconds > 0:
            threading.Thread(target=self._now_and_then, name="spool sync", daemon=True).start()

    def written(self, descriptor: int, size: int) -> None:
        """Record a write to the newest segment."""
        with self._guard:
            fresh = self._descriptor != descriptor
            self._descriptor = descriptor
            self._waiting += size
            full = self._seconds == 0 or self._waiting >= self._size
        if fresh:
            _attempt(partial(sync_directory, self._directory))
        if full:
            self._flush()

    def close(self, descriptor: int) -> None:
        """Sync a segment to disk and close it."""
        self._flush()
        with self._guard:
            self._descriptor = CLOSED
            os.close(descriptor)

    def _now_and_then(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(self._seconds)
            self._flush()

    def _flush(self) -> None:
        with self._guard:
            if not self._waiting or self._descriptor == CLOSED:
                return
            # Our own descriptor, so that the writer need not wait for the disk to close its segment.
            descriptor = os.dup(self._descriptor)
            self._waiting = 0
        try:
            _attempt(partial(os.fdatasync, descriptor))
        finally:
            os.close(descriptor)


def _attempt(work: Callable[[], None]) -> None:
    try:
        work()
    except OSError as error:
        _log.error("the disk of the spool fails: %s", error.strerror)
