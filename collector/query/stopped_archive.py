"""The archive of a collector that does not run: its embedded store is started for a query, and stopped afterwards.

Only one process at a time may use the store: a query locks `store.lock`, so that others wait. A collector does not wait
long: it ends a query's store, so that the query fails, and starts.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pwd
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from collector.errors import StoreError
from collector.query.running import find_running
from collector.store import embedded
from collector.store.embedded_process import give_to_owner

_LOCK = "store.lock"
_GLANCE = 0.1
_SILENT_SECONDS = 1.0
"""Seconds after which a query says why it has not started."""
_COLLECTOR_WAITS = 5.0


def has_store(data_dir: Path) -> bool:
    """Whether there is an embedded store here.

    Raises:
        StoreError: this user may not look there, or may not open it.
    """
    try:
        there = (data_dir / "store").is_dir()
    except PermissionError:
        there = True
    if there and not all(os.access(place, os.R_OK | os.W_OK | os.X_OK) for place in (data_dir, data_dir / "store")):
        raise _not_ours(data_dir)
    return there


def _not_ours(data_dir: Path) -> StoreError:
    try:
        there = data_dir.stat()
    except PermissionError:
        return StoreError(f"the archive in {data_dir} is another user's", "ask as the collector's user, or as root")
    if there.st_uid == os.geteuid() or os.geteuid() == 0:
        return StoreError(
            f"the archive in {data_dir} cannot be opened: it is read-only",
            "make it writable (reading it starts its store), or copy it and name the copy with --data-dir",
        )
    try:
        owner = pwd.getpwuid(there.st_uid).pw_name
    except KeyError:
        owner = f"#{there.st_uid}"
    return StoreError(
        f"the archive in {data_dir} is that of {owner}, and this user may not open it",
        f"ask as {owner} (sudo -u {owner} bgpledger ..), or as root",
    )


@asynccontextmanager
async def opened(data_dir: Path, program: str | None) -> AsyncIterator[str]:
    """The URI of the store, which runs during a query.

    Args:
        data_dir: the collector's data directory.
        program: the server's program, as in `mongodb.embedded`.

    Raises:
        StoreError: it does not start.
    """
    telling = asyncio.create_task(_tell(data_dir))
    lock = _open_lock(data_dir)
    try:
        while not _try(lock):
            await asyncio.sleep(_GLANCE)
            if (running := find_running(data_dir)) and running.mongodb_uri:  # a collector was faster
                telling.cancel()
                yield running.mongodb_uri
                return
        store = await embedded.start(data_dir, program)
        telling.cancel()
        try:
            yield store.address
        finally:
            await store.stop()
    finally:
        telling.cancel()
        os.close(lock)


async def _tell(data_dir: Path) -> None:
    await asyncio.sleep(_SILENT_SECONDS)
    sys.stderr.write(f"no collector runs on {data_dir}: opening its archive for this command\n")


@asynccontextmanager
async def taken_over(data_dir: Path) -> AsyncIterator[None]:
    """For a collector: during the block no query uses the store, and none starts it."""
    lock = _open_lock(data_dir)
    try:
        for _glance in range(int(_COLLECTOR_WAITS / _GLANCE)):
            if _try(lock):
                break
            await asyncio.sleep(_GLANCE)
        else:
            await asyncio.to_thread(embedded.end, data_dir)
            # even if the ended query holds the lock a little longer, no other query gets it: those find the collector
            # first
            _try(lock)
        yield
    finally:
        os.close(lock)


def _open_lock(data_dir: Path) -> int:
    lock = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    give_to_owner(data_dir / _LOCK, data_dir)
    return lock


def _try(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
