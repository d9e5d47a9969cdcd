"""Keeps the embedded store running, with what a MongoDB does by itself: it removes expired documents."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from collector.errors import BgpledgerError, StoreError
from collector.retry import keep_up
from collector.store import embedded
from collector.store.embedded_process import EmbeddedStore
from collector.store.expiry import SWEEP_SECONDS, Sweeper

log = logging.getLogger(__name__)


@asynccontextmanager
async def keep_embedded(data_dir: Path, program: str | None, *, database: str) -> AsyncIterator[str]:
    """Run the embedded store during the block, and start it again whenever it ends.

    Args:
        data_dir: where its files are.
        program: the server's program; None: the one that pip installs.
        database: the database whose expired documents are removed.

    Yields:
        Its URI, with the password. It keeps its address if that is free when it is started again.

    Raises:
        StoreError: it does not start.
    """
    keeper = _Keeper(data_dir, program)
    uri = await keeper.start()
    watching = asyncio.create_task(keeper.watch(), name="embedded store")
    sweeping = asyncio.create_task(_sweep(Sweeper(uri, database)), name="expiry")
    try:
        yield uri
    finally:
        for task in (watching, sweeping):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await keeper.stop()


async def _sweep(sweeper: Sweeper) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        try:
            if removed := await sweeper.sweep():
                log.debug("%d documents were older than [retention] keeps them", removed)
        except StoreError as error:
            log.warning("%s", error.cause)


class _Keeper:
    def __init__(self, data_dir: Path, program: str | None) -> None:
        self._data_dir = data_dir
        self._program = program
        self._store: EmbeddedStore | None = None

    async def start(self) -> str:
        self._store = await embedded.start(self._data_dir, self._program)
        log.info("embedded store at %s, its files in %s", self._store.address, self._data_dir / "store")
        return self._store.uri

    async def watch(self) -> None:
        await keep_up(self._run_once, log, asyncio.Event())

    async def _run_once(self) -> str:
        """Wait until the running store, or one that is started, ends."""
        try:
            if self._store is None or self._store.process.poll() is not None:
                await self.start()
        except BgpledgerError as error:
            return error.cause
        while self._store is not None and self._store.process.poll() is None:
            await asyncio.sleep(0.2)
        return "the embedded store ended"

    async def stop(self) -> None:
        if self._store is not None:
            await self._store.stop()
