"""The archive of a collector that does not run: its embedded store is started for a command, and stopped afterwards.

A command that starts the store locks `store.lock`; others wait until it has ended. One that may run for hours shares
its store instead: `store.shared` has the address while it runs. Others lock this file while they use the store, and
the command waits a little for them before it ends. A collector does not wait long: it ends a command's store, so that
the command fails, and starts.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pwd
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from collector.errors import StoreError
from collector.local_server import is_locked
from collector.query.running import find_running
from collector.spool.segment import make_directory
from collector.store import embedded
from collector.store.embedded_process import give_to_owner, write_owned
from schemas.keys import collector_number

_LOCK = "store.lock"
_SHARED = "store.shared"
_IMPORTING = "import.lock"
_GLANCE = 0.1
_SILENT_SECONDS = 1.0
"""Seconds after which a command says why it has not started."""
_WAIT_FOR_OTHERS = 5.0
"""How long a collector waits for a command, and a command that ends for those that use its store, in seconds."""


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
async def opened(data_dir: Path, program: str | None, *, share: bool = False) -> AsyncIterator[str]:
    """The URI of the store, which runs during a command.

    Args:
        data_dir: the collector's data directory.
        program: the server's program, as in `mongodb.embedded`.
        share: let other commands use the store meanwhile, rather than wait.

    Raises:
        StoreError: it does not start.
    """
    telling = asyncio.create_task(_tell(f"another command has opened the archive in {data_dir}: waiting until it ends"))
    lock = _open_lock(data_dir)
    try:
        while not _try(lock):
            if (running := find_running(data_dir)) and running.mongodb_uri:  # a collector was faster
                telling.cancel()
                yield running.mongodb_uri
                return
            with _shared(data_dir) as address:
                if address:
                    telling.cancel()
                    yield address
                    return
            await asyncio.sleep(_GLANCE)
        telling.cancel()
        telling = asyncio.create_task(_tell(f"no collector runs on {data_dir}: opening its archive for this command"))
        (data_dir / _SHARED).unlink(missing_ok=True)  # of a command that was killed
        store = await embedded.start(data_dir, program)
        telling.cancel()
        try:
            if share:
                async with _sharing(data_dir, store.address):
                    yield store.address
            else:
                yield store.address
        finally:
            await store.stop()
    finally:
        telling.cancel()
        os.close(lock)


@asynccontextmanager
async def _sharing(data_dir: Path, address: str) -> AsyncIterator[None]:
    """Let others use the store during the block; afterwards, wait a little for those that do."""
    path = data_dir / _SHARED
    write_owned(path, address)
    with path.open("rb") as file:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            for _glance in range(int(_WAIT_FOR_OTHERS / _GLANCE)):
                if _try(file.fileno()):
                    break
                await asyncio.sleep(_GLANCE)


@contextmanager
def _shared(data_dir: Path) -> Iterator[str | None]:
    """The address of a store that another command shares, which waits until the block ends; None: none does."""
    try:
        file = (data_dir / _SHARED).open(encoding="utf-8")
    except FileNotFoundError:
        yield None
        return
    with file:
        yield None if is_locked(file) else file.read()


async def _tell(why: str) -> None:
    await asyncio.sleep(_SILENT_SECONDS)
    sys.stderr.write(f"{why}\n")


@asynccontextmanager
async def taken_over(data_dir: Path) -> AsyncIterator[None]:
    """For a collector: during the block no query uses the store, and none starts it."""
    lock = _open_lock(data_dir)
    try:
        for _glance in range(int(_WAIT_FOR_OTHERS / _GLANCE)):
            if _try(lock):
                break
            await asyncio.sleep(_GLANCE)
        else:
            (data_dir / _SHARED).unlink(missing_ok=True)
            await asyncio.to_thread(embedded.end, data_dir)
            # even if the ended query holds the lock a little longer, no other query gets it: those find the collector
            # first
            _try(lock)
        yield
    finally:
        os.close(lock)


@asynccontextmanager
async def only_import(data_dir: Path, collector: str | None = None) -> AsyncIterator[None]:
    """For an import: during the block no other uses the store, since sessions continue from one file to the next.

    Args:
        data_dir: the collector's data directory.
        collector: only wait for imports under the same name; for a store that others use at the same time.

    Raises:
        SpoolError: the directory cannot be created.
        StoreError: it is not writable.
    """
    make_directory(data_dir)
    name = f"import-{collector_number(collector):06x}.lock" if collector else _IMPORTING
    try:
        lock = _open_lock(data_dir, name)
    except OSError as error:
        raise StoreError(
            f"no file can be created in {data_dir}: {error.strerror}",
            "make it writable for this user, or name another --data-dir",
        ) from None
    whose = f" as {collector}" if collector else ""
    telling = asyncio.create_task(_tell(f"another import{whose} runs on {data_dir}: waiting until it ends"))
    try:
        while not _try(lock):
            await asyncio.sleep(_GLANCE)
        telling.cancel()
        yield
    finally:
        telling.cancel()
        os.close(lock)


def _open_lock(data_dir: Path, name: str = _LOCK) -> int:
    lock = os.open(data_dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    give_to_owner(data_dir / name, data_dir)
    return lock


def _try(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
