"""Locks: one writer and one reader for each spool."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from collector.errors import SpoolError
from collector.spool.segment import unusable


class EndLock:
    """Locks one end of the spool until this process ends, however it ends.

    Args:
        directory: the spool.
        end: `writer` or `reader`; the lock file is named after it and holds the owner's pid.
        patience: seconds to wait for another process that is about to end.

    Raises:
        SpoolError: another process holds it, or the file cannot be written.
    """

    def __init__(self, directory: Path, end: str, *, patience: float = 0.0) -> None:
        path = directory / f"{end}.lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unusable(path, error) from error
        deadline = time.monotonic() + patience
        while not self._try():
            if time.monotonic() >= deadline:
                owner = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip()
                os.close(self._descriptor)
                raise SpoolError(
                    f"the spool {directory} already has a {end}: process {owner}",
                    f"end that process (kill {owner}), or give this collector a --data-dir of its own",
                )
            time.sleep(0.02)
        with suppress(OSError):  # a full disk has no room for the pid, which is no reason to stop
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)
