"""Opens a spool for writing as the settings say: segment size, sync, limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.settings.keeping import SpoolSettings
from collector.spool.intake import Drop, Intake
from collector.spool.room import Room
from collector.spool.sync import Sync
from collector.spool.writer import SpoolWriter


@contextmanager
def open_intake(
    directory: Path,
    settings: SpoolSettings,
    *,
    start: bytes,
    describe: Callable[[Drop], bytes],
    notices: Callable[[], bytes] = bytes,
) -> Iterator[Intake]:
    """Write to a spool until the block ends.

    Args:
        directory: the spool's; created if it does not exist.
        settings: the settings.
        start: see `Intake`.
        describe: see `Intake`.
        notices: see `Intake`.

    Raises:
        SpoolError: another process writes to this spool, or the directory cannot be used.
    """
    limit = None if settings.limit_mib is None else settings.limit_mib * 2**20
    room = Room(directory, limit=limit, keep_free=settings.keep_free_mib * 2**20)
    sync = Sync(directory, seconds=settings.sync_seconds, size=settings.sync_mib * 2**20)
    with SpoolWriter(directory, segment_bytes=settings.segment_mib * 2**20, sync=sync) as spool:
        yield Intake(spool, room, start=start, notices=notices, describe=describe)
